import { PARTS, type Part } from '../service/request-span.js';
import { noTimes, type PartTimes } from './parts.js';

/** The sums of the parts, and a histogram, of a model's requests since the start: for Prometheus. */
export class ModelTotals {
  readonly parts: Record<Part, number> = noTimes();
  readonly seconds: Histogram = new Histogram(REQUEST_SECONDS);

  add(ms: number, parts: PartTimes): void {
    for (const part of PARTS) this.parts[part] += parts[part];
    this.seconds.add(ms / 1000);
  }
}

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Counts of values up to each bound, as Prometheus has them. */
export class Histogram {
  readonly bounds: readonly number[];
  /** Of each bound, the values that are no larger, and larger than the bound before. The last has the rest. */
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = [...bounds, 0].fill(0);
  }

  add(value: number, times = 1): void {
    const index = this.bounds.findIndex((bound) => value <= bound);
    const bucket = index < 0 ? this.bounds.length : index;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + times;
    this.sum += value * times;
    this.count += times;
  }
}
