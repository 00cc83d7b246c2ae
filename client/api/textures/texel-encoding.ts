import type { ExternalImageFormat } from '../../../proto/external-image.js';

/** Red, green, blue and alpha, from 0 to 1. */
export type Color = [r: number, g: number, b: number, a: number];

/** How a format stores one texel. */
interface Encoding {
  readonly bytes: number;
  write(view: DataView, at: number, color: Color): void;
}

const unorm = (value: number, max: number) => Math.round(Math.min(Math.max(value, 0), 1) * max);

/** Writes one component after the other, in the order of `components`. */
function componentwise(
  size: number,
  components: readonly number[],
  put: (view: DataView, at: number, value: number) => void,
): Encoding {
  return {
    bytes: size * components.length,
    write(view, at, color) {
      components.forEach((component, index) => {
        put(view, at + index * size, color[component] as number);
      });
    },
  };
}

const unorm8 = (components: readonly number[]) =>
  componentwise(1, components, (view, at, value) => view.setUint8(at, unorm(value, 255)));
const unorm16 = (components: readonly number[]) =>
  componentwise(2, components, (view, at, value) => view.setUint16(at, unorm(value, 65535), true));
const float16 = (components: readonly number[]) =>
  componentwise(2, components, (view, at, value) => view.setUint16(at, toHalf(value), true));
const float32 = (components: readonly number[]) =>
  componentwise(4, components, (view, at, value) => view.setFloat32(at, value, true));

const [R, RG, RGBA, BGRA] = [[0], [0, 1], [0, 1, 2, 3], [2, 1, 0, 3]] as const;

export const ENCODINGS: Readonly<Record<ExternalImageFormat, Encoding>> = {
  r8unorm: unorm8(R),
  r16unorm: unorm16(R),
  r16float: float16(R),
  r32float: float32(R),
  rg8unorm: unorm8(RG),
  rg16unorm: unorm16(RG),
  rg16float: float16(RG),
  rg32float: float32(RG),
  rgba8unorm: unorm8(RGBA),
  // An image is already encoded the way these formats are.
  'rgba8unorm-srgb': unorm8(RGBA),
  bgra8unorm: unorm8(BGRA),
  'bgra8unorm-srgb': unorm8(BGRA),
  rgb10a2unorm: {
    bytes: 4,
    write(view, at, [r, g, b, a]) {
      const packed = unorm(r, 1023) | (unorm(g, 1023) << 10) | (unorm(b, 1023) << 20) | (unorm(a, 3) << 30);
      view.setUint32(at, packed >>> 0, true);
    },
  },
  rg11b10ufloat: {
    bytes: 4,
    write(view, at, [r, g, b]) {
      const [red, green] = [r, g].map((value) => toSmallFloat(Math.max(value, 0), 6)) as [number, number];
      view.setUint32(at, (red | (green << 11) | (toSmallFloat(Math.max(b, 0), 5) << 22)) >>> 0, true);
    },
  },
  rgba16unorm: unorm16(RGBA),
  rgba16float: float16(RGBA),
  rgba32float: float32(RGBA),
};

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The nearest IEEE 754 half, ties to even; infinity beyond the largest half. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  return sign | toSmallFloat(Math.abs(value), 10);
}

/** Encodes a number from 0 on as a float with 5 bits of exponent and `fractionBits` of fraction. */
function toSmallFloat(value: number, fractionBits: number): number {
  const infinity = 31 << fractionBits;
  if (Number.isNaN(value)) return infinity | (1 << (fractionBits - 1));
  // Below the smallest normal number, all numbers are multiples of one step.
  if (value < 2 ** -14) return roundToEven(value * 2 ** (14 + fractionBits));
  float[0] = value;
  const shift = 23 - fractionBits;
  // A 32-bit float has a bias of 127, this one has a bias of 15.
  const rebiased = (bits[0] as number) - (112 << 23);
  const odd = (rebiased >>> shift) & 1;
  return Math.min((rebiased + (1 << (shift - 1)) - 1 + odd) >>> shift, infinity);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
