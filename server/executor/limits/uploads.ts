import type { Entry } from '../objects/object-table.js';

/** After so many bytes of writes the GPU is asked when they are done. Twice as many may be under way. */
const STEP_BYTES = 16 << 20;

export interface UploadsOptions {
  /** Makes the commands that come next wait until the promise settles. */
  pauseUntil(promise: Promise<unknown>): void;
  stepBytes?: number;
}

/**
 * The uploads of a session. It bounds how many bytes the implementation keeps until the GPU has them. It remembers which
 * parts of a long write to drop, because the whole write failed.
 */
export class Uploads {
  /** Buffers that cannot be written to while they are mapped. */
  readonly unwritable = new WeakSet<GPUBuffer>();
  /**
   * Buffers that could not be made, or not again. Writes to their mapping go nowhere, and are no further error.
   */
  readonly unmade = new WeakSet<Entry>();
  readonly #options: UploadsOptions;
  readonly #stepBytes: number;
  /** How many writes to drop, by queue. */
  readonly #dropped = new WeakMap<Entry, number>();
  /** How many writes were carried out. The implementation has their bytes. */
  written = 0;
  /** Bytes since the last step. */
  #bytes = 0;
  /** The last step, until the GPU has done it. */
  #underWay: Promise<void> | undefined;

  constructor(options: UploadsOptions) {
    this.#options = options;
    this.#stepBytes = options.stepBytes ?? STEP_BYTES;
  }

  /** The next so many writes on this queue are parts of one that failed. */
  drop(queue: Entry, writes: number): void {
    if (writes > 0) this.#dropped.set(queue, writes);
  }

  /** Whether parts of a long write that failed are still to come on this queue. */
  isDropping(queue: Entry): boolean {
    return this.#dropped.has(queue);
  }

  /** Whether to drop this write. Call it once for each write. */
  isDropped(queue: Entry): boolean {
    const left = this.#dropped.get(queue);
    if (left === undefined) return false;
    if (left > 1) this.#dropped.set(queue, left - 1);
    else this.#dropped.delete(queue);
    return true;
  }

  /** Counts a write. Where the GPU is two steps behind, the commands that come next wait for it. */
  wrote(queue: GPUQueue, bytes: number): void {
    this.written += 1;
    this.#bytes += bytes;
    if (this.#bytes < this.#stepBytes) return;
    this.#bytes = 0;
    const before = this.#underWay;
    const done: Promise<void> = queue.onSubmittedWorkDone().then(
      () => this.#done(done),
      () => this.#done(done),
    );
    this.#underWay = done;
    if (before) this.#options.pauseUntil(before);
  }

  #done(step: Promise<void>): void {
    if (this.#underWay === step) this.#underWay = undefined;
  }
}
