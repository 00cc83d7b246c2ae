import { monotonicNow } from '../../../link/machine/clock.js';
import type { Work } from '../../../proto/work.js';

/** What compiles as it is made. */
export const COMPILED: ReadonlySet<string | undefined> = new Set([
  'GPUShaderModule',
  'GPUComputePipeline',
  'GPURenderPipeline',
]);

/** How long each such object took to make, in milliseconds, for as long as it is there. */
const times = new WeakMap<object, number>();

/** Such an object was made, and took so many milliseconds. */
export function took(object: object, ms: number): void {
  times.set(object, ms);
}

/** An object was there already for a session that makes it. */
export function spared(work: Work, object: object): void {
  work.objectsShared += 1;
  work.compileMsSaved += times.get(object) ?? 0;
}

/** Has `make` make an object of that interface, and counts the time where it compiles. */
export function timed(work: Work, creates: string | undefined, make: () => object): object {
  if (!COMPILED.has(creates)) return make();
  const start = monotonicNow();
  const object = make();
  const ms = monotonicNow() - start;
  work.compileMs += ms;
  took(object, ms);
  return object;
}

/** The same for what is there later. */
export function timedLater(work: Work, promise: Promise<unknown>): void {
  const start = monotonicNow();
  promise.then(
    (object) => {
      const ms = monotonicNow() - start;
      work.compileMs += ms;
      took(object as object, ms);
    },
    () => {},
  );
}
