/** A curve without its noise: an exponential moving average that starts unbiased and skips gaps. */

/**
 * The smoothed values, one for each given one; null stays null and does not move the average.
 *
 * @param weight how much of the past is kept: 0 leaves the values as they are, below 1.
 */
export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0) {
    return values.slice();
  }
  const kept = Math.min(weight, 0.999);
  let average = 0;
  let share = 1;
  return values.map(value => {
    if (value === null) {
      return null;
    }
    average = kept * average + (1 - kept) * value;
    share *= kept;
    // Early averages hold too much of the zero they began with.
    return average / (1 - share);
  });
}
