/** A list whose newest page others keep fresh, and whose older pages are asked for one by one. */

import * as React from 'react';

import { IBackend } from '../client';
import { useAction } from './context';
import { merged } from './groups';

const PAGE = 200;
/** Milliseconds between two looks at older pages while something in them still moves. */
const AGAIN = 5_000;

interface IOlder<T> {
  entries: T[];
  /** Ask for the next page; undefined where there is none. */
  more?: () => void;
  busy: boolean;
  failure: ReturnType<typeof useAction>['failure'];
}

/**
 * @param fresh the newest page; where it is shorter than `full`, there is nothing older.
 * @param kind the route and the member of its answer.
 */
export function useOlder<T>(
  backend: IBackend,
  kind: 'jobs' | 'runs',
  fresh: readonly T[],
  idOf: (entry: T) => string,
  active: (entry: T) => boolean,
  full = 100
): IOlder<T> {
  const [older, setOlder] = React.useState<T[]>([]);
  const [cursor, setCursor] = React.useState<string | null | undefined>(undefined);
  const { busy, failure, run } = useAction();

  const page = async (from: string | null | undefined) => {
    const tail = from ? `&cursor=${encodeURIComponent(from)}` : '';
    const answer = await backend.ask<{ [member: string]: unknown }>(
      'GET',
      `${kind}?limit=${PAGE}${tail}`
    );
    return { entries: answer[kind] as T[], next: answer.next_cursor as string | null };
  };
  const more = () =>
    run(async () => {
      const { entries, next } = await page(cursor);
      setOlder(before => merged(before, entries, idOf));
      setCursor(next);
    });

  // Old jobs can still run: the oldest of a thousand queued ones are the first to be done.
  const moving = older.length > 0 && older.some(active);
  const pages = Math.ceil(older.length / PAGE);
  React.useEffect(() => {
    if (!moving) {
      return undefined;
    }
    const timer = window.setInterval(async () => {
      if (document.hidden) {
        return;
      }
      try {
        let entries: T[] = [];
        let next: string | null | undefined = undefined;
        for (let index = 0; index < pages && next !== null; index++) {
          const answer: { entries: T[]; next: string | null } = await page(next);
          entries = [...entries, ...answer.entries];
          next = answer.next;
        }
        setOlder(before => merged(entries, before, idOf));
      } catch {
        // The banner tells that the backend is away; the next look may succeed.
      }
    }, AGAIN);
    return () => window.clearInterval(timer);
  }, [moving, pages, backend, kind]);

  const rest = cursor !== null && (older.length > 0 || fresh.length >= full);
  const entries = React.useMemo(
    () => (older.length ? merged(fresh, older, idOf) : fresh.slice()),
    [fresh, older]
  );
  return { entries, more: rest && !busy ? () => void more() : undefined, busy, failure };
}
