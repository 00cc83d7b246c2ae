/**
 * The range of protocol versions that this build speaks, both ends included. The protocol covers the packets of a
 * session and the frames in them. A change that an older peer would misread raises the maximum. The end of support for
 * an old version raises the minimum.
 */
export const PROTOCOL = { min: 3, max: 3 } as const;

/** The highest protocol version that both ranges contain, or undefined where they share none. */
export function negotiate(
  a: { min: number; max: number },
  b: { min: number; max: number },
): number | undefined {
  const highest = Math.min(a.max, b.max);
  return highest >= Math.max(a.min, b.min) ? highest : undefined;
}
