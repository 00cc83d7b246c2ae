import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  BLUE,
  bytesOfTexture,
  canvas,
  GREEN,
  NOTHING,
  picture,
  RED,
  RENDER_ATTACHMENT,
  TEXTURE_COPY_DST,
  TEXTURE_COPY_SRC,
  WHITE,
} from './render-support.js';
import { thrown } from './support.js';

/** Local Dawn accepts no image that exists in Node. */
const deviation = { deviation: 'no image can be copied' } as const;

const names = { r: RED, g: GREEN, b: BLUE, w: WHITE, '.': NOTHING };
const usage = RENDER_ATTACHMENT | TEXTURE_COPY_SRC | TEXTURE_COPY_DST;
const target = (device: GPUDevice, descriptor: Partial<GPUTextureDescriptor> = {}) =>
  canvas(device, { size: [2, 2], usage, ...descriptor });

interface Image {
  data: Uint8ClampedArray | Uint8Array;
  width: number;
  height: number;
  colorSpace?: string;
}

/** An image like a library's ImageData. */
function image(rows: readonly (readonly number[])[][], colorSpace?: string): Image {
  const data = Uint8ClampedArray.from(rows.flat(2));
  return { data, width: rows[0]?.length ?? 0, height: rows.length, ...(colorSpace && { colorSpace }) };
}

const quarters = image([
  [RED, GREEN],
  [BLUE, WHITE],
]);

function copy(
  device: GPUDevice,
  source: unknown,
  destination: object,
  size: unknown = [2, 2],
  more: object = {},
): void {
  const { queue } = device;
  (queue.copyExternalImageToTexture as (...args: unknown[]) => void).call(
    queue,
    { source, ...more },
    destination,
    size,
  );
}

/** The texel that a pixel is copied to. */
async function texel(
  device: GPUDevice,
  pixel: readonly number[],
  format: GPUTextureFormat,
  bytesPerTexel: number,
  { tags = {}, colorSpace }: { tags?: object; colorSpace?: string } = {},
): Promise<ArrayBuffer> {
  const texture = target(device, { size: [1, 1], format });
  copy(device, image([[pixel]], colorSpace), { texture, ...tags }, [1, 1]);
  return (await bytesOfTexture(device, texture, { bytesPerTexel })).buffer as ArrayBuffer;
}

