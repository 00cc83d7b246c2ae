interface OnGpu<T> {
  readonly run: T;
  /** How far the GPU must have come with each run for this one to be done. */
  readonly done: number;
}

/**
 * A GPU that divides its time equally among the runs that are on it, as GPUs and software GPUs do with the sessions of one
 * host. Times are milliseconds.
 */
export class SharedGpu<T> {
  /** The runs on the GPU; the run that ends first is at the front. */
  readonly #runs: OnGpu<T>[] = [];
  /** How much time a run would have had that was on the GPU from the beginning. */
  #each = 0;
  #since = 0;

  /** When the next run ends, if no other reaches the GPU before; undefined while there is none. */
  get nextEnd(): number | undefined {
    const [first] = this.#runs;
    return first && this.#since + (first.done - this.#each) * this.#runs.length;
  }

  /** A run reaches the GPU and takes so much of its time. Take the runs that have ended before. */
  add(run: T, ms: number, now: number): void {
    this.#advance(now);
    const done = this.#each + ms;
    const behind = this.#runs.findIndex((other) => other.done > done);
    this.#runs.splice(behind < 0 ? this.#runs.length : behind, 0, { run, done });
  }

  /** Removes the runs that have ended by now, in their order. */
  take(now: number): T[] {
    const ended: T[] = [];
    for (let end = this.nextEnd; end !== undefined && end <= now; end = this.nextEnd) {
      const { run, done } = this.#runs.shift() as OnGpu<T>;
      this.#each = done;
      this.#since = end;
      ended.push(run);
    }
    this.#advance(now);
    return ended;
  }

  #advance(now: number): void {
    if (this.#runs.length > 0) this.#each += Math.max(0, now - this.#since) / this.#runs.length;
    this.#since = now;
  }
}
