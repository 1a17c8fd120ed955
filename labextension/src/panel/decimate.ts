/** Which points of a long curve are worth drawing: the highest and lowest of each stretch, so that no spike is lost. */

/** A curve: `x` ascending, `y` null where the value was not a number. */
export interface Curve {
  x: number[];
  y: (number | null)[];
}

/** At most about `most` points of the curve; its first and last always, and one null of a stretch that held any. */
export function decimate(curve: Curve, most: number): Curve {
  const { x, y } = curve;
  const count = x.length;
  if (count <= most || most < 4) {
    return curve;
  }
  const stretches = Math.max(1, Math.floor((most - 2) / 3));
  const size = (count - 2) / stretches;
  const kept: Curve = { x: [x[0]], y: [y[0]] };
  for (let stretch = 0; stretch < stretches; stretch++) {
    const start = 1 + Math.floor(stretch * size);
    const end = Math.min(count - 1, 1 + Math.floor((stretch + 1) * size));
    let low = -1;
    let high = -1;
    let missing = -1;
    for (let index = start; index < end; index++) {
      const value = y[index];
      if (value === null) {
        missing = index;
      } else {
        if (low < 0 || value < (y[low] as number)) {
          low = index;
        }
        if (high < 0 || value > (y[high] as number)) {
          high = index;
        }
      }
    }
    const chosen = [low, high, missing].filter(index => index >= 0).sort((a, b) => a - b);
    let before = -1;
    for (const index of chosen) {
      if (index !== before) {
        kept.x.push(x[index]);
        kept.y.push(y[index]);
      }
      before = index;
    }
  }
  kept.x.push(x[count - 1]);
  kept.y.push(y[count - 1]);
  return kept;
}
