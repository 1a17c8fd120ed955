/** The model versions that the backend holds, asked for while the panel is looked at. */

import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import { IBackend } from '../client';
import { Failure, asFailure } from '../failure';
import { ModelDetails } from './groups';
import { Pages } from './pages';

const INTERVAL = 10_000;
const PAGE = 200;

interface Answer {
  models: ModelDetails[];
  next_cursor: string | null;
}

export class Catalogue {
  constructor(
    private readonly backend: IBackend,
    private readonly usable: () => boolean
  ) {
    this.pages = new Pages<ModelDetails>(
      async cursor => {
        const path = `models?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`;
        const { models, next_cursor } = await backend.ask<Answer>('GET', path);
        return { entries: models, next: next_cursor };
      },
      model => model.model_id
    );
    this.pages.changed.connect(() => this.change.emit());
    this.poll = new Poll({
      name: 'tensortrigger-lab:models',
      auto: false,
      factory: () => this.ask(),
      frequency: { interval: INTERVAL, backoff: 2, max: 60_000 },
      standby: () => document.hidden || !this.watched
    });
  }

  loaded = false;
  failure: Failure | null = null;

  get models(): readonly ModelDetails[] {
    return this.pages.entries;
  }

  /** Whether there are older versions than those loaded. */
  get more(): boolean {
    return this.pages.more;
  }

  get changed(): ISignal<this, void> {
    return this.change;
  }

  /** Whether anybody looks. */
  watch(watched: boolean): void {
    const began = watched && !this.watched;
    this.watched = watched;
    if (began) {
      void this.refresh();
    }
  }

  async refresh(): Promise<void> {
    await this.poll.refresh();
    await this.poll.tick.catch(() => undefined);
  }

  /** Ask again, also for one version that may stand on an older page. */
  async refreshWith(modelId: string): Promise<ModelDetails> {
    const [model] = await Promise.all([this.asked(modelId), this.refresh()]);
    this.pages.replace(model);
    return model;
  }

  /** The next page of older versions. */
  older(): Promise<void> {
    return this.pages.next();
  }

  /** One version, asked for by its id where the list does not hold it. */
  async find(modelId: string): Promise<ModelDetails> {
    const known = this.models.find(model => model.model_id === modelId);
    if (known) {
      return known;
    }
    return this.asked(modelId);
  }

  /** @param force whether aliases that mean it are removed too. */
  async remove(modelId: string, force = false): Promise<void> {
    const path = `models/${encodeURIComponent(modelId)}${force ? '?force=true' : ''}`;
    await this.backend.ask('DELETE', path);
    this.pages.forget(modelId);
    void this.refresh();
  }

  private async asked(modelId: string): Promise<ModelDetails> {
    const path = `models/${encodeURIComponent(modelId)}`;
    return (await this.backend.ask<{ model: ModelDetails }>('GET', path)).model;
  }

  private async ask(): Promise<void> {
    if (!this.usable()) {
      return;
    }
    try {
      const { models, next_cursor } = await this.backend.ask<Answer>('GET', `models?limit=${PAGE}`);
      this.loaded = true;
      this.failure = null;
      this.pages.settle(models, next_cursor);
    } catch (error) {
      this.failure = asFailure(error);
      this.change.emit();
      throw error;
    }
  }

  private readonly pages: Pages<ModelDetails>;
  private readonly poll: Poll<void>;
  private readonly change = new Signal<this, void>(this);
  private watched = false;
}
