import type { Rates } from './view.js';

/** What a rate is the mean of, in milliseconds. */
const WINDOW_MS = 4000;
/** What is younger counts as if it were so old: what came at once is not a rate. */
const SHORTEST_MS = 1000;

interface Sample {
  at: number;
  amounts: Rates;
}

export function nothing(): Rates {
  return { submits: 0, waits: 0, bytesUp: 0, bytesDown: 0 };
}

export function addTo(sum: Rates, amounts: Rates): void {
  sum.submits += amounts.submits;
  sum.waits += amounts.waits;
  sum.bytesUp += amounts.bytesUp;
  sum.bytesDown += amounts.bytesDown;
}

/** How much of something there is a second, of late. Times are milliseconds of one clock. */
export class Meter {
  readonly #since: number;
  #samples: Sample[] = [];

  constructor(now: number) {
    this.#since = now;
  }

  add(now: number, amounts: Rates): void {
    this.#drop(now);
    this.#samples.push({ at: now, amounts });
  }

  rates(now: number): Rates {
    this.#drop(now);
    const sum = nothing();
    for (const { amounts } of this.#samples) addTo(sum, amounts);
    const seconds = Math.min(WINDOW_MS, Math.max(SHORTEST_MS, now - this.#since)) / 1000;
    for (const key of Object.keys(sum) as (keyof Rates)[]) sum[key] /= seconds;
    return sum;
  }

  #drop(now: number): void {
    const first = this.#samples.findIndex(({ at }) => at > now - WINDOW_MS);
    if (first !== 0) this.#samples = first < 0 ? [] : this.#samples.slice(first);
  }
}
