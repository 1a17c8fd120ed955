import { IBackend } from '../src/client';
import { Failure } from '../src/failure';
import { BATCHES } from '../src/panel/curves';
import { RunFollower } from '../src/panel/follow';
import { Point, RunFrame } from '../src/shapes';

const point = (seq: number, kind: Point['kind'] = 'batch'): Point => ({
  seq,
  kind,
  step: seq,
  epoch: 1,
  t: 0,
  metrics: { loss: seq }
});

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
    const points = seqs.map(seq => point(seq));
    const last_seq = Math.max(0, ...seqs);
    const run = state && { run_id: 'r', state, last_seq };
    this.onmessage?.({ data: JSON.stringify({ run, points, last_seq } as RunFrame) });
  }
}

describe('following a run', () => {
  let lines: Line[];
  let follower: RunFollower;
  let size: number | Failure;
  let asked: string[];

  beforeEach(() => {
    jest.useFakeTimers();
    lines = [];
    size = 5;
    asked = [];
    const backend = {
      ask: async (_: string, path: string) => {
        asked.push(path);
        if (size instanceof Failure) {
          throw size;
        }
        return path === 'runs/r'
          ? { run: { run_id: 'r', last_seq: size } }
          : { points: [point(1000, 'epoch'), point(size, 'epoch')], next_after: null };
      },
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

  const start = async () => {
    follower.start();
    for (let turns = 0; turns < 10; turns++) {
      await Promise.resolve();
    }
  };
  const steps = () => follower.points.curve('loss', 'step').x;

  it('goes on where it was after a break', async () => {
    await start();
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

  it('does not wait once it hears that the backend is back', async () => {
    await start();
    lines[0].onclose?.({ code: 4503 });
    follower.hurry();
    expect(lines).toHaveLength(2);
    jest.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(2);
  });

  it('closes its socket while nobody looks, and takes nothing from it any more', async () => {
    await start();
    lines[0].say([1], 'running');
    follower.stop();
    expect(lines[0].closed).toBe(true);
    lines[0].say([2]);
    await start();
    expect(lines[1].path).toBe('runs/r/socket?since=1');
    lines[1].say([2, 3]);
    expect(steps()).toEqual([1, 2, 3]);
  });

  it('opens the socket anew for a point that is missing', async () => {
    await start();
    lines[0].say([1, 3], 'running');
    lines[0].say([4]);
    expect(lines[0].closed).toBe(true);
    expect(lines[1].path).toBe('runs/r/socket?since=1');
    lines[1].say([2, 3, 4], 'running');
    expect(steps()).toEqual([1, 2, 3, 4]);
  });

  it('asks no more once the run has ended', async () => {
    await start();
    lines[0].say([1], 'succeeded');
    lines[0].onclose?.({ code: 1000 });
    jest.advanceTimersByTime(60_000);
    follower.start();
    expect(lines).toHaveLength(1);
    expect(follower.phase).toBe('finished');
  });

  it('asks of a run of a million points only its epochs and its end', async () => {
    size = 1_000_000;
    await start();
    expect(lines[0].path).toBe(`runs/r/socket?since=${size - BATCHES}`);
    expect(asked[1]).toMatch(/kind=epoch/);
    expect(follower.points.skipped).toBe(size - BATCHES);
    expect(follower.points.curve('loss', 'epoch').y).toEqual([1000]);
    lines[0].say([size - BATCHES + 1], 'running');
    expect(steps()).toEqual([size - BATCHES + 1]);
  });

  it('waits for a backend that is away before it knows how long the run is', async () => {
    size = new Failure('backend_away', 'away', '', 503);
    await start();
    expect([lines.length, follower.phase]).toEqual([0, 'waiting']);
    size = 5;
    jest.advanceTimersByTime(1000);
    await start();
    expect(lines.map(line => line.path)).toEqual(['runs/r/socket?since=0']);
  });

  it('ends where there is no such run', async () => {
    size = new Failure('not_found', 'There is no such run.', '', 404);
    await start();
    jest.advanceTimersByTime(60_000);
    await start();
    expect([asked.length, lines.length, follower.phase]).toEqual([1, 0, 'gone']);
  });

  it('opens no socket where it was stopped while it asked', async () => {
    follower.start();
    follower.stop();
    await start();
    expect(lines).toHaveLength(1);
    follower.stop();
    expect(lines[0].closed).toBe(true);
  });
});
