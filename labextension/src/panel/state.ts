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
  /** Whether somebody chose the runs, even none; else the newest is shown. */
  pinned = false;
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
      this.pinned = true;
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
    this.pinned = true;
    this.change.emit();
  }

  /**
   * What runs now is what people want to see, else the latest: it takes the place of what was shown of itself, and
   * joins what somebody chose. Each run is offered once, so that who puts it away is not asked again.
   */
  offer(run: { run_id: string; state: string }): void {
    const id = run.run_id;
    if (this.offered.has(id)) {
      return;
    }
    this.offered.add(id);
    if (this.runIds.includes(id)) {
      return;
    }
    if (!this.pinned) {
      this.runIds = [id];
    } else if (run.state === 'running' && this.runIds.length < MOST_RUNS) {
      this.runIds = [...this.runIds, id];
    } else {
      return;
    }
    this.change.emit();
  }

  setSeen(seen: boolean): void {
    if (seen !== this.seen) {
      this.seen = seen;
      this.change.emit();
    }
  }

  private readonly offered = new Set<string>();
  private readonly change = new Signal<this, void>(this);
}

export function isTab(value: unknown): value is Tab {
  return TABS.includes(value as Tab);
}
