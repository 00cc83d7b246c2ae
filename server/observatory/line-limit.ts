export interface LineLimitOptions {
  /** How many lines may be written at once. Default 10. */
  burst?: number;
  /** After how many milliseconds one more may be. Default 10 s. */
  everyMs?: number;
}

/** How often something may be written down that others can cause as often as they like. */
export class LineLimit {
  readonly #burst: number;
  readonly #everyMs: number;
  /** When as many lines as there can be may be written again. */
  #clearAt = 0;
  #left = 0;

  constructor({ burst = 10, everyMs = 10_000 }: LineLimitOptions = {}) {
    this.#burst = burst;
    this.#everyMs = everyMs;
  }

  /**
   * Gives how many were left out since the last one that was written; undefined where this one is to be left out
   * too. `now` is in milliseconds of any steady clock.
   */
  take(now: number): number | undefined {
    const clearAt = Math.max(this.#clearAt, now) + this.#everyMs;
    if (clearAt - now > this.#burst * this.#everyMs) {
      this.#left += 1;
      return undefined;
    }
    this.#clearAt = clearAt;
    const left = this.#left;
    this.#left = 0;
    return left;
  }
}
