/** What a chart shows, in words, for those who do not see it. */

import { plain } from './amounts';
import { Axis } from './curves';
import { Curve } from './decimate';
import { Words } from './words';

/** One curve in one sentence: how many points, from what to what, its lowest and highest. */
export function sentence(label: string, curve: Curve, axis: Axis, trans: Words): string {
  let first: number | null = null;
  let last: number | null = null;
  let low = -1;
  let high = -1;
  let count = 0;
  let broken = -1;
  for (let index = 0; index < curve.x.length; index++) {
    const value = curve.y[index];
    if (value === null) {
      broken = broken < 0 ? index : broken;
      continue;
    }
    count += 1;
    first = first ?? value;
    last = value;
    low = low < 0 || value < (curve.y[low] as number) ? index : low;
    high = high < 0 || value > (curve.y[high] as number) ? index : high;
  }
  if (count === 0) {
    return trans.__('%1: no values yet.', label);
  }
  const unit = axis === 'step' ? trans.__('step') : trans.__('epoch');
  const parts = [
    trans.__('%1: %2 values, from %3 to %4', label, count, plain(first), plain(last)),
    trans.__('lowest %1 at %2 %3', plain(curve.y[low]), unit, curve.x[low]),
    trans.__('highest %1 at %2 %3', plain(curve.y[high]), unit, curve.x[high])
  ];
  if (broken >= 0) {
    parts.push(trans.__('not a number first at %1 %2', unit, curve.x[broken]));
  }
  return `${parts.join(', ')}.`;
}

/** What a curve reads at one x: its own point there, else the one before it. */
export function reading(curve: Curve, at: number): number | null | undefined {
  let low = 0;
  let high = curve.x.length - 1;
  let found = -1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (curve.x[middle] <= at) {
      found = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return found < 0 ? undefined : curve.y[found];
}
