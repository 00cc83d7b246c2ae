/** Calls back when the current task is over, and what else is ready was done. */
import { setImmediate } from '../../../link/machine/clock.js';
export function whenTaskEnds(then: () => void): void {
  setImmediate(then);
}
