// Numbers as people read them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** @param {number} value */
export function bytes(value) {
  let unit = 0;
  let shown = value;
  for (; shown >= 1000 && unit < UNITS.length - 1; unit += 1) shown /= 1024;
  return `${unit === 0 ? Math.round(shown) : shown.toFixed(shown < 10 ? 2 : shown < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

export const bytesPerSecond = (value) => `${bytes(value)}/s`;

export const count = (value) => Math.round(value).toLocaleString('en-US');

/** A rate, with as many digits as say something. */
export function rate(value) {
  return value === 0 ? '0' : value < 10 ? value.toFixed(1) : count(value);
}

/** What of a whole, as a percentage. */
export function share(part, whole) {
  return whole === 0 ? '0%' : `${((100 * part) / whole).toFixed(1)}%`;
}

/** A span of time in milliseconds. */
export function duration(ms) {
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

/** When something was, as the reader's clock has it. */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString(undefined, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
}