describe('GPUQueue.copyExternalImageToTexture', () => {
  parity(
    'copies an image with its pixels at the time of the call',
    async ({ device, valid }) => {
      const texture = target(device);
      const data = quarters.data.slice();
      await valid(() => {
        copy(device, { ...quarters, data }, { texture });
        data.fill(0);
      });
      expect(await picture(device, texture, names)).toEqual(['rg', 'bw']);
    },
    deviation,
  );

  parity(
    'an image may have plain bytes or a Buffer',
    async ({ device }) => {
      const texture = target(device);
      copy(device, { ...quarters, data: Buffer.from(quarters.data) }, { texture });
      expect(await picture(device, texture, names)).toEqual(['rg', 'bw']);
    },
    deviation,
  );

  parity(
    'copies a part of an image, from an origin to an origin',
    async ({ device }) => {
      const texture = target(device, { size: [3, 3, 2] });
      copy(device, quarters, { texture, origin: [2, 1, 1] }, { width: 1, height: 2 }, { origin: { x: 1 } });
      expect(await picture(device, texture, names, { layer: 1 })).toEqual(['...', '..g', '..w']);
      expect(await picture(device, texture, names, { layer: 0 })).toEqual(['...', '...', '...']);
    },
    deviation,
  );

  parity(
    'flips the copied part of an image',
    async ({ device }) => {
      const texture = target(device);
      copy(device, quarters, { texture }, [2, 2], { flipY: true });
      expect(await picture(device, texture, names)).toEqual(['bw', 'rg']);
      copy(device, quarters, { texture }, [2, 1], { flipY: true });
      expect(await picture(device, texture, names)).toEqual(['rg', 'rg']);
    },
    deviation,
  );

  parity(
    'leaves alpha unchanged, or multiplies by it',
    async ({ device }) => {
      const pixel = [200, 100, 50, 51];
      const bytes = async (tags: object) => [
        ...new Uint8Array(await texel(device, pixel, 'rgba8unorm', 4, { tags })),
      ];
      expect(await bytes({})).toEqual(pixel);
      expect(await bytes({ premultipliedAlpha: true })).toEqual([40, 20, 10, 51]);
    },
    deviation,
  );

  parity(
    'encodes an image for the format of the texture',
    async ({ device }) => {
      const pixel = [255, 51, 0, 102];
      const u8 = async (format: GPUTextureFormat, bytes: number) => [
        ...new Uint8Array(await texel(device, pixel, format, bytes)),
      ];
      const u16 = async (format: GPUTextureFormat, bytes: number) => [
        ...new Uint16Array(await texel(device, pixel, format, bytes)),
      ];
      const f32 = async (format: GPUTextureFormat, bytes: number) =>
        [...new Float32Array(await texel(device, pixel, format, bytes))].map(
          (each) => Math.round(each * 1e4) / 1e4,
        );
      expect(await u8('r8unorm', 1)).toEqual([255]);
      expect(await u8('rg8unorm', 2)).toEqual([255, 51]);
      expect(await u8('rgba8unorm-srgb', 4)).toEqual(pixel);
      expect(await u8('bgra8unorm', 4)).toEqual([0, 51, 255, 102]);
      expect(await u8('bgra8unorm-srgb', 4)).toEqual([0, 51, 255, 102]);
      // Halves: 1, the nearest to 0.2, 0, and the nearest to 0.4.
      expect(await u16('rgba16float', 8)).toEqual([0x3c00, 0x3266, 0, 0x3666]);
      expect(await u16('rg16float', 4)).toEqual([0x3c00, 0x3266]);
      expect(await u16('r16float', 2)).toEqual([0x3c00]);
      expect(await f32('r32float', 4)).toEqual([1]);
      expect(await f32('rg32float', 8)).toEqual([1, 0.2]);
      expect(await f32('rgba32float', 16)).toEqual([1, 0.2, 0, 0.4]);
      const [packed = 0] = new Uint32Array(await texel(device, pixel, 'rgb10a2unorm', 4));
      expect([packed & 1023, (packed >>> 10) & 1023, (packed >>> 20) & 1023, packed >>> 30]).toEqual([
        1023, 205, 0, 1,
      ]);
    },
    deviation,
  );

  parity(
    'encodes small floats if the feature is enabled',
    async ({ device }) => {
      const [packed = 0] = new Uint32Array(await texel(device, [255, 51, 0, 102], 'rg11b10ufloat', 4));
      // 1, the nearest to 0.2 with 6 bits of fraction, and 0.
      expect([packed & 2047, (packed >>> 11) & 2047, packed >>> 22]).toEqual([0x3c0, 0x326, 0]);
    },
    { ...deviation, features: ['rg11b10ufloat-renderable'] },
  );

  parity(
    'converts an image between color spaces',
    async ({ device }) => {
      const convert = async (pixel: number[], from: string, colorSpace: string) => [
        ...new Uint8Array(
          await texel(device, pixel, 'rgba8unorm', 4, { tags: { colorSpace }, colorSpace: from }),
        ),
      ];
      // https://drafts.csswg.org/css-color-4: the red of srgb is color(display-p3 0.91749 0.20029 0.13856).
      expect(await convert(RED, 'srgb', 'display-p3')).toEqual([234, 51, 35, 255]);
      expect(await convert([234, 51, 35, 255], 'display-p3', 'srgb')).toEqual([255, 0, 0, 255]);
      expect(await convert(WHITE, 'display-p3', 'srgb')).toEqual(WHITE);
      expect(await convert(RED, 'display-p3', 'display-p3')).toEqual(RED);
      expect(await convert([188, 0, 255, 128], 'srgb', 'srgb-linear')).toEqual([128, 0, 255, 128]);
    },
    deviation,
  );

  parity(
    'keeps colors outside the gamut in float formats',
    async ({ device }) => {
      const bytes = await texel(device, RED, 'rgba32float', 16, { colorSpace: 'display-p3' });
      const [r = 0, g = 0] = new Float32Array(bytes);
      expect(r).toBeCloseTo(1.0931, 3);
      expect(g).toBeCloseTo(-0.2267, 3);
    },
    deviation,
  );

  parity(
    'a part outside the image throws OperationError',
    ({ device }) => {
      const texture = target(device, { size: [4, 4] });
      for (const [size, origin] of [
        [[3, 2], []],
        [[2, 3], []],
        [[2, 2], [1]],
        [
          [1, 1],
          [0, 2],
        ],
        [[1, 1, 2], []],
      ]) {
        const error = thrown(() => copy(device, quarters, { texture }, size, { origin }));
        expect(error).toBeInstanceOf(DOMException);
        expect(error.name).toBe('OperationError');
      }
    },
    deviation,
  );

  parity(
    'copying nothing is valid',
    async ({ device, valid }) => {
      await valid(() => copy(device, quarters, { texture: target(device) }, [0, 0]));
      await valid(() => copy(device, quarters, { texture: target(device) }, [2, 2, 0]));
    },
    deviation,
  );

  const wrong: [why: string, descriptor: Partial<GPUTextureDescriptor>, size?: number[]][] = [
    ['a texture without COPY_DST', { usage: RENDER_ATTACHMENT }],
    ['a texture without RENDER_ATTACHMENT', { usage: TEXTURE_COPY_DST }],
    ['a format without images', { format: 'rgba8uint' }],
    ['a depth format', { format: 'depth16unorm' }],
    ['a texture of several samples', { sampleCount: 4, usage: usage | 0x4 }],
    ['a box', { size: [2, 2, 2], dimension: '3d' }],
    ['a texture that is smaller', { size: [1, 2] }],
  ];
  for (const [why, descriptor] of wrong) {
    parity(
      `${why} is a validation error`,
      async ({ device, invalid }) => {
        const texture = target(device, { label: 'wrong', ...descriptor });
        await invalid(() => copy(device, quarters, { texture }));
      },
      deviation,
    );
  }

  parity(
    "a destroyed texture and another device's are validation errors",
    async ({ device, newDevice, invalid }) => {
      const gone = target(device, { label: 'gone' });
      gone.destroy();
      await invalid(() => copy(device, quarters, { texture: gone }));
      const foreign = target(await newDevice(), { label: 'foreign' });
      await invalid(() => copy(device, quarters, { texture: foreign }));
    },
    deviation,
  );

  parity('a source that is not an image throws a TypeError', ({ device }) => {
    const texture = target(device);
    for (const source of [
      {},
      null,
      'image.png',
      new Uint8Array(16),
      { data: [1, 2, 3, 4], width: 1, height: 1 },
      { data: new Float32Array(16), width: 2, height: 2 },
      { data: new Uint8Array(15), width: 2, height: 2 },
      { getContext() {}, width: 2, height: 2 },
    ]) {
      expect(thrown(() => copy(device, source, { texture }))).toBeInstanceOf(TypeError);
    }
  });

  parity('unknown enumeration values throw a TypeError', ({ device }) => {
    const texture = target(device);
    expect(thrown(() => copy(device, quarters, { texture, colorSpace: 'rec2020' }))).toBeInstanceOf(
      TypeError,
    );
    expect(thrown(() => copy(device, quarters, { texture: {} }))).toBeInstanceOf(TypeError);
    expect(thrown(() => copy(device, { ...quarters, colorSpace: 'rec2020' }, { texture }))).toBeInstanceOf(
      TypeError,
    );
    expect(thrown(() => copy(device, quarters, { texture }, [2, 2], { origin: [0, 0, 0] }))).toBeInstanceOf(
      TypeError,
    );
    expect(thrown(() => copy(device, quarters, { texture }, []))).toBeInstanceOf(TypeError);
  });
});
