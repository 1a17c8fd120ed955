/** A run's points as curves: one a metric, by step or by epoch, training and validation apart. */

import { Point } from '../shapes';
import { Curve } from './decimate';

export type Axis = 'step' | 'epoch';

const VALIDATION = 'val_';

/** The metric that a name belongs to: `val_loss` is drawn with `loss`. */
export function family(name: string): string {
  return name.startsWith(VALIDATION) ? name.slice(VALIDATION.length) : name;
}

export function isValidation(name: string): boolean {
  return name.startsWith(VALIDATION);
}

/** Metrics in the order they are shown: loss first, then by name. */
export function families(names: Iterable<string>): string[] {
  const found = new Set<string>();
  for (const name of names) {
    found.add(family(name));
  }
  return [...found].sort((a, b) =>
    a === b ? 0 : a === 'loss' ? -1 : b === 'loss' ? 1 : a.localeCompare(b)
  );
}

/** Batches that are kept of each metric; twice as many are let come together before the older half goes. */
export const BATCHES = 50_000;

interface Column {
  step: number[];
  epoch: number[];
  value: (number | null)[];
}

/** All points of one run, by metric, cheap to add to. */
export class RunPoints {
  /** Points that were added. */
  count = 0;
  /** Points of the run before those that are here, which were never asked for. */
  skipped = 0;
  /** Whether batches were let go, because there were very many. */
  cut = false;
  lastStep = 0;
  lastEpoch = 0;

  get names(): string[] {
    const names = new Set([...this.batches.keys(), ...this.epochs.keys()]);
    return [...names];
  }

  add(points: readonly Point[]): void {
    for (const point of points) {
      const columns = point.kind === 'batch' ? this.batches : this.epochs;
      for (const name of Object.keys(point.metrics)) {
        let column = columns.get(name);
        if (!column) {
          column = { step: [], epoch: [], value: [] };
          columns.set(name, column);
        }
        column.step.push(point.step);
        column.epoch.push(point.epoch);
        column.value.push(point.metrics[name]);
        if (columns === this.batches && column.step.length >= 2 * BATCHES) {
          this.letGo(column);
        }
      }
      this.lastStep = Math.max(this.lastStep, point.step);
      this.lastEpoch = Math.max(this.lastEpoch, point.epoch);
    }
    this.count += points.length;
  }

  /** By epoch, the value at its end; by step, each batch's, or the epochs' where no batch had the metric. */
  curve(name: string, axis: Axis): Curve {
    const column =
      axis === 'epoch' ? this.epochs.get(name) : (this.batches.get(name) ?? this.epochs.get(name));
    if (!column) {
      return { x: [], y: [] };
    }
    return ascending({ x: column[axis], y: column.value });
  }

  /** The newest value of a metric; undefined where it has none. */
  latest(name: string): number | null | undefined {
    const column = this.epochs.get(name) ?? this.batches.get(name);
    return column?.value[column.value.length - 1];
  }

  /** The same points, which later ones are not added to. */
  copy(): RunPoints {
    const copied = new RunPoints();
    copied.count = this.count;
    copied.skipped = this.skipped;
    copied.cut = this.cut;
    copied.lastStep = this.lastStep;
    copied.lastEpoch = this.lastEpoch;
    for (const kind of ['batches', 'epochs'] as const) {
      for (const [name, { step, epoch, value }] of this[kind]) {
        copied[kind].set(name, {
          step: step.slice(),
          epoch: epoch.slice(),
          value: value.slice()
        });
      }
    }
    return copied;
  }

  /** A run of a million batches must neither fill the page's memory nor be looked through at each drawing. */
  private letGo(column: Column): void {
    column.step = column.step.slice(-BATCHES);
    column.epoch = column.epoch.slice(-BATCHES);
    column.value = column.value.slice(-BATCHES);
    this.cut = true;
  }

  private readonly batches = new Map<string, Column>();
  private readonly epochs = new Map<string, Column>();
}

/** The same curve with each x once and in order: where a second `fit` began to count anew, the later value stands. */
export function ascending(curve: Curve): Curve {
  const { x, y } = curve;
  let sorted = true;
  for (let index = 1; index < x.length; index++) {
    if (x[index] <= x[index - 1]) {
      sorted = false;
      break;
    }
  }
  if (sorted) {
    return curve;
  }
  const latest = new Map<number, number | null>();
  x.forEach((at, index) => latest.set(at, y[index]));
  const order = [...latest.keys()].sort((a, b) => a - b);
  return { x: order, y: order.map(at => latest.get(at) as number | null) };
}

/** Curves on one shared x, as a chart takes them: undefined where a curve has no point, null where it has a gap. */
export function align(curves: readonly Curve[]): [number[], ...(number | null | undefined)[][]] {
  const all = new Set<number>();
  for (const curve of curves) {
    for (const at of curve.x) {
      all.add(at);
    }
  }
  const x = [...all].sort((a, b) => a - b);
  const place = new Map(x.map((at, index) => [at, index]));
  const columns = curves.map(curve => {
    const column: (number | null | undefined)[] = new Array(x.length).fill(undefined);
    curve.x.forEach((at, index) => {
      column[place.get(at) as number] = curve.y[index];
    });
    return column;
  });
  return [x, ...columns];
}
