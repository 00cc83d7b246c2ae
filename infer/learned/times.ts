import type { Affine } from '../schedule/costs.js';

/** The weight of the newest time in a batch's mean. A GPU that others use too changes its speed. */
const NEWEST = 1 / 4;

/** Learns the time of a model's runs: the line that is nearest to the mean times of its batches. */
export class Times {
  /** By batch, the recent mean time, and the number of runs in it. */
  readonly #means = new Map<number, { ms: number; runs: number }>();

  /** Adds the milliseconds of a run with this batch. */
  observe(batch: number, ms: number): void {
    const mean = this.#means.get(batch);
    if (!mean) this.#means.set(batch, { ms, runs: 1 });
    else {
      mean.runs += 1;
      mean.ms += (ms - mean.ms) * Math.max(NEWEST, 1 / mean.runs);
    }
  }

  /** By batch, the recent mean time. */
  get means(): readonly { readonly batch: number; readonly ms: number }[] {
    return [...this.#means].map(([batch, { ms }]) => ({ batch, ms }));
  }

  /** Milliseconds of a run as a function of its batch: the least squares with neither part below 0. */
  get line(): Affine {
    const { means } = this;
    const count = means.length;
    if (count === 0) return { base: 0, perItem: 0 };
    const meanBatch = means.reduce((sum, { batch }) => sum + batch, 0) / count;
    const meanMs = means.reduce((sum, { ms }) => sum + ms, 0) / count;
    let [both, squares] = [0, 0];
    for (const { batch, ms } of means) {
      both += (batch - meanBatch) * (ms - meanMs);
      squares += (batch - meanBatch) ** 2;
    }
    // A single batch does not show the fixed part. A longer run for fewer items is noise.
    if (squares === 0) return { base: 0, perItem: meanMs / meanBatch };
    const perItem = Math.max(0, both / squares);
    const base = meanMs - perItem * meanBatch;
    if (base >= 0) return { base, perItem };
    const product = means.reduce((sum, { batch, ms }) => sum + batch * ms, 0);
    const power = means.reduce((sum, { batch }) => sum + batch * batch, 0);
    return { base: 0, perItem: product / power };
  }
}
