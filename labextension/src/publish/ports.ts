/** What the flow needs of the world: the kernel and the backend, each as few questions. */

import type { ISignal } from '@lumino/signaling';

import { Failure } from '../failure';
import { Hello, Listing, Progress, Proposal, PublishRequest, Stage } from '../kernel/shapes';

/** The kernel that was bound when somebody clicked. */
export interface PublishKernel {
  /** Whether a cell runs in it. */
  readonly busy: boolean;
  readonly busyChanged: ISignal<unknown, void>;
  /** Why it can no longer be asked. */
  readonly loss: Failure | null;
  readonly voided: ISignal<unknown, Failure>;
  /** Rejects with a `Failure` where it is no Python kernel. */
  demandPython(): Promise<void>;
  hello(signal?: AbortSignal): Promise<Hello>;
  models(signal?: AbortSignal): Promise<Listing>;
  schema(
    of: { session: string; variable: string; identity: string; example?: string },
    signal?: AbortSignal
  ): Promise<Proposal>;
  publish(request: PublishRequest, signal?: AbortSignal): Promise<{ publish_id: string }>;
  progress(publishId: string, signal?: AbortSignal): Promise<Progress>;
  cancel(publishId: string): Promise<{ state: Stage }>;
  dispose(): void;
}

/** What is asked of the backend; the extension's own client fits. */
export interface PublishBackend {
  ask<T>(method: string, path: string, body?: unknown): Promise<T>;
  askExtension<T>(method: string, path: string, body?: unknown): Promise<T>;
}
