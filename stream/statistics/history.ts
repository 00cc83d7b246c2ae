/** How many seconds the history covers. */
const SECONDS = 300;
/** A rate is the mean of the last whole seconds. */
const RATE_SECONDS = 5;

/** The counts of one second. */
export interface SecondView {
  /** Since 1970. */
  readonly second: number;
  /** Records that have passed, records at which a step failed, and outputs. */
  passed: number;
  failed: number;
  outputs: number;
  /** Runs of models, and their items. */
  runs: number;
  items: number;
  largest: number;
  /** The longest time of an output from the log to its sink, in milliseconds. */
  lag: number;
  /** Records that waited in logs and that were on their way, when it was looked. */
  waiting?: number;
  passing?: number;
}

type Counted = Exclude<keyof SecondView, 'second' | 'waiting' | 'passing'>;

/** The last minutes of an application, second by second. A second without anything takes no memory. */
export class History {
  /** The oldest comes first. */
  readonly #seconds = new Map<number, SecondView>();

  /** @param now milliseconds since 1970 */
  add(now: number, counts: Partial<Record<Counted, number>>): void {
    const second = this.#at(now);
    for (const [name, count] of Object.entries(counts) as [Counted, number][]) {
      if (name === 'largest' || name === 'lag') second[name] = Math.max(second[name], count);
      else second[name] += count;
    }
  }

  looked(now: number, { waiting, passing }: { waiting: number; passing: number }): void {
    const second = this.#at(now);
    second.waiting = Math.max(second.waiting ?? 0, waiting);
    second.passing = Math.max(second.passing ?? 0, passing);
  }

  /** The seconds from this one on. */
  from(second: number): SecondView[] {
    return [...this.#seconds.values()].filter((each) => each.second >= second);
  }

  #at(now: number): SecondView {
    const second = Math.floor(now / 1000);
    let found = this.#seconds.get(second);
    if (!found) {
      found = { second, passed: 0, failed: 0, outputs: 0, runs: 0, items: 0, largest: 0, lag: 0 };
      this.#seconds.set(second, found);
      for (const oldest of this.#seconds.keys()) {
        if (oldest > second - SECONDS) break;
        this.#seconds.delete(oldest);
      }
    }
    return found;
  }
}

/** Sums of the last seconds by name, of which rates are made. */
export class RecentSums {
  /** By second, the sums by name. The oldest comes first. */
  readonly #seconds = new Map<number, Map<string, number>>();

  /** @param now milliseconds since 1970 */
  add(now: number, name: string, count: number): void {
    const sums = this.#at(now);
    sums.set(name, (sums.get(name) ?? 0) + count);
  }

  most(now: number, name: string, value: number): void {
    const sums = this.#at(now);
    sums.set(name, Math.max(sums.get(name) ?? 0, value));
  }

  /** Per second. */
  rate(now: number, name: string): number {
    return this.#whole(now, name).reduce((sum, each) => sum + each, 0) / RATE_SECONDS;
  }

  largest(now: number, name: string): number {
    return Math.max(0, ...this.#whole(now, name));
  }

  /** The values of the last whole seconds. */
  #whole(now: number, name: string): number[] {
    const until = Math.floor(now / 1000);
    return [...this.#seconds]
      .filter(([second]) => second >= until - RATE_SECONDS && second < until)
      .map(([, sums]) => sums.get(name) ?? 0);
  }

  #at(now: number): Map<string, number> {
    const second = Math.floor(now / 1000);
    let sums = this.#seconds.get(second);
    if (!sums) {
      sums = new Map();
      this.#seconds.set(second, sums);
      for (const oldest of this.#seconds.keys()) {
        if (oldest >= second - RATE_SECONDS) break;
        this.#seconds.delete(oldest);
      }
    }
    return sums;
  }
}
