import { Histogram } from '../../page/figures.js';
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
