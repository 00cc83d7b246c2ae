/** The weight of the newest gap between arrivals in the mean. */
const NEWEST = 1 / 4;

/** Predicts the next arrival of a model's items from the last arrivals. */
export class Expectation {
  #last: number | undefined;
  #gap: number | undefined;

  arrived(now: number): void {
    const gap = this.#last === undefined ? undefined : now - this.#last;
    this.#last = now;
    if (gap === undefined) return;
    this.#gap = this.#gap === undefined ? gap : this.#gap + (gap - this.#gap) * NEWEST;
  }

  /** When the next item is due; undefined if this is unknown, or if the item is late. */
  next(now: number): number | undefined {
    if (this.#last === undefined || this.#gap === undefined) return undefined;
    const next = this.#last + this.#gap;
    return next > now ? next : undefined;
  }
}
