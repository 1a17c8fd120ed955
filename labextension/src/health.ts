/** Whether the backend can be used just now, asked for now and then by one poll for all plugins. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Token } from '@lumino/coreutils';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import { IBackend } from './client';
import { Failure, asFailure } from './failure';
import { BackendStatus } from './shapes';

/** Milliseconds between two questions while all is well, and while something is awaited. */
const WELL = 20_000;
const AWAITED = 3_000;
const LONGEST = 60_000;

/** How the backend was when it was last asked for. */
export interface IHealth {
  /** The latest answer; null before the first one and while the server extension does not answer. */
  readonly status: BackendStatus | null;
  /** Why there is no answer: the extension is missing, the Jupyter server is away. */
  readonly failure: Failure | null;
  /** Whether requests have a chance: true as well before the first answer. */
  readonly usable: boolean;
  /** What is wrong, in one sentence; empty where nothing is. */
  readonly trouble: string;
  readonly changed: ISignal<IHealth, void>;
  /** Ask at once; resolves when the answer is in. Never rejects. */
  refresh(): Promise<void>;
}

export const IHealth = new Token<IHealth>(
  'tensortrigger-lab:IHealth',
  'Whether the TensorTrigger backend can be used.'
);

export class Health implements IHealth {
  constructor(private readonly backend: IBackend) {
    this.poll = new Poll({
      name: 'tensortrigger-lab:health',
      factory: () => this.ask(),
      frequency: { interval: AWAITED, backoff: 2, max: LONGEST },
      standby: 'when-hidden'
    });
  }

  get status(): BackendStatus | null {
    return this.latest;
  }

  get failure(): Failure | null {
    return this.fault;
  }

  get usable(): boolean {
    return this.fault === null && (this.latest === null || this.latest.ready);
  }

  get trouble(): string {
    if (this.fault) {
      return this.fault.message;
    }
    if (this.latest && !this.latest.ready) {
      return this.latest.error ?? (this.latest.running ? STARTING : AWAY);
    }
    return '';
  }

  get changed(): ISignal<IHealth, void> {
    return this.change;
  }

  async refresh(): Promise<void> {
    await this.poll.refresh();
    await this.poll.tick.catch(() => undefined);
  }

  private async ask(): Promise<void> {
    try {
      const status = await this.backend.status();
      this.poll.frequency = {
        interval: status.ready ? WELL : AWAITED,
        backoff: 2,
        max: LONGEST
      };
      this.settle(status, null);
    } catch (error) {
      this.settle(null, asFailure(error));
      // The poll asks less and less often while this goes on.
      throw error;
    }
  }

  private settle(status: BackendStatus | null, fault: Failure | null): void {
    const before = JSON.stringify([this.latest, this.fault?.code, this.fault?.message]);
    this.latest = status;
    this.fault = fault;
    if (JSON.stringify([status, fault?.code, fault?.message]) !== before) {
      this.change.emit();
    }
  }

  private readonly poll: Poll<void>;
  private readonly change = new Signal<IHealth, void>(this);
  private latest: BackendStatus | null = null;
  private fault: Failure | null = null;
}

const STARTING = 'The backend is starting.';
const AWAY = 'The backend is away.';

export const healthPlugin: JupyterFrontEndPlugin<IHealth> = {
  id: 'tensortrigger-lab:health',
  description: 'Whether the TensorTrigger backend can be used.',
  autoStart: true,
  provides: IHealth,
  requires: [IBackend],
  activate: (_app: JupyterFrontEnd, backend: IBackend): IHealth => new Health(backend)
};
