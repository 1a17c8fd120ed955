import { IBackend } from '../src/client';
import { RunFollower } from '../src/panel/follow';
import { Point, RunFrame } from '../src/shapes';

/** A socket whose other end is the test. */
class Line {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;

  constructor(readonly path: string) {}

  close(): void {
    this.closed = true;
  }

  say(seqs: number[], state?: string): void {
    const points = seqs.map((seq): Point => ({
      seq,
      kind: 'batch',
      step: seq,
      epoch: 1,
      t: 0,
      metrics: { loss: seq }
    }));
    const last_seq = Math.max(0, ...seqs);
    const run = state && { run_id: 'r', state, last_seq };
    this.onmessage?.({ data: JSON.stringify({ run, points, last_seq } as RunFrame) });
  }
}

describe('following a run', () => {
  let lines: Line[];
  let follower: RunFollower;

  beforeEach(() => {
    jest.useFakeTimers();
    lines = [];
    const backend = {
      socket: (path: string) => {
        lines.push(new Line(path));
        return lines[lines.length - 1] as unknown as WebSocket;
      }
    };
    follower = new RunFollower(backend as unknown as IBackend, 'r');
  });
  afterEach(() => {
    follower.dispose();
    jest.useRealTimers();
  });

  const steps = () => follower.points.curve('loss', 'step').x;

  it('goes on where it was after a break', () => {
    follower.start();
    lines[0].onopen?.();
    lines[0].say([1, 2], 'running');
    lines[0].onclose?.({ code: 4503 });
    expect(lines).toHaveLength(1);
    jest.advanceTimersByTime(1000);
    expect(lines[1].path).toBe('runs/r/socket?since=2');
    lines[1].onopen?.();
    lines[1].say([2, 3, 4], 'running');
    expect(steps()).toEqual([1, 2, 3, 4]);
  });

  it('does not wait once it hears that the backend is back', () => {
    follower.start();
    lines[0].onclose?.({ code: 4503 });
    follower.hurry();
    expect(lines).toHaveLength(2);
    jest.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(2);
  });

  it('closes its socket while nobody looks, and takes nothing from it any more', () => {
    follower.start();
    lines[0].say([1], 'running');
    follower.stop();
    expect(lines[0].closed).toBe(true);
    lines[0].say([2]);
    follower.start();
    expect(lines[1].path).toBe('runs/r/socket?since=1');
    lines[1].say([2, 3]);
    expect(steps()).toEqual([1, 2, 3]);
  });

  it('opens the socket anew for a point that is missing', () => {
    follower.start();
    lines[0].say([1, 3], 'running');
    lines[0].say([4]);
    expect(lines[0].closed).toBe(true);
    expect(lines[1].path).toBe('runs/r/socket?since=1');
    lines[1].say([2, 3, 4], 'running');
    expect(steps()).toEqual([1, 2, 3, 4]);
  });

  it('asks no more once the run has ended', () => {
    follower.start();
    lines[0].say([1], 'succeeded');
    lines[0].onclose?.({ code: 1000 });
    jest.advanceTimersByTime(60_000);
    follower.start();
    expect(lines).toHaveLength(1);
    expect(follower.phase).toBe('finished');
  });
});
