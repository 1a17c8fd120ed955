/** Numbers, sizes and times as people read them. */

/** A metric or an output: about five significant digits, `-` where there is none. */
export function plain(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return '-';
  }
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e7)) {
    return value.toExponential(3);
  }
  return String(Number(value.toPrecision(5)));
}

/** Bytes, as `12.3 kB`. */
export function bytes(count: number): string {
  let size = count;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (size < 1000 || unit === 'GB') {
      return `${unit === 'B' ? size : Number(size.toPrecision(3))} ${unit}`;
    }
    size /= 1000;
  }
  return '';
}

/** Seconds, as `3 min 20 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return `${whole} s`;
  }
  if (whole < 3600) {
    const rest = whole % 60;
    return rest ? `${Math.floor(whole / 60)} min ${rest} s` : `${whole / 60} min`;
  }
  const minutes = Math.round((whole % 3600) / 60);
  return minutes ? `${Math.floor(whole / 3600)} h ${minutes} min` : `${Math.floor(whole / 3600)} h`;
}

/** A count with thousands apart, in the reader's own way. */
export function counted(count: number): string {
  return Math.round(count).toLocaleString();
}

/** An ISO time, short, in the reader's own zone; empty for what is none. */
export function moment(iso: string | null | undefined): string {
  const at = iso ? new Date(iso) : null;
  if (!at || Number.isNaN(at.getTime())) {
    return '';
  }
  return at.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}
