import { monotonicNow } from '../../../link/machine/clock.js';
import type { WorkCounts } from '../../../proto/session/session-counts.js';

/** How long each object took to compile, in milliseconds, for as long as the object is there. */
const times = new WeakMap<object, number>();

/** Notes how long the object takes that `make` compiles, and hands the time to `count`. */
export function timed<T extends object>(make: () => T, count: (ms: number) => void = () => {}): T {
  const start = monotonicNow();
  const object = make();
  note(object, start, count);
  return object;
}

/** The same for an object that `promise` resolves to. */
export function timedLater(promise: Promise<object>, count: (ms: number) => void = () => {}): void {
  const start = monotonicNow();
  promise.then(
    (object) => note(object, start, count),
    () => {},
  );
}

/** A session got an object that was there already: counts the time that it did not have to wait. */
export function countSpared(work: WorkCounts, object: object): void {
  work.objectsShared += 1;
  work.compileMsSaved += times.get(object) ?? 0;
}

function note(object: object, start: number, count: (ms: number) => void): void {
  const ms = monotonicNow() - start;
  times.set(object, ms);
  count(ms);
}
