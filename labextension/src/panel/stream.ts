/** How a run's points arrive whole and once over sockets that break: what to keep, when to connect again. */

import { Point, Run, RunFrame } from '../shapes';

/** Close codes of the run socket. */
export const FINISHED = 1000;
export const NO_SUCH_RUN = 4404;
export const KEY_REFUSED = 4401;
export const BACKEND_AWAY = 4503;

/** Milliseconds before the first new attempt, and at most. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;

export type Phase =
  | 'connecting'
  | 'live'
  | 'waiting'
  /** The run ended and all of its points are here. */
  | 'finished'
  | 'gone'
  | 'refused';

/** What the owner of the socket has to do now. */
export type Order =
  { kind: 'nothing' } | { kind: 'connect'; after: number } | { kind: 'reopen' } | { kind: 'stop' };

const NOTHING: Order = { kind: 'nothing' };

/**
 * Takes frames and closings, gives points in the order of their numbers, each once.
 *
 * A point that comes too early is held until the ones before it are here. Where they do not come with the next
 * frame, the socket is opened anew from the last number that is here, so that the server sends them again.
 */
export class RunStream {
  constructor(private readonly random: () => number = Math.random) {}

  run: Run | null = null;
  phase: Phase = 'connecting';
  /** Why it waits, where the server said so. */
  away = false;

  /** The number of the last point that is here with all before it. */
  get since(): number {
    return this.last;
  }

  /** Whether nothing more can come. */
  get ended(): boolean {
    return this.phase === 'finished' || this.phase === 'gone' || this.phase === 'refused';
  }

  /** Points up to this number are not wanted: the next `opened` goes on behind it. */
  skip(to: number): void {
    this.last = Math.max(this.last, to);
  }

  /** The socket is open. */
  opened(): void {
    if (!this.ended) {
      this.frames = 0;
      this.phase = 'live';
    }
  }

  /** A frame came: the points that are new, in order, and what to do. */
  frame(frame: RunFrame): { points: Point[]; order: Order } {
    if (this.ended) {
      return { points: [], order: NOTHING };
    }
    this.frames += 1;
    this.away = false;
    this.phase = 'live';
    if (frame.run) {
      this.run = frame.run;
    }
    const points: Point[] = [];
    const gapBefore = this.early.size > 0;
    for (const point of frame.points) {
      if (point.seq === this.last + 1) {
        points.push(point);
        this.last = point.seq;
        this.drain(points);
      } else if (point.seq > this.last) {
        this.early.set(point.seq, point);
      }
    }
    if (this.early.size > 0 && gapBefore && points.length === 0) {
      // What is held comes again from the server, so it need not be kept.
      this.early.clear();
      this.phase = 'connecting';
      return { points, order: { kind: 'reopen' } };
    }
    if (points.length > 0 || this.frames > 1) {
      // A server that answers and closes at once is not asked more and more often.
      this.attempts = 0;
    }
    return { points, order: NOTHING };
  }

  /** The socket was closed, by either side. */
  closed(code: number): Order {
    if (this.ended) {
      return { kind: 'stop' };
    }
    this.early.clear();
    if (code === NO_SUCH_RUN || code === KEY_REFUSED) {
      this.phase = code === NO_SUCH_RUN ? 'gone' : 'refused';
      return { kind: 'stop' };
    }
    if (code === FINISHED && this.whole()) {
      this.phase = 'finished';
      return { kind: 'stop' };
    }
    this.phase = 'waiting';
    this.away = code === BACKEND_AWAY;
    return { kind: 'connect', after: this.wait() };
  }

  /** Nobody looks any more: the next `opened` goes on from the last point. */
  paused(): void {
    this.early.clear();
    if (!this.ended) {
      this.phase = 'connecting';
    }
  }

  /** Whether the run has ended and every point that it counts is here. */
  private whole(): boolean {
    return this.run !== null && final(this.run) && this.last >= this.run.last_seq;
  }

  private drain(points: Point[]): void {
    for (;;) {
      const next = this.early.get(this.last + 1);
      if (!next) {
        break;
      }
      this.early.delete(next.seq);
      points.push(next);
      this.last = next.seq;
    }
    if (this.early.size > 0) {
      for (const seq of this.early.keys()) {
        if (seq <= this.last) {
          this.early.delete(seq);
        }
      }
    }
  }

  /** Doubling, with a random half, so that many pages do not come back at one moment. */
  private wait(): number {
    const full = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.attempts);
    this.attempts += 1;
    return full / 2 + (full / 2) * this.random();
  }

  private readonly early = new Map<number, Point>();
  private last = 0;
  private attempts = 0;
  private frames = 0;
}

/** Whether a run's state cannot change any more; `lost` can, a later word revives it. */
export function final(run: Run): boolean {
  return run.state === 'succeeded' || run.state === 'failed' || run.state === 'cancelled';
}
