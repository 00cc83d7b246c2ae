import { monotonicNow } from '../../../link/machine/clock.js';
import type { Span } from '../../../proto/activity.js';

/** Spans a second that are told of at most: more than a picture has room for, and less than fills a pipe. */
const MOST_PER_SECOND = 4000;

/** Hands on what is done, as much of it as a watcher can take. */
export class LimitedSpans {
  readonly #tell: (spans: Span[], left: number) => void;
  readonly #now: () => number;
  #second = 0;
  #told = 0;
  #left = 0;

  /** `tell` is also given how many were left out before. `now` in milliseconds of any steady clock. */
  constructor(tell: (spans: Span[], left: number) => void, now: () => number = monotonicNow) {
    this.#tell = tell;
    this.#now = now;
  }

  take(spans: Span[]): void {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#told = 0;
    }
    const some = spans.slice(0, Math.max(0, MOST_PER_SECOND - this.#told));
    this.#told += some.length;
    this.#left += spans.length - some.length;
    if (some.length === 0) return;
    this.#tell(some, this.#left);
    this.#left = 0;
  }
}
