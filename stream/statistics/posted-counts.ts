import type { PostedView } from './application-view.js';
import { RecentSums } from './history.js';

/** The most pairs of a tenant and a source. */
const MOST_PAIRS = 1024;

interface Counts {
  readonly tenant: string;
  readonly source: string;
  records: number;
  repeated: number;
  refused: number;
}

/** The records that tenants have posted. */
export class PostedCounts {
  readonly #time: () => number;
  /** The least recently used comes first. */
  readonly #counts = new Map<string, Counts>();
  readonly #sums = new RecentSums();

  /** `time` returns milliseconds since 1970. */
  constructor({ time }: { time(): number }) {
    this.#time = time;
  }

  add(
    { tenant, source }: { tenant: string; source: string },
    counts: Partial<Pick<Counts, 'records' | 'repeated' | 'refused'>>,
  ): void {
    const key = JSON.stringify([tenant, source]);
    const found = this.#counts.get(key) ?? { tenant, source, records: 0, repeated: 0, refused: 0 };
    this.#counts.delete(key);
    this.#counts.set(key, found);
    const { records = 0, repeated = 0, refused = 0 } = counts;
    found.records += records;
    found.repeated += repeated;
    found.refused += refused;
    this.#sums.add(this.#time(), key, records);
    if (this.#counts.size > MOST_PAIRS) this.#counts.delete(this.#counts.keys().next().value as string);
  }

  view(tenant?: string): PostedView[] {
    const now = this.#time();
    return [...this.#counts]
      .filter(([, counts]) => tenant === undefined || counts.tenant === tenant)
      .map(([key, counts]) => ({ ...counts, rate: this.#sums.rate(now, key) }));
  }
}
