import { performance } from './timers.js';

/**
 * The timers and clocks that Farlight's own code uses, taken when Farlight is loaded. A program may replace the globals
 * later, as tests with fake timers do: its time may stand still, and the connection to its host goes on.
 *
 * `monotonicNow` measures how much time passes: it never jumps, and nobody can set it. `steadyTime` is the same, counted
 * from 1970, for times that people compare. `wallClock` is for certificates, files and logs.
 */
export {
  clearImmediate,
  clearInterval,
  clearTimeout,
  setImmediate,
  setInterval,
  setTimeout,
} from './timers.js';

export const { queueMicrotask } = globalThis;

/** Milliseconds since this thread began, with fractions. Monotonic. */
export const monotonicNow: () => number = performance.now.bind(performance);

/** When `monotonicNow` was zero, in milliseconds since 1970. */
export const timeOrigin: number = performance.timeOrigin;

/** Milliseconds since 1970 by the machine's clock as it stood when this thread began. Monotonic. */
export const steadyTime = (): number => timeOrigin + monotonicNow();

/** Milliseconds since 1970, as the machine's clock is set. Never a measure of time that passes. */
export const wallClock: () => number = Date.now.bind(Date);
