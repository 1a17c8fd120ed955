/** How far a job is, as a share and in words. */

import { Job } from '../shapes';
import { counted, duration } from './amounts';
import { Words } from './words';

export function active(job: Job): boolean {
  return job.state === 'queued' || job.state === 'running';
}

/** From 0 to 1; null before it is known. */
export function share(job: Job): number | null {
  if (job.state === 'succeeded') {
    return 1;
  }
  const { epochs_done, epochs_total, rows_done, rows_total } = job.progress;
  if (job.kind === 'train' && epochs_total) {
    return Math.min(1, (epochs_done ?? 0) / epochs_total);
  }
  return rows_total ? Math.min(1, rows_done / rows_total) : null;
}

/** Its speed and what is left while it runs; what it did once it ended. `short` says only how much is done. */
export function pace(job: Job, trans: Words, short = false): string {
  const { epochs_done, epochs_total, rows_done, rows_total, rows_rejected } = job.progress;
  const parts: string[] = [];
  if (job.kind === 'train') {
    if (epochs_total) {
      parts.push(trans.__('epoch %1 of %2', epochs_done ?? 0, epochs_total));
    }
  } else if (active(job) && short) {
    parts.push(trans.__('%1 %', Math.floor(100 * (share(job) ?? 0))));
  } else if (active(job)) {
    parts.push(trans.__('%1 of %2 rows', counted(rows_done), counted(rows_total)));
  } else {
    parts.push(trans.__('%1 rows', counted(rows_done)));
  }
  if (rows_rejected) {
    parts.push(trans.__('%1 rejected', counted(rows_rejected)));
  }
  if (job.state === 'running') {
    if (job.progress.rows_per_second && job.kind !== 'train') {
      parts.push(trans.__('%1 rows/s', counted(job.progress.rows_per_second)));
    }
    if (job.progress.seconds_left !== null && job.progress.seconds_left !== undefined) {
      parts.push(trans.__('%1 left', duration(job.progress.seconds_left)));
    }
  }
  return parts.join(' · ');
}

/** The model that a job uses, as people name it. */
export function modelOf(job: Job): string {
  if (!job.model_name) {
    return job.model_id.slice(0, 8);
  }
  return job.model_version ? `${job.model_name}/${job.model_version}` : job.model_name;
}
