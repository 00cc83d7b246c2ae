import type { Affine } from '../schedule/costs.js';

/** The peak of a run with one batch, in bytes. */
interface Peak {
  readonly batch: number;
  readonly bytes: number;
}

/**
 * Learns what memory the runs of a model take, from the peaks that were measured: a line that no peak is above. So a
 * batch that is planned by it is out of memory only where the model takes more than a line can say, and then it learns.
 *
 * One peak says nothing of what a run takes whatever its batch: until there is a second one, of another batch, a larger
 * batch is held to take as much for each item.
 */
export class Peaks {
  /** By batch, the highest peak. */
  readonly #highest = new Map<number, number>();
  #line: Affine = { base: 0, perItem: 0 };

  /** A run with this batch had its peak at so many bytes. True where that was more than was expected. */
  observe(batch: number, bytes: number): boolean {
    const known = this.#highest.get(batch);
    const more = this.#highest.size > 0 && bytes > this.at(batch);
    if (known !== undefined && bytes <= known) return more;
    this.#highest.set(batch, bytes);
    this.#line = lineAbove([...this.#highest].map(([batch, bytes]) => ({ batch, bytes })));
    return more;
  }

  /** A run with this batch was out of memory, with so many bytes free when it began: it takes more than those. */
  outOfMemory(batch: number, free: number): void {
    this.observe(batch, free + 1);
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
 * Of the lines that no peak is above and that fall nowhere, the one that is least above them in sum: it goes through two
 * neighbours of their upper hull, from 0 on.
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

/** The peaks that are above the lines between all others, by batch. */
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
