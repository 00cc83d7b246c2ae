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

export function lengthsOf({ start, end }: Region): number[] {
  return end.map((to, axis) => to - (start[axis] as number));
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
