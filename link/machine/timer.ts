import { clearTimeout, monotonicNow, setImmediate, setTimeout } from './clock.js';

/** What setTimeout and setInterval return: an object in Node, a number in a page. */
export type Timer = ReturnType<typeof setTimeout>;

/** Lets the process end although the timer runs; a page has nothing to let end. */
export function unref(timer: Timer): Timer {
  timer.unref?.();
  return timer;
}

/** A time that has been set. */
export interface Alarm {
  cancel(): void;
}

/**
 * Calls back after so many milliseconds, and not before what had arrived by then was read: a thread that computes all
 * that time reads nothing, and is not to take its peer for silent. It does not keep the process alive.
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
