/** What a notification says about a scoring, from its state. */

import { Words } from '../panel/words';
import { Score } from '../shapes';

export interface Telling {
  type: 'in-progress' | 'success' | 'warning' | 'error' | 'info';
  message: string;
  /** From 0 to 1, where it can be told. */
  progress?: number;
  done: boolean;
}

export function tell(score: Score, trans: Words): Telling {
  const file = nameOf(score.path);
  switch (score.state) {
    case 'reading':
    case 'uploading':
      return {
        type: 'in-progress',
        message: trans.__('Sending %1 to the backend.', file),
        progress: 0,
        done: false
      };
    case 'scoring':
      return {
        type: 'in-progress',
        message: score.rows_total
          ? trans.__(
              'Scoring %1 with %2: %3 of %4 rows.',
              file,
              score.model,
              grouped(score.rows_done),
              grouped(score.rows_total)
            )
          : trans.__('Scoring %1 with %2.', file, score.model),
        progress: score.rows_total ? Math.min(1, score.rows_done / score.rows_total) : 0,
        done: false
      };
    case 'writing':
      return {
        type: 'in-progress',
        message: trans.__('Writing the result beside %1.', file),
        progress: 1,
        done: false
      };
    case 'succeeded': {
      const made = nameOf(score.output_path ?? '');
      return score.rows_rejected
        ? {
            type: 'warning',
            message: trans.__(
              '%1 is written. %2 of %3 rows could not be scored: they are left empty there and listed beside it.',
              made,
              grouped(score.rows_rejected),
              grouped(score.rows_total)
            ),
            done: true
          }
        : {
            type: 'success',
            message: trans.__('%1 is written: %2 rows scored.', made, grouped(score.rows_total)),
            done: true
          };
    }
    case 'cancelled':
      return { type: 'info', message: trans.__('Scoring %1 was cancelled.', file), done: true };
    default:
      return {
        type: 'error',
        message: trans.__(
          'Scoring %1 failed: %2',
          file,
          score.error ?? trans.__('no reason was given.')
        ),
        done: true
      };
  }
}

/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function grouped(count: number): string {
  return count.toLocaleString();
}
