import { clearTimeout, monotonicNow, setImmediate, setTimeout } from './clock.js';
import { native } from './globals.js';

/** The type that setTimeout and setInterval return: an object in Node, a number in a page. */
export type Timer = ReturnType<typeof setTimeout>;

/** Lets the process end although the timer runs. In a page it does nothing. */
export function unref(timer: Timer): Timer {
  timer.unref?.();
  return timer;
}

/** Resolves after so many milliseconds, or at once when the signal aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new native.Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal?.aborted) end();
    else signal?.addEventListener('abort', end);
  });
}

/** An alarm that was set. */
export interface Alarm {
  cancel(): void;
}

/**
 * Calls back after so many milliseconds, and after bytes that have arrived by then were read. A thread that computes all
 * that time reads nothing, so without this it would take its peer for silent. The alarm does not keep the process alive.
 */
export function alarm(ms: number, then: () => void): Alarm {
  let isOn = true;
  const ring = () => {
    if (isOn) then();
  };
  const timer = unref(setTimeout(() => void setImmediate(ring), ms));
  return {
    cancel() {
      isOn = false;
      clearTimeout(timer);
    },
  };
}

/** A clock and its timers, for code whose time a test sets. */
export interface Clock {
  /** Milliseconds of any clock that never goes back. */
  now(): number;
  /** Calls back once, after so many milliseconds or more. */
  after(ms: number, act: () => void): void;
}

/** The time of this process. Its timers do not keep the process alive. */
export const PROCESS_CLOCK: Clock = {
  now: monotonicNow,
  after: (ms, act) => void unref(setTimeout(act, ms)),
};

/** Resolves when a promise has settled, or after so many milliseconds. It never rejects: an error is lost here. */
export function settledWithin(
  clock: Pick<Clock, 'after'>,
  ms: number,
  promise: Promise<unknown>,
): Promise<void> {
  return new native.Promise((resolve) => {
    const end = () => resolve();
    clock.after(ms, end);
    promise.then(end, end);
  });
}
