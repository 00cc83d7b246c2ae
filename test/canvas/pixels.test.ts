import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHalf } from '#farlight/client/api/textures/texel-encoding.js';
import { type FramePixels, imageBytes } from '#farlight/client/canvas/pixels.js';

const frame = (given: Partial<FramePixels> & Pick<FramePixels, 'data'>): FramePixels => ({
  format: 'rgba8unorm',
  alphaMode: 'premultiplied',
  width: 1,
  height: 1,
  bytesPerRow: 256,
  ...given,
});

describe('the pixels of a frame', () => {
  it('takes the pixels of the rows, without the gaps between them', () => {
    const data = new Uint8Array(256 + 8).fill(99);
    data.set([1, 2, 3, 255, 4, 5, 6, 255]);
    data.set([7, 8, 9, 255, 10, 11, 12, 255], 256);
    const given = frame({ data, width: 2, height: 2 });
    expect([...imageBytes(given)]).toEqual([1, 2, 3, 255, 4, 5, 6, 255, 7, 8, 9, 255, 10, 11, 12, 255]);
    expect([...imageBytes({ ...given, format: 'bgra8unorm' })].slice(0, 8)).toEqual([
      3, 2, 1, 255, 6, 5, 4, 255,
    ]);
  });

  it('pixels of an opaque canvas have full alpha, whatever was drawn', () => {
    const data = Uint8Array.of(10, 20, 30, 0);
    expect([...imageBytes(frame({ data, alphaMode: 'opaque' }))]).toEqual([10, 20, 30, 255]);
  });

  it('pixels multiplied by alpha again are the drawn ones, to the nearest value', () => {
    const byte = fc.nat(255);
    fc.assert(
      fc.property(byte, byte, (alpha, value) => {
        const drawn = Math.min(value, alpha);
        const [red = 0, , , kept = 0] = imageBytes(frame({ data: Uint8Array.of(drawn, 0, 0, alpha) }));
        expect(kept).toBe(alpha);
        expect(Math.abs((red * alpha) / 255 - (alpha === 0 ? 0 : drawn))).toBeLessThanOrEqual(0.5);
      }),
    );
  });

  it('halves become the nearest byte, limited to its range', () => {
    const of = (...colors: number[]) => {
      const data = new Uint8Array(8);
      for (const [at, color] of colors.entries())
        new DataView(data.buffer).setUint16(2 * at, toHalf(color), true);
      return [...imageBytes(frame({ data, format: 'rgba16float', alphaMode: 'opaque' }))];
    };
    expect(of(0.5, 2, -1, 1)).toEqual([128, 255, 0, 255]);
    expect(of(2 ** -24, Number.POSITIVE_INFINITY, Number.NaN, 1)).toEqual([0, 255, 0, 255]);
    fc.assert(fc.property(fc.nat(255), (value) => of(value / 255)[0] === value));
  });
});
