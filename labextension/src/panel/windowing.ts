/** Which rows of a long list stand in the visible part, so that only those are made. */

export interface Slice {
  /** First row that is made, and one past the last. */
  start: number;
  end: number;
  /** Height of the empty room above and below, in pixels. */
  above: number;
  below: number;
}

/**
 * @param scroll pixels scrolled away above; `height` pixels that are visible; `row` pixels a row.
 * @param spare rows that are made beyond each edge, for scrolling without white.
 */
export function visible(
  count: number,
  scroll: number,
  height: number,
  row: number,
  spare = 6
): Slice {
  const first = Math.max(0, Math.floor(scroll / row) - spare);
  const start = Math.min(first, Math.max(0, count - 1));
  const end = Math.min(count, Math.ceil((scroll + height) / row) + spare);
  const stop = Math.max(start, end);
  return { start, end: stop, above: start * row, below: Math.max(0, count - stop) * row };
}
