/** The jobs and runs of all pages that were asked for, and the view's way to ask for more. */

import * as React from 'react';

import { IActivity } from '../activity';
import { IBackend } from '../client';
import { Failure } from '../failure';
import { Job, Run } from '../shapes';
import { useAction, useChanged } from './context';
import { Page, Pages } from './pages';
import { active } from './progress';

const PAGE = 200;
/** Milliseconds between two looks at older pages while something in them still moves. */
const AGAIN = 5_000;

/** Kept as long as the panel lives, so that a look at another tab loses nothing. */
export interface History {
  jobs: Pages<Job>;
  runs: Pages<Run>;
}

export function historyOf(activity: IActivity, backend: IBackend): History {
  const asking =
    <T>(kind: 'jobs' | 'runs') =>
    async (cursor: string): Promise<Page<T>> => {
      const path = `${kind}?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`;
      const answer = await backend.ask<{ [member: string]: unknown }>('GET', path);
      return { entries: answer[kind] as T[], next: answer.next_cursor as string | null };
    };
  const history: History = {
    jobs: new Pages<Job>(asking('jobs'), job => job.job_id, active),
    runs: new Pages<Run>(
      asking('runs'),
      run => run.run_id,
      run => run.state === 'running'
    )
  };
  const settle = () => {
    history.jobs.settle(activity.jobs, activity.olderJobs);
    history.runs.settle(activity.runs, activity.olderRuns);
  };
  settle();
  activity.changed.connect(settle);
  return history;
}

interface IOlder<T> {
  entries: readonly T[];
  /** Ask for the next page; undefined where there is none. */
  more?: () => void;
  busy: boolean;
  failure: Failure | null;
}

export function usePages<T>(pages: Pages<T>): IOlder<T> {
  useChanged(pages.changed);
  const { busy, failure, run } = useAction();
  // Old jobs can still run: the oldest of a thousand queued ones are the first to be done.
  const { moving } = pages;
  React.useEffect(() => {
    if (!moving) {
      return undefined;
    }
    const again = () => {
      if (!document.hidden) {
        // The banner tells that the backend is away; the next look may succeed.
        pages.again().catch(() => undefined);
      }
    };
    again();
    const timer = window.setInterval(again, AGAIN);
    return () => window.clearInterval(timer);
  }, [moving, pages]);
  const more = pages.more && !busy ? () => void run(() => pages.next()) : undefined;
  return { entries: pages.entries, more, busy, failure };
}
