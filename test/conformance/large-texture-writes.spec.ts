import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { TEXTURE_BINDING, TEXTURE_COPY_DST, TEXTURE_COPY_SRC } from './render-support.js';
import { COPY_DST, MAP_READ, READ } from './support.js';

const [WIDTH, HEIGHT, LAYERS] = [256, 600, 5];
const ROW = WIDTH * 4;

const pattern = (size: number) =>
  new Uint8Array(
    Uint32Array.from({ length: Math.ceil(size / 4) }, (_, at) => Math.imul(at + 1, 2654435761)).buffer,
  ).subarray(0, size);

const image = (device: GPUDevice, descriptor: Partial<GPUTextureDescriptor> = {}) =>
  device.createTexture({
    size: [WIDTH, HEIGHT, LAYERS],
    format: 'r32uint',
    usage: TEXTURE_COPY_DST | TEXTURE_COPY_SRC,
    label: 'image',
    ...descriptor,
  });

/** All texels of a texture with four bytes in each texel or block, without gaps. */
async function texels(device: GPUDevice, texture: GPUTexture, layers = LAYERS): Promise<Uint8Array> {
  const size = ROW * HEIGHT * layers;
  const staging = device.createBuffer({ size, usage: COPY_DST | MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture }, { buffer: staging, bytesPerRow: ROW, rowsPerImage: HEIGHT }, [
    WIDTH,
    HEIGHT,
    layers,
  ]);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(READ);
  const bytes = new Uint8Array(staging.getMappedRange()).slice();
  staging.destroy();
  return bytes;
}

interface Placed {
  offset?: number;
  bytesPerRow?: number;
  rowsPerImage?: number;
  origin?: [number, number, number];
  size?: [number, number, number];
}

/** The content of an empty texture after a write. */
function expected(data: Uint8Array, placed: Placed): Uint8Array {
  const { offset = 0, bytesPerRow = ROW, rowsPerImage = HEIGHT } = placed;
  const { origin = [0, 0, 0], size = [WIDTH, HEIGHT, LAYERS] } = placed;
  const bytes = new Uint8Array(ROW * HEIGHT * LAYERS);
  for (let layer = 0; layer < size[2]; layer += 1) {
    for (let row = 0; row < size[1]; row += 1) {
      const from = offset + (layer * rowsPerImage + row) * bytesPerRow;
      const to = ((origin[2] + layer) * HEIGHT + origin[1] + row) * ROW + origin[0] * 4;
      bytes.set(data.subarray(from, from + size[0] * 4), to);
    }
  }
  return bytes;
}

describe('a large GPUQueue.writeTexture', () => {
  const written: [what: string, Placed][] = [
    ['several layers', {}],
    ['rows with gaps', { bytesPerRow: ROW + 3 }],
    ['layers with gaps', { rowsPerImage: HEIGHT + 100 }],
    ['layers that are longer than a part', { rowsPerImage: HEIGHT * 3 }],
    ['data with an offset', { offset: 5, size: [WIDTH, HEIGHT, 4] }],
    ['a part of the texture', { origin: [7, 50, 1], size: [WIDTH - 9, HEIGHT - 60, 3] }],
  ];
  for (const [what, placed] of written) {
    for (const dimension of ['2d', '3d'] as const) {
      parity(`a large writeTexture writes ${what}, in ${dimension}`, async ({ device, valid }) => {
        const { offset = 0, bytesPerRow = ROW, rowsPerImage = HEIGHT } = placed;
        const { origin = [0, 0, 0], size = [WIDTH, HEIGHT, LAYERS] } = placed;
        const texture = image(device, { dimension });
        const data = pattern(offset + bytesPerRow * rowsPerImage * size[2] + 100);
        const want = expected(data, placed);
        await valid(() => {
          device.queue.writeTexture({ texture, origin }, data, { offset, bytesPerRow, rowsPerImage }, size);
          data.fill(0);
        });
        expect(Buffer.compare(await texels(device, texture), want)).toBe(0);
      });
    }
  }

  parity(
    'a large writeTexture writes compressed blocks',
    async ({ device, valid }) => {
      // 2048 x 1024 texels are 512 x 256 blocks of 16 bytes.
      const data = pattern(512 * 256 * 16);
      const texture = image(device, { size: [2048, 1024], format: 'bc7-rgba-unorm' });
      await valid(() => device.queue.writeTexture({ texture }, data, { bytesPerRow: 8192 }, [2048, 1024]));
      const staging = device.createBuffer({ size: data.length, usage: COPY_DST | MAP_READ });
      const encoder = device.createCommandEncoder();
      encoder.copyTextureToBuffer({ texture }, { buffer: staging, bytesPerRow: 8192 }, [2048, 1024]);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(READ);
      expect(Buffer.compare(new Uint8Array(staging.getMappedRange()), data)).toBe(0);
    },
    { features: ['texture-compression-bc'] },
  );

  const layout = { bytesPerRow: ROW, rowsPerImage: HEIGHT };
  const size = [WIDTH, HEIGHT, LAYERS];
  const data = pattern(ROW * HEIGHT * LAYERS);
  const write = (device: GPUDevice, texture: GPUTexture) =>
    device.queue.writeTexture({ texture }, data, layout, size);

  const wrong: [why: string, act: (device: GPUDevice) => void][] = [
    ['a destroyed texture', (device) => write(device, destroyed(image(device)))],
    ['a texture without COPY_DST', (device) => write(device, image(device, { usage: TEXTURE_BINDING }))],
    ['a texture that is too small', (device) => write(device, image(device, { size: [WIDTH, HEIGHT, 4] }))],
    [
      'data that is too short',
      (device) => device.queue.writeTexture({ texture: image(device) }, data.subarray(4), layout, size),
    ],
    [
      'rows that overlap',
      (device) =>
        device.queue.writeTexture({ texture: image(device) }, data, { ...layout, bytesPerRow: 1020 }, size),
    ],
  ];
  for (const [why, act] of wrong) {
    parity(
      `a large writeTexture is one validation error for ${why}`,
      async ({ device, invalid, uncaptured, observe }) => {
        await invalid(() => act(device));
        act(device);
        const errors = await uncaptured();
        expect(errors.length).toBe(1);
        observe('message', errors[0]?.message);
        const next = image(device);
        write(device, next);
        expect(Buffer.compare(await texels(device, next), data)).toBe(0);
      },
    );
  }

  parity(
    'a large writeTexture is one validation error for an invalid texture',
    async ({ device, scoped, observe, uncaptured }) => {
      let texture: GPUTexture | undefined;
      await scoped('validation', () => {
        texture = image(device, { usage: TEXTURE_COPY_DST | 0x8000 });
      });
      observe(
        'in a scope',
        (await scoped('validation', () => write(device, texture as GPUTexture)))?.message,
      );
      write(device, texture as GPUTexture);
      observe(
        'in none',
        (await uncaptured()).map(({ message }) => message),
      );
    },
  );

  parity(
    "a large writeTexture is one validation error for another device's texture",
    async ({ device, newDevice, invalid }) => {
      const foreign = image(await newDevice(), { label: 'foreign' });
      await invalid(() => write(device, foreign));
    },
  );
});

function destroyed(texture: GPUTexture): GPUTexture {
  texture.destroy();
  return texture;
}
