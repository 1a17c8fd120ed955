/** What runs just now, told once for the status bar and the list of running things. */

import type { TranslationBundle } from '@jupyterlab/translation';

import { IActivity } from './activity';
import { modelOf, share } from './panel/progress';
import { Job, Run } from './shapes';

/** One thing that runs: a job of the backend, or a training that a notebook reports. */
export type Work = { kind: 'job'; job: Job } | { kind: 'run'; run: Run };

/** Jobs first, then notebooks' trainings; a training in the backend is a job and is not listed twice. */
export function workOf(activity: IActivity): Work[] {
  const jobs = activity.activeJobs.map(job => ({ kind: 'job' as const, job }));
  const known = new Set(activity.activeJobs.map(job => job.job_id));
  const runs = activity.activeRuns
    .filter(run => run.job_id === null || !known.has(run.job_id))
    .map(run => ({ kind: 'run' as const, run }));
  return [...jobs, ...runs];
}

/** How many trainings and how many scorings run. */
export function countsOf(work: readonly Work[]): { trainings: number; scorings: number } {
  const scorings = work.filter(each => each.kind === 'job' && each.job.kind !== 'train').length;
  return { scorings, trainings: work.length - scorings };
}

/** How far a thing has come, from 0 to 1; null where that is not known. */
export function shareOf(work: Work): number | null {
  if (work.kind === 'run') {
    const { epoch, epochs } = work.run;
    return epoch !== null && epochs ? Math.min(1, epoch / epochs) : null;
  }
  return share(work.job);
}

export function nameOf(work: Work, trans: TranslationBundle): string {
  if (work.kind === 'run') {
    return trans.__('Training %1', work.run.name);
  }
  const model = modelOf(work.job);
  return work.job.kind === 'train'
    ? trans.__('Training %1', model)
    : trans.__('Scoring with %1', model);
}

export function shareTold(share: number | null): string {
  return share === null ? '' : `${Math.floor(share * 100)} %`;
}
