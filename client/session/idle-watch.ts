import { clearInterval, monotonicNow, setInterval } from '../../link/machine/clock.js';
import { unref } from '../../link/machine/timer.js';

/** How many looks there are in the time that a program may be idle. */
const LOOKS = 8;

/**
 * Calls back once, when a program has needed nothing for so many milliseconds, or up to an eighth more.
 *
 * @param use a number that changes with each call of the program; undefined while it needs the session.
 * @returns a function that stops the watch.
 */
export function watchIdle(idleMs: number, use: () => number | undefined, then: () => void): () => void {
  let last: number | undefined;
  let since = monotonicNow();
  const timer = setInterval(() => {
    const now = monotonicNow();
    const current = use();
    if (current === undefined || current !== last) since = now;
    last = current;
    if (now - since < idleMs) return;
    clearInterval(timer);
    then();
  }, idleMs / LOOKS);
  unref(timer);
  return () => clearInterval(timer);
}
