/** What is asked of a run that has far more points than can be drawn: its epochs, then only its end. */

import { IBackend } from '../client';
import { Point, Run } from '../shapes';
import { BATCHES } from './curves';

/** A run with more points than this is not asked for as a whole. */
export const LONG = 2 * BATCHES;
const PAGE = 10_000;
const MOST_EPOCHS = 50_000;

/** The points of whole epochs up to a number; what follows that number is to be streamed. */
export interface Beginning {
  epochs: Point[];
  until: number;
}

/** Null for a run that is short enough to be streamed from its start. Rejects as the questions do. */
export async function longRun(backend: IBackend, runId: string): Promise<Beginning | null> {
  const path = `runs/${encodeURIComponent(runId)}`;
  const { run } = await backend.ask<{ run: Run }>('GET', path);
  if (run.last_seq <= LONG) {
    return null;
  }
  const until = run.last_seq - BATCHES;
  const epochs: Point[] = [];
  let after: number | null = 0;
  while (after !== null && after < until && epochs.length < MOST_EPOCHS) {
    const answer: { points: Point[]; next_after: number | null } = await backend.ask(
      'GET',
      `${path}/metrics?kind=epoch&after=${after}&limit=${PAGE}`
    );
    epochs.push(...answer.points.filter(point => point.seq <= until));
    after = answer.next_after;
  }
  return { epochs, until };
}
