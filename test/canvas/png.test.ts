import fc from 'fast-check';
import { PNG } from 'pngjs';
import { describe, expect, it } from 'vitest';
import { encodePng } from '#farlight/client/canvas/picture.js';

describe('a PNG', () => {
  it('another decoder reads the same pixels from a PNG', async () => {
    const picture = fc
      .record({ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 40 }) })
      .chain(({ width, height }) =>
        fc
          .uint8Array({ minLength: 4 * width * height, maxLength: 4 * width * height })
          .map((data) => ({ width, height, data, colorSpace: 'srgb' as const })),
      );
    await fc.assert(
      fc.asyncProperty(picture, async (given) => {
        // pngjs checks the checksum of every chunk.
        const { width, height, data } = PNG.sync.read(Buffer.from(await encodePng(given)));
        expect([width, height]).toEqual([given.width, given.height]);
        expect([...data]).toEqual([...given.data]);
      }),
    );
  });

  it('a PNG is shorter than its pixels if each row resembles the one above', async () => {
    const [width, height] = [256, 256];
    const data = Uint8Array.from({ length: 4 * width * height }, (_, at) => (at * at) % 251);
    for (let at = 4 * width; at < data.length; at += 1) data[at] = (data[at - 4 * width] as number) + 1;
    const png = await encodePng({ width, height, data, colorSpace: 'srgb' });
    expect(png.length).toBeLessThan(data.length / 50);
  });

  it('a PNG names its color space', async () => {
    const chunks = async (colorSpace: 'srgb' | 'display-p3') => {
      const png = await encodePng({ width: 1, height: 1, data: Uint8Array.of(1, 2, 3, 4), colorSpace });
      return [
        ...Buffer.from(png)
          .toString('latin1')
          .matchAll(/IHDR|sRGB|cICP|IDAT|IEND/g),
      ].join();
    };
    expect(await chunks('srgb')).toBe('IHDR,sRGB,IDAT,IEND');
    expect(await chunks('display-p3')).toBe('IHDR,cICP,IDAT,IEND');
  });

  it('a PNG without pixels is an error', async () => {
    const empty = { width: 0, height: 5, data: new Uint8Array(0), colorSpace: 'srgb' } as const;
    await expect(encodePng(empty)).rejects.toThrow('a PNG needs at least one pixel; this picture is 0 x 5');
  });
});
