import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { textureParts } from '#farlight/client/api/textures/write-parts.js';
import { openGpu } from '#farlight/server/gpu/open-gpu.js';

let device: GPUDevice | undefined;

beforeAll(async () => {
  const adapter = await (await openGpu('null')).gpu.requestAdapter();
  device = await adapter?.requestDevice({
    requiredFeatures: [...COMPRESSIONS].filter((feature) => adapter.features.has(feature)),
  });
});
afterAll(() => {
  device?.destroy();
  device = undefined;
});

const COMPRESSIONS: GPUFeatureName[] = [
  'texture-compression-bc',
  'texture-compression-etc2',
  'texture-compression-astc',
];
const FORMATS = [
  'r8unorm',
  'rg8snorm',
  'rgba8unorm-srgb',
  'bgra8unorm',
  'r16float',
  'rg16uint',
  'rgba16sint',
  'r32float',
  'rg32uint',
  'rgba32float',
  'rgb10a2unorm',
  'rg11b10ufloat',
  'rgb9e5ufloat',
  'bc1-rgba-unorm',
  'bc4-r-snorm',
  'bc6h-rgb-ufloat',
  'bc7-rgba-unorm-srgb',
  'etc2-rgb8a1unorm',
  'etc2-rgba8unorm',
  'eac-r11snorm',
  'eac-rg11unorm',
  'astc-5x4-unorm',
  'astc-8x8-unorm-srgb',
  'depth16unorm',
  'stencil8',
] as const;

const PART_BYTES = 2048;

const often = <T>(usual: T, ...others: T[]) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );
/** Numbers of texels: some are whole blocks in every format, some are not. */
const whole = (most: number) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: most }).map((count) => count * 40) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: most * 40 }) },
  );
const few = (min: number, max: number) => fc.integer({ min, max });

/** Writes near the border between valid and invalid. */
const writes = fc.record({
  format: fc.constantFrom(...FORMATS),
  dimension: fc.constantFrom('2d' as const, '2d' as const, '3d' as const, '1d' as const),
  textureSize: fc.tuple(few(1, 3), few(1, 3), few(1, 4)),
  mipLevelCount: few(1, 2),
  mipLevel: often(0, 1, 2),
  sampleCount: often(1, 4),
  usage: often(3, 1, 2),
  origin: fc.tuple(often(0, 1, 40), often(0, 2, 40), often(0, 1, 2)),
  size: fc.tuple(whole(2), whole(2), few(0, 4)),
  offset: few(0, 9),
  bytesPerRow: fc.constantFrom(undefined, 40, 80, 160, 320, 321, 640, 1280, 2048, 2049),
  rowsPerImage: fc.constantFrom(undefined, 10, 40, 41, 80, 100),
  dataSize: fc.oneof(fc.constant(400_000), few(0, 200_000)),
});

it('cuts a write only if its whole is valid, and then each part is valid, too', async () => {
  const gpu = device as GPUDevice;
  let cut = 0;
  await fc.assert(
    fc.asyncProperty(writes, async (write) => {
      const { format, dimension, mipLevelCount, mipLevel, sampleCount, usage, origin } = write;
      const size: [number, number, number] = [
        write.textureSize[0] * 40,
        dimension === '1d' ? 1 : write.textureSize[1] * 40,
        dimension === '1d' ? 1 : write.textureSize[2],
      ];
      const { offset, bytesPerRow, rowsPerImage } = write;
      const layout = {
        offset,
        ...(bytesPerRow === undefined ? {} : { bytesPerRow }),
        ...(rowsPerImage === undefined ? {} : { rowsPerImage }),
      };
      const data = new Uint8Array(write.dataSize);
      const descriptor = { size, format, dimension, mipLevelCount, sampleCount, usage };
      gpu.pushErrorScope('validation');
      let texture: GPUTexture;
      try {
        texture = gpu.createTexture(descriptor);
      } catch {
        // The client rejects a format without its feature.
        await gpu.popErrorScope();
        return;
      }
      // The host finds errors of the texture itself.
      if (await gpu.popErrorScope()) return;
      const destination = { texture, mipLevel, origin, aspect: 'all' as const };
      const parts = textureParts({ descriptor, size }, destination, data, layout, write.size, PART_BYTES);
      if (!parts) return;
      cut += 1;
      gpu.pushErrorScope('validation');
      gpu.queue.writeTexture(destination, data, layout, write.size);
      for (const part of parts) {
        expect(part.data.length).toBeLessThanOrEqual(PART_BYTES);
        const layout = part.layout as GPUTexelCopyBufferLayout;
        gpu.queue.writeTexture(
          { texture, mipLevel, origin: part.origin },
          part.data as Uint8Array<ArrayBuffer>,
          layout,
          part.size,
        );
      }
      const error = await gpu.popErrorScope();
      expect(error?.message).toBeUndefined();
      texture.destroy();
    }),
    { numRuns: 20_000, seed: 7 },
  );
  expect(cut).toBeGreaterThan(200);
}, 120_000);
