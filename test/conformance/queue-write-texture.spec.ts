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
  TEXTURE_BINDING,
  TEXTURE_COPY_DST,
  TEXTURE_COPY_SRC,
} from './render-support.js';
import { thrown } from './support.js';

const names = { r: RED, g: GREEN, b: BLUE, '.': NOTHING };
const usage = TEXTURE_COPY_SRC | TEXTURE_COPY_DST;
const image = (device: GPUDevice, descriptor: Partial<GPUTextureDescriptor> = {}) =>
  canvas(device, { size: [2, 2], usage, ...descriptor });

const four = Uint8Array.from([...RED, ...GREEN, ...BLUE, ...RED]);
const packed = { bytesPerRow: 8 };

describe('GPUQueue.writeTexture', () => {
  parity('writeTexture writes rows with any gap between them', async ({ device }) => {
    const texture = image(device);
    device.queue.writeTexture({ texture }, four, packed, [2, 2]);
    expect(await picture(device, texture, names)).toEqual(['rg', 'br']);
    const apart = Uint8Array.from([...GREEN, ...GREEN, 1, 2, 3, ...BLUE, ...BLUE]);
    device.queue.writeTexture({ texture }, apart, { bytesPerRow: 11 }, [2, 2]);
    expect(await picture(device, texture, names)).toEqual(['gg', 'bb']);
  });

  parity('writeTexture copies the data at the time of the call', async ({ device }) => {
    const texture = image(device);
    const data = four.slice();
    device.queue.writeTexture({ texture }, data, packed, [2, 2]);
    data.fill(0);
    expect(await picture(device, texture, names)).toEqual(['rg', 'br']);
  });

  parity('the offset counts bytes, for any data', async ({ device }) => {
    const texture = image(device);
    const words = new Uint32Array(five().buffer);
    device.queue.writeTexture({ texture }, words, { offset: 4, bytesPerRow: 8 }, [2, 2]);
    expect(await picture(device, texture, names)).toEqual(['rg', 'br']);
    device.queue.writeTexture({ texture }, five().buffer, { offset: 12 }, [2]);
    expect(await picture(device, texture, names)).toEqual(['br', 'br']);
  });

  parity('a view of a part writes only that part', async ({ device }) => {
    const texture = image(device);
    device.queue.writeTexture({ texture }, new Uint8Array(five().buffer, 4), packed, [2, 2]);
    expect(await picture(device, texture, names)).toEqual(['rg', 'br']);
    device.queue.writeTexture({ texture }, Buffer.from(four.subarray(4, 12)), {}, [2, 1]);
    expect(await picture(device, texture, names)).toEqual(['gb', 'br']);
  });

  parity(
    'bytes of a DataView are written',
    async ({ device }) => {
      const texture = image(device);
      device.queue.writeTexture({ texture }, new DataView(five().buffer, 4), packed, [2, 2]);
      expect(await picture(device, texture, names)).toEqual(['rg', 'br']);
    },
    { deviation: 'a DataView is no source of bytes' },
  );

  parity(
    'bytes of a SharedArrayBuffer are written as they are at the call',
    async ({ device }) => {
      const shared = new SharedArrayBuffer(16);
      const bytes = new Uint8Array(shared);
      bytes.set(four);
      const [first, second] = [image(device), image(device)];
      device.queue.writeTexture({ texture: first }, bytes, packed, [2, 2]);
      device.queue.writeTexture({ texture: second }, shared, packed, [2, 2]);
      bytes.fill(0);
      expect(await picture(device, first, names)).toEqual(['rg', 'br']);
      expect(await picture(device, second, names)).toEqual(['rg', 'br']);
    },
    { deviation: 'bytes of a SharedArrayBuffer crash it' },
  );

  parity('writeTexture writes to an origin, a level and a layer', async ({ device }) => {
    const texture = image(device, { size: [4, 4, 2], mipLevelCount: 2 });
    device.queue.writeTexture({ texture, mipLevel: 1, origin: [1, 0, 1] }, RED_BYTES, {}, [1]);
    expect(await picture(device, texture, names, { mipLevel: 1, layer: 1 })).toEqual(['.r', '..']);
    expect(await picture(device, texture, names, { mipLevel: 1 })).toEqual(['..', '..']);
  });

  parity('writeTexture writes several layers, rowsPerImage rows apart', async ({ device }) => {
    const texture = image(device, { size: [1, 1, 2] });
    device.queue.writeTexture({ texture }, four, { bytesPerRow: 4, rowsPerImage: 2 }, [1, 1, 2]);
    expect(await picture(device, texture, names, { layer: 0 })).toEqual(['r']);
    expect(await picture(device, texture, names, { layer: 1 })).toEqual(['b']);
  });

  parity('writeTexture writes one aspect', async ({ device }) => {
    const texture = image(device, { format: 'depth24plus-stencil8' });
    device.queue.writeTexture(
      { texture, aspect: 'stencil-only' },
      Uint8Array.of(1, 2, 3, 4),
      { bytesPerRow: 2 },
      [2, 2],
    );
    const stored = await bytesOfTexture(device, texture, { aspect: 'stencil-only', bytesPerTexel: 1 });
    expect([...stored]).toEqual([1, 2, 3, 4]);
  });

  parity(
    'writeTexture writes blocks of a compressed format',
    async ({ device, valid, invalid }) => {
      const texture = image(device, { size: [8, 4], format: 'bc1-rgba-unorm' });
      const blocks = Uint8Array.from({ length: 16 }, (_, index) => index);
      await valid(() => device.queue.writeTexture({ texture }, blocks, { bytesPerRow: 16 }, [8, 4]));
      await invalid(() => device.queue.writeTexture({ texture }, blocks, { bytesPerRow: 16 }, [6, 4]));
    },
    { features: ['texture-compression-bc'] },
  );

  parity('writing nothing is valid', async ({ device, valid }) => {
    const texture = image(device);
    await valid(() => device.queue.writeTexture({ texture }, new Uint8Array(0), {}, [0, 0]));
    await valid(() => device.queue.writeTexture({ texture }, four, { offset: 16 }, [0]));
  });

  parity('large data arrives whole', async ({ device }) => {
    const texture = image(device, { size: [1024, 1024], format: 'r32uint' });
    const data = Uint32Array.from({ length: 1024 * 1024 }, (_, index) => Math.imul(index, 2654435761));
    device.queue.writeTexture({ texture }, data, { bytesPerRow: 4096 }, [1024, 1024]);
    const staging = device.createBuffer({ size: 4096 * 1024, usage: 0x9 });
    const encoder = device.createCommandEncoder();
    encoder.copyTextureToBuffer({ texture }, { buffer: staging, bytesPerRow: 4096 }, [1024, 1024]);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    const read = new Uint8Array(staging.getMappedRange());
    expect(Buffer.compare(read, new Uint8Array(data.buffer))).toBe(0);
    staging.destroy();
  });

  const wrong: [why: string, act: (device: GPUDevice) => void][] = [
    [
      'data that is too short',
      (device) => device.queue.writeTexture({ texture: image(device) }, four.subarray(1), packed, [2, 2]),
    ],
    [
      'an offset beyond the data',
      (device) => device.queue.writeTexture({ texture: image(device) }, four, { offset: 17 }, [0]),
    ],
    [
      'several rows without bytesPerRow',
      (device) => device.queue.writeTexture({ texture: image(device) }, four, {}, [2, 2]),
    ],
    [
      'rows that overlap',
      (device) => device.queue.writeTexture({ texture: image(device) }, four, { bytesPerRow: 4 }, [2, 2]),
    ],
    [
      'a region outside the texture',
      (device) => device.queue.writeTexture({ texture: image(device), origin: [1] }, four, {}, [2]),
    ],
    [
      'a texture without COPY_DST',
      (device) =>
        device.queue.writeTexture(
          { texture: image(device, { usage: TEXTURE_BINDING }) },
          four,
          packed,
          [2, 2],
        ),
    ],
    [
      'an aspect that the format does not have',
      (device) => device.queue.writeTexture({ texture: image(device), aspect: 'depth-only' }, four, {}, [1]),
    ],
  ];
  for (const [why, act] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      await invalid(() => act(device));
    });
  }

  parity('a destroyed texture is a validation error', async ({ device, invalid }) => {
    const texture = image(device, { label: 'gone' });
    texture.destroy();
    await invalid(() => device.queue.writeTexture({ texture }, four, packed, [2, 2]));
  });

  parity("another device's texture is a validation error", async ({ device, newDevice, invalid }) => {
    const texture = image(await newDevice(), { label: 'foreign' });
    await invalid(() => device.queue.writeTexture({ texture }, four, packed, [2, 2]));
  });

  parity('data, texture or size of another type throws a TypeError', ({ device }) => {
    const texture = image(device);
    const write =
      (...args: unknown[]) =>
      () =>
        (device.queue.writeTexture as (...args: unknown[]) => void).apply(device.queue, args);
    for (const act of [
      write({ texture }, [1, 2, 3, 4], {}, [1]),
      write({ texture }, 'data', {}, [1]),
      write({ texture: {} }, four, {}, [1]),
      write({ texture }, four, {}, 'small'),
      write({ texture }, four, { bytesPerRow: -1 }, [1]),
    ]) {
      expect(thrown(act)).toBeInstanceOf(TypeError);
    }
  });
});

const RED_BYTES = Uint8Array.from(RED);

/** Four texels after four unrelated bytes. */
function five(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(20);
  bytes.set(four, 4);
  return bytes;
}
