import type { Rates, SecondView } from './host-view.js';

/** A rate is the mean over the last so many milliseconds. */
const WINDOW_MS = 4000;
/** A meter younger than this counts as this old, so that a single event right after the start is not a high rate. */
const SHORTEST_MS = 1000;
/** How many seconds the history covers. */
const HISTORY_SECONDS = 300;

interface Sample {
  at: number;
  amounts: Rates;
}

/** Measures the recent rates per second. Times are milliseconds of one clock. */
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

/** The amounts of each of the last seconds. A second without any takes no memory. */
export class History {
  /** The oldest first. */
  readonly #seconds = new Map<number, SecondView>();

  /** @param now milliseconds since 1970. */
  add(now: number, amounts: Rates): void {
    const second = Math.floor(now / 1000);
    let view = this.#seconds.get(second);
    if (!view) {
      view = { second, ...nothing() };
      this.#seconds.set(second, view);
    }
    addTo(view, amounts);
    for (const oldest of this.#seconds.keys()) {
      if (oldest > second - HISTORY_SECONDS) break;
      this.#seconds.delete(oldest);
    }
  }

  /** The seconds from this one on. */
  from(second: number): SecondView[] {
    return [...this.#seconds.values()].filter((each) => each.second >= second);
  }
}

function nothing(): Rates {
  return { submits: 0, waits: 0, bytesUp: 0, bytesDown: 0 };
}

function addTo(sum: Rates, amounts: Rates): void {
  sum.submits += amounts.submits;
  sum.waits += amounts.waits;
  sum.bytesUp += amounts.bytesUp;
  sum.bytesDown += amounts.bytesDown;
}
