/** The bridge's methods with their types, and how long each may take. */

import type { Kernel } from '@jupyterlab/services';
import { ISignal } from '@lumino/signaling';

import { Failure } from '../failure';
import { demandPython } from './language';
import { KernelLink } from './link';
import { Hello, Listing, Progress, Proposal, PublishRequest, Stage } from './shapes';

/** Milliseconds. A listing is promised within 0.2 s; the rest is for a kernel that loads things first. */
const QUICK = 20_000;
const PREDICTS = 120_000;

export class KernelBridge {
  constructor(private readonly kernel: Kernel.IKernelConnection) {
    this.link = new KernelLink(kernel);
  }

  get busy(): boolean {
    return this.link.main.busy;
  }

  get busyChanged(): ISignal<unknown, void> {
    return this.link.main.changed;
  }

  get loss(): Failure | null {
    return this.link.loss;
  }

  get voided(): ISignal<unknown, Failure> {
    return this.link.voided;
  }

  demandPython(): Promise<void> {
    return demandPython(this.kernel);
  }

  hello(signal?: AbortSignal): Promise<Hello> {
    return this.link.call('hello', {}, { patience: QUICK, signal });
  }

  models(signal?: AbortSignal): Promise<Listing> {
    return this.link.call('models', {}, { patience: QUICK, signal });
  }

  schema(
    of: { session: string; variable: string; identity: string; example?: string },
    signal?: AbortSignal
  ): Promise<Proposal> {
    return this.link.call('schema', of, { patience: QUICK, signal });
  }

  /** Saves the model before it answers, on the main thread unless an epoch's end is awaited. */
  publish(request: PublishRequest, signal?: AbortSignal): Promise<{ publish_id: string }> {
    return this.link.call('publish', request, {
      patience: request.when === 'now' ? Infinity : PREDICTS,
      signal,
      mainOnly: request.when === 'now'
    });
  }

  progress(publishId: string, signal?: AbortSignal): Promise<Progress> {
    return this.link.call('progress', { publish_id: publishId }, { patience: QUICK, signal });
  }

  cancel(publishId: string): Promise<{ state: Stage }> {
    return this.link.call('cancel', { publish_id: publishId }, { patience: QUICK });
  }

  dispose(): void {
    this.link.dispose();
  }

  private readonly link: KernelLink;
}
