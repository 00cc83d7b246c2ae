import { BySecond } from '../../infer/statistics/by-second.js';

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
  readonly #seconds = new BySecond(SECONDS, emptySecond);

  /** @param now milliseconds since 1970 */
  add(now: number, counts: Partial<Record<Counted, number>>): void {
    const second = this.#seconds.at(now);
    for (const [name, count] of Object.entries(counts) as [Counted, number][]) {
      if (name === 'largest' || name === 'lag') second[name] = Math.max(second[name], count);
      else second[name] += count;
    }
  }

  looked(now: number, { waiting, passing }: { waiting: number; passing: number }): void {
    const second = this.#seconds.at(now);
    second.waiting = Math.max(second.waiting ?? 0, waiting);
    second.passing = Math.max(second.passing ?? 0, passing);
  }

  /** The seconds from this one on. */
  from(second: number): SecondView[] {
    return [...this.#seconds].flatMap(([at, view]) => (at >= second ? [view] : []));
  }
}

function emptySecond(second: number): SecondView {
  return { second, passed: 0, failed: 0, outputs: 0, runs: 0, items: 0, largest: 0, lag: 0 };
}

/** Sums of the last seconds by name, of which rates are made. */
export class RecentSums {
  /** The sums by name: of the seconds that a rate is made of, and of the one that is not over yet. */
  readonly #seconds = new BySecond(RATE_SECONDS + 1, () => new Map<string, number>());

  /** @param now milliseconds since 1970 */
  add(now: number, name: string, count: number): void {
    const sums = this.#seconds.at(now);
    sums.set(name, (sums.get(name) ?? 0) + count);
  }

  most(now: number, name: string, value: number): void {
    const sums = this.#seconds.at(now);
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
}
