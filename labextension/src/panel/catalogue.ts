/** The model versions that the backend holds, asked for while the panel is looked at. */

import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import { IBackend } from '../client';
import { Failure } from '../failure';
import { asFailure } from './context';
import { ModelDetails, merged } from './groups';

const INTERVAL = 10_000;
const PAGE = 200;

interface Page {
  models: ModelDetails[];
  next_cursor: string | null;
}

export class Catalogue {
  constructor(
    private readonly backend: IBackend,
    private readonly usable: () => boolean
  ) {
    this.poll = new Poll({
      name: 'tensortrigger-lab:models',
      auto: false,
      factory: () => this.ask(),
      frequency: { interval: INTERVAL, backoff: 2, max: 60_000 },
      standby: () => document.hidden || !this.watched
    });
  }

  models: readonly ModelDetails[] = [];
  loaded = false;
  /** Whether there are older versions than those loaded. */
  more = false;
  failure: Failure | null = null;

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

  /** The next page of older versions. */
  async older(): Promise<void> {
    const cursor = this.cursor;
    const page = await this.backend.ask<Page>(
      'GET',
      `models?limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`
    );
    this.later = [...this.later, ...page.models];
    this.cursor = page.next_cursor;
    this.more = page.next_cursor !== null;
    this.models = merged(this.models, page.models, model => model.model_id);
    this.change.emit();
  }

  /** One version, asked for by its id where the list does not hold it. */
  async find(modelId: string): Promise<ModelDetails> {
    const known = this.models.find(model => model.model_id === modelId);
    if (known) {
      return known;
    }
    const path = `models/${encodeURIComponent(modelId)}`;
    return (await this.backend.ask<{ model: ModelDetails }>('GET', path)).model;
  }

  async remove(modelId: string): Promise<void> {
    await this.backend.ask('DELETE', `models/${encodeURIComponent(modelId)}`);
    const others = (model: ModelDetails) => model.model_id !== modelId;
    this.models = this.models.filter(others);
    this.later = this.later.filter(others);
    this.change.emit();
    void this.refresh();
  }

  private async ask(): Promise<void> {
    if (!this.usable()) {
      return;
    }
    try {
      const page = await this.backend.ask<Page>('GET', `models?limit=${PAGE}`);
      if (this.later.length === 0) {
        this.cursor = page.next_cursor;
        this.more = page.next_cursor !== null;
      }
      this.models = merged(page.models, this.later, model => model.model_id);
      this.loaded = true;
      this.failure = null;
    } catch (error) {
      this.failure = asFailure(error);
      throw error;
    } finally {
      this.change.emit();
    }
  }

  private readonly poll: Poll<void>;
  private readonly change = new Signal<this, void>(this);
  private watched = false;
  private later: ModelDetails[] = [];
  private cursor: string | null = null;
}
