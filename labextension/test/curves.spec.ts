import { align, ascending, BATCHES, families, RunPoints } from '../src/panel/curves';
import { decimate } from '../src/panel/decimate';
import { smooth } from '../src/panel/smoothing';
import { reading, sentence } from '../src/panel/summary';
import { Point } from '../src/shapes';
import { words } from './words';

const batch = (step: number, loss: number | null): Point => ({
  seq: step,
  kind: 'batch',
  step,
  epoch: 1,
  t: 0,
  metrics: { loss }
});

describe('smoothing', () => {
  it('leaves values as they are without weight', () => {
    expect(smooth([1, 5, null, 2], 0)).toEqual([1, 5, null, 2]);
  });

  it('starts at the first value, not at zero', () => {
    expect(smooth([4, 4, 4], 0.9)).toEqual([4, 4, 4].map(value => expect.closeTo(value, 9)));
  });

  it('is the debiased exponential average', () => {
    const [first, second] = smooth([0, 1], 0.5);
    expect(first).toBe(0);
    expect(second).toBeCloseTo(0.5 / 0.75, 9);
  });

  it('keeps gaps, and is not moved by them', () => {
    const smoothed = smooth([1, null, 3], 0.5);
    expect(smoothed[1]).toBeNull();
    expect(smoothed[2]).toBeCloseTo(smooth([1, 3], 0.5)[1] as number, 9);
  });
});

describe('thinning', () => {
  const x = Array.from({ length: 10_000 }, (_, index) => index);
  const y = x.map(value => Math.sin(value / 500));

  it('keeps a short curve as it is', () => {
    const curve = { x: [1, 2, 3], y: [1, 2, 3] };
    expect(decimate(curve, 100)).toBe(curve);
  });

  it('loses no spike, no end and no gap', () => {
    const wild: (number | null)[] = y.slice();
    wild[7777] = 100;
    wild[123] = -100;
    wild[4000] = null;
    const thin = decimate({ x, y: wild }, 600);
    expect(thin.x.length).toBeLessThanOrEqual(600);
    expect(thin.y).toContain(100);
    expect(thin.y).toContain(-100);
    expect(thin.y[thin.x.indexOf(4000)]).toBeNull();
    expect(thin.x[0]).toBe(0);
    expect(thin.x[thin.x.length - 1]).toBe(9999);
  });

  it('keeps x in order, each once', () => {
    const thin = decimate({ x, y }, 300);
    thin.x.forEach((at, index) => index && expect(at).toBeGreaterThan(thin.x[index - 1]));
  });
});

describe('the points of a run', () => {
  const points = new RunPoints();
  points.add([
    batch(1, 0.9),
    batch(2, null),
    { ...batch(2, 0.8), kind: 'epoch', metrics: { loss: 0.8, val_loss: 0.85 } },
    batch(3, 0.7)
  ]);

  it('draws batches by step, and epochs by epoch', () => {
    expect(points.curve('loss', 'step')).toEqual({ x: [1, 2, 3], y: [0.9, null, 0.7] });
    expect(points.curve('loss', 'epoch')).toEqual({ x: [1], y: [0.8] });
  });

  it('draws validation at the step where its epoch ended', () => {
    expect(points.curve('val_loss', 'step')).toEqual({ x: [2], y: [0.85] });
  });

  it('shows a metric together with its validation, loss first', () => {
    expect(families(['val_loss', 'accuracy', 'val_auc', 'loss'])).toEqual([
      'loss',
      'accuracy',
      'auc'
    ]);
  });

  it('can be copied, and the copy does not grow', () => {
    const copied = points.copy();
    points.add([batch(4, 0.6)]);
    expect(copied.curve('loss', 'step').x).toEqual([1, 2, 3]);
    expect(points.curve('loss', 'step').x).toEqual([1, 2, 3, 4]);
  });

  it('takes the later value where a second fit counts anew', () => {
    expect(ascending({ x: [1, 2, 3, 1, 2], y: [9, 8, 7, 6, null] })).toEqual({
      x: [1, 2, 3],
      y: [6, null, 7]
    });
  });

  it('puts several curves on one x, and tells no point from a gap', () => {
    expect(
      align([
        { x: [1, 3], y: [10, null] },
        { x: [2, 3], y: [20, 30] }
      ])
    ).toEqual([
      [1, 2, 3],
      [10, undefined, null],
      [undefined, 20, 30]
    ]);
  });
});

describe('the summary of a curve', () => {
  it('says from what to what, the lowest and highest, and where it broke', () => {
    const curve = { x: [1, 2, 3, 4], y: [0.9, null, 0.2, 0.3] };
    expect(sentence('loss', curve, 'step', words)).toBe(
      'loss: 3 values, from 0.9 to 0.3, lowest 0.2 at step 3, highest 0.9 at step 1, not a number first at step 2.'
    );
  });

  it('says that there is nothing yet', () => {
    expect(sentence('loss', { x: [1], y: [null] }, 'epoch', words)).toBe('loss: no values yet.');
  });

  it('reads the point at a place, or the one before it', () => {
    const curve = { x: [1, 5, 9], y: [10, 50, 90] };
    expect([0, 1, 6, 99].map(at => reading(curve, at))).toEqual([undefined, 10, 50, 90]);
  });
});

describe('a very long run', () => {
  it('keeps its latest batches, every epoch, and says that some were let go', () => {
    const points = new RunPoints();
    points.add([{ ...batch(1, 9), kind: 'epoch' }]);
    const many = 2 * BATCHES + 10;
    for (let from = 1; from <= many; from += 5000) {
      const size = Math.min(5000, many - from + 1);
      points.add(Array.from({ length: size }, (_, index) => batch(from + index, from + index)));
    }
    const { x, y } = points.curve('loss', 'step');
    expect([x[x.length - 1], y[y.length - 1], x.length]).toEqual([many, many, BATCHES + 10]);
    expect(points.curve('loss', 'epoch').y).toEqual([9]);
    expect([points.cut, points.count, points.copy().cut]).toEqual([true, many + 1, true]);
  });
});
