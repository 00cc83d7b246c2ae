import type { ImageColorSpace } from '../../../proto/webidl/image.js';
import type { Color } from './texel-encoding.js';

type Matrix = readonly [red: Row, green: Row, blue: Row];
type Row = readonly [r: number, g: number, b: number];

/** Between linear values, from https://drafts.csswg.org/css-color-4/#color-conversion-code */
const P3_TO_SRGB: Matrix = [
  [1.2249401762805598, -0.22494017628055996, 0],
  [-0.042056954709688163, 1.0420569547096881, 0],
  [-0.019637554590334432, -0.078636045550631889, 1.0982736001409663],
];
const SRGB_TO_P3: Matrix = [
  [0.8224619687143623, 0.17753803128563775, 0],
  [0.03319419885096163, 0.96680580114903847, 0],
  [0.017082630811207, 0.072397440663963, 0.910519928524829],
];

/**
 * A conversion between two color spaces; undefined if they are the same. Results may lie outside 0 to 1 if
 * the destination's gamut is smaller. Float formats keep such values.
 */
export function colorConversion(
  from: ImageColorSpace,
  to: ImageColorSpace,
): ((color: Color) => Color) | undefined {
  if (from === to) return undefined;
  const wide = (space: ImageColorSpace) => space.startsWith('display-p3');
  const linear = (space: ImageColorSpace) => space.endsWith('-linear');
  const matrix = wide(from) === wide(to) ? undefined : wide(from) ? P3_TO_SRGB : SRGB_TO_P3;
  return ([r, g, b, a]) => {
    let values: Row = linear(from) ? [r, g, b] : [decode(r), decode(g), decode(b)];
    if (matrix) values = multiply(matrix, values);
    const [red, green, blue] = values;
    return linear(to) ? [red, green, blue, a] : [encode(red), encode(green), encode(blue), a];
  };
}

function multiply(matrix: Matrix, [r, g, b]: Row): Row {
  const component = (row: Row) => row[0] * r + row[1] * g + row[2] * b;
  return [component(matrix[0]), component(matrix[1]), component(matrix[2])];
}

/** The transfer function of sRGB, which display-p3 shares; negative values are mirrored. */
function decode(value: number): number {
  const size = Math.abs(value);
  return Math.sign(value) * (size <= 0.04045 ? size / 12.92 : ((size + 0.055) / 1.055) ** 2.4);
}

function encode(value: number): number {
  const size = Math.abs(value);
  return Math.sign(value) * (size <= 0.0031308 ? size * 12.92 : 1.055 * size ** (1 / 2.4) - 0.055);
}
