import type { Entry } from '../objects/object-table.js';

/** Bytes of writes after which the GPU is asked to say when it has done them. Twice as many may be under way. */
const STEP_BYTES = 16 << 20;

export interface UploadsOptions {
  /** Has the commands that come next wait until the promise is settled. */
  pauseUntil(promise: Promise<unknown>): void;
  stepBytes?: number;
}

/**
 * The writes of a session: bounds what the implementation keeps of them until the GPU has done them, and
 * remembers which parts of a long write are not to be carried out, because the whole failed.
 */
export class Uploads {
  /** Buffers that could not be written to while they were mapped. */
  readonly unwritable = new WeakSet<GPUBuffer>();
  /** Buffers that could not be had: what is written to their mapping goes nowhere, and is no error of its own. */
  readonly unmade = new WeakSet<Entry>();
  readonly #options: UploadsOptions;
  readonly #stepBytes: number;
  /** Writes that are to be dropped, by queue. */
  readonly #dropped = new WeakMap<Entry, number>();
  /** How many were carried out; their bytes are the implementation's. */
  written = 0;
  /** Since the last step. */
  #bytes = 0;
  /** The GPU has not done the step before; undefined where it has. */
  #underWay: Promise<void> | undefined;

  constructor(options: UploadsOptions) {
    this.#options = options;
    this.#stepBytes = options.stepBytes ?? STEP_BYTES;
  }

  /** So many writes that come next on this queue are parts of one that failed. */
  drop(queue: Entry, writes: number): void {
    if (writes > 0) this.#dropped.set(queue, writes);
  }

  /** Whether the write that has come is to be dropped; asked once for each. */
  isDropped(queue: Entry): boolean {
    const left = this.#dropped.get(queue);
    if (left === undefined) return false;
    if (left > 1) this.#dropped.set(queue, left - 1);
    else this.#dropped.delete(queue);
    return true;
  }

  /** Takes note of a write. Where the GPU is two steps behind, what comes next waits for it. */
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
