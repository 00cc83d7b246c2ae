// Formats numbers for people: on the page, and in `farlight top`.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value: number): string {
  let unit = 0;
  let shown = value;
  for (; shown >= 1000 && unit < UNITS.length - 1; unit += 1) shown /= 1024;
  const digits = unit === 0 || shown >= 100 ? 0 : shown < 10 ? 2 : 1;
  return `${shown.toFixed(digits)} ${UNITS[unit]}`;
}

export const bytesPerSecond = (value: number) => `${bytes(value)}/s`;

export const count = (value: number) => Math.round(value).toLocaleString('en-US');

/** So many things of one word, whose plural has an s. */
export const counted = (value: number, what: string) => `${value} ${what}${value === 1 ? '' : 's'}`;

/** A rate, with a useful number of digits. */
export function rate(value: number): string {
  return value === 0 ? '0' : value < 10 ? value.toFixed(1) : count(value);
}

/** A part of a whole, as a percentage. */
export function share(part: number, whole: number): string {
  return whole === 0 ? '0%' : `${((100 * part) / whole).toFixed(1)}%`;
}

/** How many times the program waited for each submit. */
export function waitsPerSubmit({ waits, submits }: { waits: number; submits: number }): string {
  return submits === 0 ? '-' : (waits / submits).toFixed(2);
}

/** A duration, from milliseconds. */
export function duration(ms: number): string {
  if (ms === 0) return '0 s';
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** A time of day, by the reader's clock. */
export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString('en-GB');
}
