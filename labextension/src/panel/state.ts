/** What of the panel is open: which tab, which model, which job, which runs; whether it is seen. */

import { ISignal, Signal } from '@lumino/signaling';

import { Tab } from '../commands';

export const TABS: readonly Tab[] = ['models', 'jobs', 'training'];

/** More curves than this in one chart cannot be told apart. */
export const MOST_RUNS = 6;

export class PanelState {
  tab: Tab = 'models';
  modelId: string | null = null;
  jobId: string | null = null;
  runIds: readonly string[] = [];
  /** Whether the panel is shown in its area. */
  seen = false;

  get changed(): ISignal<this, void> {
    return this.change;
  }

  open(tab: Tab, id?: string): void {
    this.tab = tab;
    if (id !== undefined && tab === 'models') {
      this.modelId = id;
    } else if (id !== undefined && tab === 'jobs') {
      this.jobId = id;
    } else if (id !== undefined) {
      this.runIds = [id];
    }
    this.change.emit();
  }

  showModel(id: string | null): void {
    this.modelId = id;
    this.change.emit();
  }

  showJob(id: string | null): void {
    this.jobId = id;
    this.change.emit();
  }

  chooseRuns(ids: readonly string[]): void {
    this.runIds = ids.slice(0, MOST_RUNS);
    this.change.emit();
  }

  setSeen(seen: boolean): void {
    if (seen !== this.seen) {
      this.seen = seen;
      this.change.emit();
    }
  }

  private readonly change = new Signal<this, void>(this);
}

export function isTab(value: unknown): value is Tab {
  return TABS.includes(value as Tab);
}
