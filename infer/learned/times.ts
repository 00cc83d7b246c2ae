import type { Affine } from '../schedule/costs.js';

/** The share of the newest run in what is known. A GPU that others use too changes its speed. */
const NEWEST = 1 / 16;
/** A batch whose runs count for less than this part of one run is forgotten. */
const LEAST_RUNS = 1e-6;
/** Shorter times count as this one when errors are compared, in milliseconds. */
const SHORTEST = 0.1;

/** The runs of one batch. */
interface Mean {
  readonly batch: number;
  /** Their mean time. The newest runs count most. */
  ms: number;
  /** How many runs it stands for: each newer run of any batch takes its part of it. */
  runs: number;
}

/** Learns the time of a model's runs: the line that is nearest to the recent times of all batches. */
export class Times {
  readonly #means = new Map<number, Mean>();

  /** Adds the milliseconds of a run with this batch. */
  observe(batch: number, ms: number): void {
    for (const mean of this.#means.values()) {
      mean.runs *= 1 - NEWEST;
      if (mean.runs < LEAST_RUNS && this.#means.size > 2) this.#means.delete(mean.batch);
    }
    const mean = this.#means.get(batch);
    if (!mean) this.#means.set(batch, { batch, ms, runs: 1 });
    else {
      mean.runs += 1;
      mean.ms += (ms - mean.ms) / mean.runs;
    }
  }

  /** By batch, the recent mean time; the batch that counts most comes first. */
  get means(): readonly { readonly batch: number; readonly ms: number }[] {
    const means = [...this.#means.values()].sort((a, b) => b.runs - a.runs);
    return means.map(({ batch, ms }) => ({ batch, ms }));
  }

  /**
   * Milliseconds of a run as a function of its batch: the least squares with neither part below 0. Times differ by a part
   * of themselves, so an error counts by the time that it is an error of.
   */
  get line(): Affine {
    let [weight, batches, times, power, product] = [0, 0, 0, 0, 0];
    for (const { batch, ms, runs } of this.#means.values()) {
      const each = runs / Math.max(SHORTEST, ms) ** 2;
      weight += each;
      batches += each * batch;
      times += each * ms;
      power += each * batch * batch;
      product += each * batch * ms;
    }
    if (weight === 0) return { base: 0, perItem: 0 };
    // A single batch does not show the fixed part. Rounding would.
    if (this.#means.size === 1) return { base: 0, perItem: times / batches };
    const squares = power - (batches * batches) / weight;
    // A longer run for fewer items is noise.
    const perItem = Math.max(0, (product - (batches * times) / weight) / squares);
    const base = (times - perItem * batches) / weight;
    if (base >= 0) return { base, perItem };
    return { base: 0, perItem: product / power };
  }
}
