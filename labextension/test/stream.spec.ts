import { final, RunStream } from '../src/panel/stream';
import { Point, Run, RunFrame } from '../src/shapes';

const point = (seq: number): Point => ({
  seq,
  kind: 'batch',
  step: seq,
  epoch: 1,
  t: 0,
  metrics: { loss: 1 / seq }
});
const run = (state: Run['state'], last_seq: number): Run => ({
  run_id: 'r',
  name: 'churn',
  model: null,
  model_id: null,
  job_id: null,
  source: 'notebook',
  state,
  error: null,
  epochs: 2,
  steps_per_epoch: 10,
  epoch: 1,
  step: 1,
  metrics: {},
  metric_names: ['loss'],
  points: last_seq,
  last_seq,
  created: '',
  last_updated: '',
  finished: null
});
const frame = (seqs: number[], of?: Run): RunFrame => ({
  run: of,
  points: seqs.map(point),
  last_seq: Math.max(0, ...seqs)
});
const seqs = (points: Point[]) => points.map(one => one.seq);
const opened = () => {
  const stream = new RunStream(() => 0);
  stream.opened();
  return stream;
};

describe('the stream of a run', () => {
  it('gives points in their order, each once', () => {
    const stream = opened();
    expect(seqs(stream.frame(frame([1, 2], run('running', 2))).points)).toEqual([1, 2]);
    expect(seqs(stream.frame(frame([2, 3])).points)).toEqual([3]);
    expect(stream.since).toBe(3);
  });

  it('holds a point that comes too early until the ones before it are here', () => {
    const stream = opened();
    expect(seqs(stream.frame(frame([1, 4])).points)).toEqual([1]);
    expect(stream.since).toBe(1);
    expect(seqs(stream.frame(frame([3, 2])).points)).toEqual([2, 3, 4]);
    expect(seqs(stream.frame(frame([3, 5])).points)).toEqual([5]);
  });

  it('asks for what is missing where it does not come with the next frame', () => {
    const stream = opened();
    stream.frame(frame([1, 3]));
    expect(stream.frame(frame([4])).order).toEqual({ kind: 'reopen' });
    expect(stream.since).toBe(1);
    stream.opened();
    expect(seqs(stream.frame(frame([2, 3, 4])).points)).toEqual([2, 3, 4]);
  });

  it('goes on after a break from the last number that is here, with no gap and no repeat', () => {
    const stream = opened();
    const got: number[] = [];
    got.push(...seqs(stream.frame(frame([1, 2, 3], run('running', 3))).points));
    expect(stream.closed(1006)).toEqual({ kind: 'connect', after: 250 });
    expect(stream.phase).toBe('waiting');
    expect(stream.since).toBe(3);
    stream.opened();
    got.push(...seqs(stream.frame(frame([3, 4, 5], run('running', 5))).points));
    expect(got).toEqual([1, 2, 3, 4, 5]);
  });

  it('waits longer after each failure, at most half a minute, and shortly again once points came', () => {
    const stream = new RunStream(() => 1);
    const waits = Array.from({ length: 9 }, () => stream.closed(1006)).map(order =>
      order.kind === 'connect' ? order.after : NaN
    );
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    stream.opened();
    stream.frame(frame([1]));
    expect(stream.closed(1006)).toEqual({ kind: 'connect', after: 500 });
  });

  it('does not hurry where a server answers and closes at once', () => {
    const stream = new RunStream(() => 1);
    const waits = Array.from({ length: 3 }, () => {
      stream.opened();
      stream.frame(frame([], run('running', 0)));
      return stream.closed(1000);
    });
    expect(waits.map(order => (order.kind === 'connect' ? order.after : NaN))).toEqual([
      500, 1000, 2000
    ]);
  });

  it('says that the backend is away, and connects again', () => {
    const stream = opened();
    expect(stream.closed(4503).kind).toBe('connect');
    expect(stream.away).toBe(true);
    stream.opened();
    stream.frame(frame([1], run('running', 1)));
    expect(stream.away).toBe(false);
  });

  it('ends once the run has ended and all of its points are here', () => {
    const stream = opened();
    stream.frame(frame([1, 2], run('succeeded', 2)));
    expect(stream.closed(1000)).toEqual({ kind: 'stop' });
    expect(stream.phase).toBe('finished');
    expect(stream.frame(frame([3])).points).toEqual([]);
  });

  it('comes back for the points that a finished run still owes', () => {
    const stream = opened();
    stream.frame(frame([1], run('succeeded', 3)));
    expect(stream.closed(1000).kind).toBe('connect');
    stream.opened();
    stream.frame(frame([2, 3], run('succeeded', 3)));
    expect(stream.closed(1000)).toEqual({ kind: 'stop' });
  });

  it('stops where there is no such run, and where the key is refused', () => {
    for (const [code, phase] of [
      [4404, 'gone'],
      [4401, 'refused']
    ] as const) {
      const stream = opened();
      expect(stream.closed(code)).toEqual({ kind: 'stop' });
      expect(stream.phase).toBe(phase);
      expect(stream.ended).toBe(true);
    }
  });

  it('keeps its place while nobody looks', () => {
    const stream = opened();
    stream.frame(frame([1, 2, 5]));
    stream.paused();
    expect(stream.since).toBe(2);
    stream.opened();
    expect(seqs(stream.frame(frame([3, 4, 5])).points)).toEqual([3, 4, 5]);
  });

  it('delivers every point once through any order of breaks and repeats', () => {
    let seed = 7;
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    for (let round = 0; round < 50; round++) {
      const stream = new RunStream(random);
      const got: number[] = [];
      const total = 60;
      let turns = 0;
      while (got.length < total && turns++ < 500) {
        stream.opened();
        const size = Math.ceil(random() * 9);
        const from = Math.max(1, stream.since + 1 - Math.floor(random() * 4));
        const batch = Array.from({ length: size }, (_, index) => from + index)
          .filter(seq => seq <= total && random() > 0.2)
          .sort(() => random() - 0.5);
        got.push(...seqs(stream.frame(frame(batch, run('running', total))).points));
        if (random() < 0.3) {
          stream.closed(1006);
        }
      }
      expect(got).toEqual(Array.from({ length: total }, (_, index) => index + 1));
    }
  });

  it('takes lost as a state that can change', () => {
    expect(final(run('lost', 0))).toBe(false);
    expect(final(run('cancelled', 0))).toBe(true);
  });
});
