/** Which jobs and trainings there are just now: one poll for all plugins, quick while something runs. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Token } from '@lumino/coreutils';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import { IBackend } from './client';
import { Failure, asFailure } from './failure';
import { IHealth } from './health';
import { active } from './panel/progress';
import { Job, Run } from './shapes';

/** Milliseconds between two questions while something runs, and while nothing does. */
const BUSY = 2_000;
const QUIET = 10_000;
const LONGEST = 60_000;
const PAGE = 100;

interface Paged {
  next_cursor: string | null;
}

/** The newest jobs and runs, newest first, at most a page of each. */
export interface IActivity {
  readonly jobs: readonly Job[];
  readonly runs: readonly Run[];
  /** Where the page after these jobs begins, and that after these runs; null where there is none. */
  readonly olderJobs: string | null;
  readonly olderRuns: string | null;
  /** Jobs that are queued or running; trainings in the backend are among them. */
  readonly activeJobs: readonly Job[];
  /** Runs that are running, in notebooks and in the backend. */
  readonly activeRuns: readonly Run[];
  /** Whether an answer has ever come. */
  readonly loaded: boolean;
  /** Why the latest question was not answered; null where it was. */
  readonly failure: Failure | null;
  readonly changed: ISignal<IActivity, void>;
  /** Ask at once; resolves when the answer is in. Never rejects. */
  refresh(): Promise<void>;
}

export const IActivity = new Token<IActivity>(
  'tensortrigger-lab:IActivity',
  'The jobs and trainings of the TensorTrigger backend.'
);

export class Activity implements IActivity {
  constructor(
    private readonly backend: IBackend,
    private readonly health: IHealth
  ) {
    this.poll = new Poll({
      name: 'tensortrigger-lab:activity',
      factory: () => this.ask(),
      frequency: { interval: QUIET, backoff: 2, max: LONGEST },
      standby: 'when-hidden'
    });
    let usable = this.askable;
    health.changed.connect(() => {
      if (this.askable && !usable) {
        void this.refresh();
      }
      usable = this.askable;
    });
  }

  jobs: readonly Job[] = [];
  runs: readonly Run[] = [];
  olderJobs: string | null = null;
  olderRuns: string | null = null;
  activeJobs: readonly Job[] = [];
  activeRuns: readonly Run[] = [];
  loaded = false;
  failure: Failure | null = null;

  get changed(): ISignal<IActivity, void> {
    return this.change;
  }

  async refresh(): Promise<void> {
    await this.poll.refresh();
    await this.poll.tick.catch(() => undefined);
  }

  private get askable(): boolean {
    return this.health.usable && this.health.status !== null;
  }

  private async ask(): Promise<void> {
    // While the backend is known to be away there is nothing to ask; its return is a signal of its own.
    if (!this.askable) {
      return;
    }
    try {
      const [jobs, runs] = await Promise.all([
        this.backend.ask<{ jobs: Job[] } & Paged>('GET', `jobs?limit=${PAGE}`),
        this.backend.ask<{ runs: Run[] } & Paged>('GET', `runs?limit=${PAGE}`)
      ]);
      this.olderJobs = jobs.next_cursor;
      this.olderRuns = runs.next_cursor;
      this.settle(jobs.jobs, runs.runs);
    } catch (error) {
      const first = this.failure === null;
      this.failure = asFailure(error);
      if (first) {
        this.change.emit();
        void this.health.refresh();
      }
      throw error;
    }
  }

  private settle(jobs: Job[], runs: Run[]): void {
    const key = marks(jobs, runs);
    const same = this.loaded && this.failure === null && key === this.key;
    this.key = key;
    this.jobs = jobs;
    this.runs = runs;
    this.activeJobs = jobs.filter(active);
    this.activeRuns = runs.filter(run => run.state === 'running');
    this.loaded = true;
    this.failure = null;
    const busy = this.activeJobs.length + this.activeRuns.length > 0;
    this.poll.frequency = { interval: busy ? BUSY : QUIET, backoff: 2, max: LONGEST };
    if (!same) {
      this.change.emit();
    }
  }

  private readonly poll: Poll<void>;
  private readonly change = new Signal<IActivity, void>(this);
  private key = '';
}

/** All that can change in jobs and runs, as short text. */
function marks(jobs: Job[], runs: Run[]): string {
  const ofJobs = jobs.map(job =>
    [job.job_id, job.state, job.last_updated, job.progress.rows_done].join()
  );
  const ofRuns = runs.map(run => [run.run_id, run.state, run.last_seq, run.last_updated].join());
  return `${ofJobs.join(';')}|${ofRuns.join(';')}`;
}

export const activityPlugin: JupyterFrontEndPlugin<IActivity> = {
  id: 'tensortrigger-lab:activity',
  description: 'The jobs and trainings of the TensorTrigger backend.',
  autoStart: true,
  provides: IActivity,
  requires: [IBackend, IHealth],
  activate: (_app: JupyterFrontEnd, backend: IBackend, health: IHealth): IActivity =>
    new Activity(backend, health)
};
