/** A box of a tensor: for each axis the first index in it, and the first index behind it. */
export interface Region {
  readonly start: readonly number[];
  readonly end: readonly number[];
}

/** The region of a whole tensor of this shape. */
export function wholeOf(shape: readonly number[]): Region {
  return { start: shape.map(() => 0), end: [...shape] };
}

/** How many elements a region has. A scalar's region, of no axes, has one. */
export function elementsOf({ start, end }: Region): number {
  let count = 1;
  for (let axis = 0; axis < start.length; axis += 1) count *= (end[axis] as number) - (start[axis] as number);
  return count;
}

/** The common region of both. Undefined if they have no element in common. */
export function intersection(a: Region, b: Region): Region | undefined {
  const start: number[] = [];
  const end: number[] = [];
  for (let axis = 0; axis < a.start.length; axis += 1) {
    const first = Math.max(a.start[axis] as number, b.start[axis] as number);
    const last = Math.min(a.end[axis] as number, b.end[axis] as number);
    if (first >= last) return undefined;
    start.push(first);
    end.push(last);
  }
  return { start, end };
}

/** How many elements are in at least one of these regions of one tensor. */
export function elementsOfUnion(regions: readonly Region[]): number {
  const [first, ...others] = regions;
  if (!first) return 0;
  if (others.length === 0) return elementsOf(first);
  // The bounds of all regions cut the tensor into cells. Each cell is wholly inside or wholly outside of each region.
  const bounds = first.start.map((_, axis) =>
    [...new Set(regions.flatMap(({ start, end }) => [start[axis] as number, end[axis] as number]))].sort(
      (x, y) => x - y,
    ),
  );
  let count = 0;
  const visit = (axis: number, elements: number, within: readonly Region[]): void => {
    if (within.length === 0) return;
    const cuts = bounds[axis];
    if (!cuts) {
      count += elements;
      return;
    }
    for (let index = 1; index < cuts.length; index += 1) {
      const [from, to] = [cuts[index - 1] as number, cuts[index] as number];
      const here = within.filter(
        ({ start, end }) => (start[axis] as number) <= from && (end[axis] as number) >= to,
      );
      visit(axis + 1, elements * (to - from), here);
    }
  };
  visit(0, 1, regions);
  return count;
}

/**
 * Divides `size` indices among parts in proportion to their weights. Returns the bounds of the parts, one more than there
 * are parts. A remaining index goes to the part with the largest remainder, the first of equals. A part may be empty.
 */
export function divide(size: number, weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const parts = weights.map((weight, part) => {
    const share = (size * weight) / total;
    return { part, count: Math.floor(share), remainder: share - Math.floor(share) };
  });
  let left = size - parts.reduce((sum, { count }) => sum + count, 0);
  const byRemainder = [...parts].sort((a, b) => b.remainder - a.remainder || a.part - b.part);
  for (const part of byRemainder) {
    if (left === 0) break;
    part.count += 1;
    left -= 1;
  }
  const bounds = [0];
  for (const { count } of parts) bounds.push((bounds.at(-1) as number) + count);
  return bounds;
}
