/** Runs one publishing: does what the state machine asks for, and tells it what came of it. */

import type { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { Failure, asFailure } from '../failure';
import { Alias, Model } from '../shapes';
import { begin, step } from './machine';
import { Effect, Event, Lookup, over, PublishState } from './states';
import { PublishBackend, PublishKernel } from './ports';

/** Milliseconds without a keystroke before a name is looked up. */
const TYPED = 300;

export class PublishFlow implements IDisposable {
  constructor(
    private readonly kernel: PublishKernel,
    private readonly backend: PublishBackend
  ) {
    const [state, effects] = begin(kernel.busy);
    this.current = state;
    kernel.busyChanged.connect(this.onBusy, this);
    kernel.voided.connect(this.onVoid, this);
    effects.forEach(effect => this.run(effect));
    if (kernel.loss) {
      this.send({ type: 'voided', failure: kernel.loss });
    }
  }

  get state(): PublishState {
    return this.current;
  }

  get changed(): ISignal<PublishFlow, PublishState> {
    return this.change;
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  send(event: Event): void {
    if (this.disposed) {
      return;
    }
    const [state, effects] = step(this.current, event);
    if (state !== this.current) {
      this.current = state;
      if (over(state)) {
        this.stopTimers();
      }
      if (state.phase === 'ready') {
        // Nothing is asked of it any more; a failure can still be gone back from.
        this.kernel.dispose();
      }
      this.change.emit(state);
    }
    effects.forEach(effect => this.run(effect));
  }

  dispose(): void {
    if (this.disposed) {
      return;
    }
    this.disposed = true;
    this.abort.abort();
    this.stopTimers();
    this.kernel.busyChanged.disconnect(this.onBusy, this);
    this.kernel.voided.disconnect(this.onVoid, this);
    this.kernel.dispose();
    Signal.clearData(this);
  }

  private run(effect: Effect): void {
    const { signal } = this.abort;
    switch (effect.do) {
      case 'open':
        void this.told(
          async () => {
            await this.kernel.demandPython();
            const hello = await this.kernel.hello(signal);
            return { hello, listing: await this.kernel.models(signal) };
          },
          found => ({ type: 'opened', ...found }),
          failure => ({ type: 'open_failed', failure })
        );
        return;
      case 'list':
        void this.told(
          () => this.kernel.models(signal),
          listing => ({ type: 'listed', listing }),
          // The list that is shown stays; publishing itself would tell what is wrong.
          () => null
        );
        return;
      case 'propose':
        void this.told(
          () => this.kernel.schema(effect.of, signal),
          proposal => ({ type: 'proposed', turn: effect.turn, proposal }),
          failure => ({ type: 'proposal_failed', turn: effect.turn, failure })
        );
        return;
      case 'look_up':
        this.later('look_up', TYPED, () =>
          this.told(
            () => this.known(effect.name),
            known => ({ type: 'looked_up', name: effect.name, ...known }),
            () => ({ type: 'looked_up', name: effect.name, latest: null, aliases: [] })
          )
        );
        return;
      case 'mint':
        void this.told(
          () =>
            this.backend.askExtension<{ ticket: string; url: string }>('POST', 'tickets', {
              model: effect.name
            }),
          ({ ticket, url }) => ({ type: 'minted', ticket: { ticket, url } }),
          failure => ({ type: 'mint_failed', failure })
        );
        return;
      case 'publish':
        void this.told(
          () => this.kernel.publish(effect.request, signal),
          ({ publish_id }) => ({ type: 'accepted', publishId: publish_id }),
          failure => ({ type: 'publish_failed', failure })
        );
        return;
      case 'poll':
        this.later('poll', effect.after, () =>
          this.told(
            () => this.kernel.progress(effect.publishId, signal),
            progress => ({ type: 'progress', progress }),
            failure => ({ type: 'progress_failed', failure })
          )
        );
        return;
      case 'poll_model':
        this.later('poll', effect.after, () =>
          this.told(
            () => this.backend.ask<{ model: Model }>('GET', `models/${effect.modelId}`),
            ({ model }) => ({ type: 'model', model }),
            failure => ({ type: 'model_failed', failure })
          )
        );
        return;
      case 'stop':
        void this.told(
          () => this.kernel.cancel(effect.publishId),
          ({ state }) => ({ type: 'cancelled', state }),
          failure => ({ type: 'cancel_failed', failure })
        );
        return;
    }
  }

  /** The latest version of a name, 0 for a new one; a list, as asking for the name itself would be a 404. */
  private async known(name: string): Promise<Pick<Lookup, 'latest' | 'aliases'>> {
    const path = `models?name=${encodeURIComponent(name)}&limit=1`;
    const { models } = await this.backend.ask<{ models: Model[] }>('GET', path);
    const latest = models[0]?.version ?? 0;
    if (latest === 0) {
      return { latest, aliases: [] };
    }
    try {
      const asked = `models/by-name/${encodeURIComponent(name)}/aliases`;
      return {
        latest,
        aliases: (await this.backend.ask<{ aliases: Alias[] }>('GET', asked)).aliases
      };
    } catch {
      // They are only offered to choose from.
      return { latest, aliases: [] };
    }
  }

  private async told<T>(
    ask: () => Promise<T>,
    then: (answer: T) => Event | null,
    otherwise: (failure: Failure) => Event | null
  ): Promise<void> {
    let event: Event | null;
    try {
      event = then(await ask());
    } catch (error) {
      const failure = asFailure(error);
      event = failure.code === 'cancelled' ? null : otherwise(failure);
    }
    if (event) {
      this.send(event);
    }
  }

  /** One timer a purpose: a newer one takes the place of an older one. */
  private later(purpose: string, after: number, act: () => Promise<void>): void {
    clearTimeout(this.timers.get(purpose));
    this.timers.set(
      purpose,
      setTimeout(() => void act(), after)
    );
  }

  private stopTimers(): void {
    this.timers.forEach(timer => clearTimeout(timer));
    this.timers.clear();
  }

  private onBusy(): void {
    this.send({ type: 'busy', busy: this.kernel.busy });
  }

  private onVoid(_: unknown, failure: Failure): void {
    this.send({ type: 'voided', failure });
  }

  private current: PublishState;
  private disposed = false;
  private readonly abort = new AbortController();
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly change = new Signal<PublishFlow, PublishState>(this);
}
