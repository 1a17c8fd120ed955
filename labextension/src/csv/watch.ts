/** One scoring from its start to its end, told by one notification that is kept up to date. */

import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { IBackend } from '../client';
import { Failure, asFailure } from '../failure';
import { Score } from '../shapes';
import { tell } from './telling';

const INTERVAL = 700;
const LONGEST = 15_000;

export interface Watching {
  backend: IBackend;
  trans: TranslationBundle;
  /** Open a file of the contents manager. */
  open: (path: string) => void;
  /** The file browsers have something new to list. */
  refresh: () => void;
  /** Show the rows that were rejected. */
  showJob: (jobId: string) => void;
}

/** Follow a scoring until it ends; resolves with its last state. Never rejects. */
export async function watchScore(begun: Score, watching: Watching): Promise<Score> {
  const { backend, trans } = watching;
  const cancel = {
    label: trans.__('Cancel'),
    caption: trans.__('Stop this scoring'),
    callback: (event: MouseEvent) => {
      // The notification stays, to tell how it ended.
      event.preventDefault();
      backend.askExtension('DELETE', path).catch(error => {
        const { message, action } = asFailure(error);
        Notification.error(trans.__('It could not be cancelled: %1', `${message} ${action}`), {
          autoClose: 10_000
        });
      });
    }
  };
  const path = `csv/scores/${encodeURIComponent(begun.score_id)}`;
  let score = begun;
  let said = tell(score, trans);
  const id = Notification.emit(said.message, said.type, {
    autoClose: false,
    progress: said.progress,
    actions: said.done ? endOf(score, watching) : [cancel]
  });
  let wait = INTERVAL;
  while (!said.done) {
    await new Promise(resolve => window.setTimeout(resolve, wait));
    try {
      score = (await backend.askExtension<{ score: Score }>('GET', path)).score;
      wait = INTERVAL;
    } catch (error) {
      if (error instanceof Failure && error.status === 404) {
        // A Jupyter server that was started again has forgotten its scorings.
        score = { ...score, state: 'failed', error: error.message };
      } else {
        wait = Math.min(LONGEST, wait * 2);
        continue;
      }
    }
    const next = tell(score, trans);
    if (next.message !== said.message || next.type !== said.type) {
      Notification.update({
        id,
        message: next.message,
        type: next.type,
        progress: next.done ? undefined : next.progress,
        autoClose: next.done && next.type === 'info' ? 5000 : false,
        actions: next.done ? endOf(score, watching) : [cancel]
      });
    }
    said = next;
  }
  watching.refresh();
  return score;
}

function endOf(score: Score, watching: Watching): Notification.IAction[] {
  const { trans } = watching;
  const actions: Notification.IAction[] = [];
  const made = score.output_path;
  if (score.state === 'succeeded' && made) {
    actions.push({
      label: trans.__('Open result'),
      displayType: 'accent',
      callback: () => watching.open(made)
    });
  }
  const jobId = score.job_id;
  if (jobId && score.rows_rejected) {
    actions.push({
      label: trans.__('Rejected rows'),
      caption: trans.__('Which rows could not be scored, and why'),
      callback: () => watching.showJob(jobId)
    });
  }
  return actions;
}
