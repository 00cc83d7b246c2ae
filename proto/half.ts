/** Numbers of 16 bits, as IEEE 754 has them: a sign, 5 bits of exponent, 10 of fraction. JavaScript has none of its own. */

/** The bits of the nearest half; of two that are equally near, the even one. */
export function halfOf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65_520) return sign | 0x7c00;
  // The distance between two neighbours of this size; below 2 ** -14 it stays the same.
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  const steps = size / 2 ** (exponent - 10);
  const low = Math.floor(steps);
  const rest = steps - low;
  const rounded = rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
  // The bits of neighbours are neighbours too, also where the exponent grows.
  return sign | ((exponent + 14) * 1024 + rounded);
}

/** The number that the bits of a half mean. */
export function numberOfHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
