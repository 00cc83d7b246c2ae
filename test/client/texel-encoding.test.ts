import { describe, expect, test } from 'vitest';
import { colorConversion } from '#farlight/client/api/textures/color-spaces.js';
import { ENCODINGS, toHalf } from '#farlight/client/api/textures/texel-encoding.js';

/** The value of a half by definition. */
function halfValue(half: number): number {
  const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

describe('toHalf', () => {
  test('converts every half to a number and back', () => {
    for (let half = 0; half < 0x10000; half++) {
      const value = halfValue(half);
      if (Number.isNaN(value)) expect(toHalf(value) & 0x7fff).toBe(0x7e00);
      else expect(toHalf(value)).toBe(half);
    }
  });

  test('rounds halves to the nearest, and ties to even', () => {
    for (let half = 0; half < 0x7bff; half++) {
      const [low, high] = [halfValue(half), halfValue(half + 1)];
      const middle = (low + high) / 2;
      expect(toHalf(middle)).toBe(half % 2 === 0 ? half : half + 1);
      expect(toHalf(low + (high - low) * 0.49)).toBe(half);
      expect(toHalf(low + (high - low) * 0.51)).toBe(half + 1);
    }
  });

  test('halves are infinite from halfway beyond the largest', () => {
    expect(toHalf(65519.9)).toBe(0x7bff);
    expect(toHalf(65520)).toBe(0x7c00);
    expect(toHalf(-1e9)).toBe(0xfc00);
  });
});

describe('texel encodings', () => {
  test('small floats have no sign, and the range of halves', () => {
    const view = new DataView(new ArrayBuffer(4));
    const encoded = (r: number, g: number, b: number) => {
      ENCODINGS.rg11b10ufloat.write(view, 0, [r, g, b, 1]);
      const packed = view.getUint32(0, true);
      return [packed & 2047, (packed >>> 11) & 2047, packed >>> 22];
    };
    expect(encoded(1, 0.5, 2)).toEqual([15 << 6, 14 << 6, 16 << 5]);
    expect(encoded(-1, 1e9, 2 ** -19)).toEqual([0, 31 << 6, 1]);
  });

  test('unorm formats clamp values outside 0 to 1', () => {
    const view = new DataView(new ArrayBuffer(8));
    ENCODINGS.rgba8unorm.write(view, 2, [-1, 2, 0.5, 1]);
    expect([...new Uint8Array(view.buffer)]).toEqual([0, 0, 0, 255, 128, 255, 0, 0]);
    ENCODINGS.rgb10a2unorm.write(view, 4, [2, -1, 1, 1]);
    expect(view.getUint32(4, true)).toBe(0xfff003ff);
    ENCODINGS.r16unorm.write(view, 0, [0.5, 0, 0, 1]);
    expect(view.getUint16(0, true)).toBe(32768);
  });
});

describe('color spaces', () => {
  const spaces = ['srgb', 'srgb-linear', 'display-p3', 'display-p3-linear'] as const;

  test('converting a color to another space and back gives the same color, and never changes alpha', () => {
    for (const from of spaces) {
      for (const to of spaces) {
        const there = colorConversion(from, to) ?? ((color) => color);
        const back = colorConversion(to, from) ?? ((color) => color);
        const [r, g, b, a] = back(there([0.9, 0.02, 0.4, 0.3]));
        expect(r, `${from} ${to}`).toBeCloseTo(0.9, 6);
        expect(g).toBeCloseTo(0.02, 6);
        expect(b).toBeCloseTo(0.4, 6);
        expect(a).toBe(0.3);
      }
    }
  });

  test('grays are gray in every color space', () => {
    const [r, g, b] = colorConversion('srgb', 'display-p3')?.([0.5, 0.5, 0.5, 1]) ?? [];
    for (const component of [r, g, b]) expect(component).toBeCloseTo(0.5, 6);
  });
});
