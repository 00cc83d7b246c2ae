/** Numbers of 16 bits, as IEEE 754 has them: a sign, 5 bits of exponent, 10 of fraction. JavaScript has none of its own. */

const SMALLEST_NORMAL = 2 ** -14;
/** The distance between numbers below the smallest normal one. */
const STEP = 2 ** -24;

/** The bits of the nearest half; of two that are equally near, the even one. */
export function halfOf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  if (size < SMALLEST_NORMAL) return sign + toEven(size / STEP);
  if (size >= 65_520) return sign + 0x7c00;
  // Of a number this size the logarithm may be off by one at a power of two.
  let exponent = Math.floor(Math.log2(size));
  if (2 ** exponent > size) exponent -= 1;
  else if (2 ** (exponent + 1) <= size) exponent += 1;
  // A fraction that rounds up to 1024 carries into the exponent, as it should.
  return sign + ((exponent + 15) << 10) + toEven((size / 2 ** exponent - 1) * 1024);
}

/** The number that the bits of a half mean. */
export function numberOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * STEP;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

function toEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest === 0.5) return below + (below % 2);
  return rest > 0.5 ? below + 1 : below;
}
