import type { Affine } from '../schedule/costs.js';

/** The peak of a run with one batch, in bytes. */
export interface Peak {
  readonly batch: number;
  readonly bytes: number;
}

/**
 * Learns the memory of a model's runs from measured peaks, as a line with no peak above it. A batch that is planned by
 * this line is out of memory only if the model needs more than any line can express. Then the line learns from it.
 *
 * One peak does not show the part that is the same for every batch. Until there is a second peak, of another batch, all
 * of it counts as memory of the items.
 */
export class Peaks {
  /** By batch, the highest peak. */
  readonly #highest = new Map<number, number>();
  #line: Affine = { base: 0, perItem: 0 };

  /** Adds the measured peak of a run with this batch. Returns true if it was higher than expected. */
  observe(batch: number, bytes: number): boolean {
    const known = this.#highest.get(batch);
    const more = this.#highest.size > 0 && bytes > this.at(batch);
    if (known !== undefined && bytes <= known) return more;
    this.#highest.set(batch, bytes);
    this.#line = lineAbove([...this.#highest].map(([batch, bytes]) => ({ batch, bytes })));
    return more;
  }

  /** A run with this batch was out of memory. It needs more than the bytes that were free at its begin. */
  outOfMemory(batch: number, free: number): void {
    this.observe(batch, free + 1);
  }

  /** Whether any peak was observed. */
  get isKnown(): boolean {
    return this.#highest.size > 0;
  }

  /** The peaks that the line depends on: observed again, they give the same one. */
  get hull(): readonly Peak[] {
    return upperHull([...this.#highest].map(([batch, bytes]) => ({ batch, bytes })));
  }

  /** Bytes of a run, as a function of its batch. */
  get line(): Affine {
    return this.#line;
  }

  at(batch: number): number {
    return this.#line.base + this.#line.perItem * batch;
  }
}

/**
 * The lowest line, in sum, that has no peak above it and does not fall. It goes through two neighbours of the upper hull
 * of the peaks, with 0 as the first point.
 */
function lineAbove(peaks: readonly Peak[]): Affine {
  const hull = upperHull([{ batch: 0, bytes: 0 }, ...peaks]);
  let best: Affine = { base: 0, perItem: 0 };
  let least = Number.POSITIVE_INFINITY;
  for (const [index, to] of hull.entries()) {
    const from = hull[index - 1];
    if (!from) continue;
    const perItem = Math.max(0, (to.bytes - from.bytes) / (to.batch - from.batch));
    const base = Math.max(...hull.map(({ batch, bytes }) => bytes - perItem * batch));
    const above = peaks.reduce((sum, { batch, bytes }) => sum + base + perItem * batch - bytes, 0);
    if (above < least) [best, least] = [{ base, perItem }, above];
  }
  return best;
}

/** The upper hull: the peaks that are above the lines between all others, by batch. */
function upperHull(peaks: readonly Peak[]): Peak[] {
  const hull: Peak[] = [];
  for (const peak of [...peaks].sort((a, b) => a.batch - b.batch)) {
    for (;;) {
      const [before, last] = hull.slice(-2);
      if (!before || !last) break;
      const rise = (last.bytes - before.bytes) * (peak.batch - before.batch);
      if (rise > (peak.bytes - before.bytes) * (last.batch - before.batch)) break;
      hull.pop();
    }
    hull.push(peak);
  }
  return hull;
}
