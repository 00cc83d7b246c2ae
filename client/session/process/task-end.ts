import { setImmediate } from '../../../link/machine/clock.js';

/** Calls back when the current task and all other ready work are done. */
export function whenTaskEnds(then: () => void): void {
  setImmediate(then);
}
