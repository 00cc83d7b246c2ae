import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { BLUE, GREEN, picture, RED, TEXTURE_COPY_SRC } from './render-support.js';
import { bufferOf, COPY_SRC, STORAGE, thrown } from './support.js';
import { copy, image, names } from './texture-copy-support.js';

/** Two rows of two texels, with 256 bytes from one to the next. */
function rowsBuffer(device: GPUDevice): GPUBuffer {
  const bytes = new Uint8Array(520);
  bytes.set([...RED, ...GREEN], 0);
  bytes.set([...BLUE, ...RED], 256);
  return bufferOf(device, COPY_SRC, bytes);
}

describe('GPUCommandEncoder.copyBufferToTexture', () => {
  parity('copyBufferToTexture copies rows to their place', async ({ device }) => {
    const texture = image(device);
    copy(device, (encoder) =>
      encoder.copyBufferToTexture(
        { buffer: rowsBuffer(device), bytesPerRow: 256 },
        { texture, origin: [1, 2] },
        [2, 2],
      ),
    );
    expect(await picture(device, texture, names)).toEqual(['....', '....', '.rg.', '.br.']);
  });

  parity(
    'copyBufferToTexture begins at the offset, and needs no bytesPerRow for one row',
    async ({ device }) => {
      const texture = image(device);
      copy(device, (encoder) =>
        encoder.copyBufferToTexture(
          { buffer: rowsBuffer(device), offset: 4 },
          { texture, origin: { x: 3 } },
          { width: 1 },
        ),
      );
      expect(await picture(device, texture, names)).toEqual(['...g', '....', '....', '....']);
    },
  );

  parity('copyBufferToTexture copies to levels and layers', async ({ device }) => {
    const texture = image(device, { size: [4, 4, 2], mipLevelCount: 2 });
    copy(device, (encoder) =>
      encoder.copyBufferToTexture(
        { buffer: rowsBuffer(device), bytesPerRow: 256 },
        { texture, mipLevel: 1, origin: [0, 0, 1] },
        [2, 2, 1],
      ),
    );
    expect(await picture(device, texture, names, { mipLevel: 1, layer: 1 })).toEqual(['rg', 'br']);
    expect(await picture(device, texture, names, { mipLevel: 1, layer: 0 })).toEqual(['..', '..']);
  });

  parity('copyBufferToTexture copies layers that are rowsPerImage rows apart', async ({ device }) => {
    const texture = image(device, { size: [2, 1, 2] });
    copy(device, (encoder) =>
      encoder.copyBufferToTexture(
        { buffer: rowsBuffer(device), bytesPerRow: 256, rowsPerImage: 1 },
        { texture },
        [2, 1, 2],
      ),
    );
    expect(await picture(device, texture, names, { layer: 0 })).toEqual(['rg']);
    expect(await picture(device, texture, names, { layer: 1 })).toEqual(['br']);
  });

  const wrong: [why: string, act: (encoder: GPUCommandEncoder, device: GPUDevice) => void][] = [
    [
      'a distance of rows that is not a multiple of 256 bytes',
      (encoder, device) =>
        encoder.copyBufferToTexture(
          { buffer: rowsBuffer(device), bytesPerRow: 128 },
          { texture: image(device) },
          [2, 2],
        ),
    ],
    [
      'several rows without bytesPerRow',
      (encoder, device) =>
        encoder.copyBufferToTexture({ buffer: rowsBuffer(device) }, { texture: image(device) }, [2, 2]),
    ],
    [
      'several layers without rowsPerImage',
      (encoder, device) =>
        encoder.copyBufferToTexture(
          { buffer: rowsBuffer(device), bytesPerRow: 256 },
          { texture: image(device, { size: [4, 4, 2] }) },
          [1, 1, 2],
        ),
    ],
    [
      'a region beyond the buffer',
      (encoder, device) =>
        encoder.copyBufferToTexture(
          { buffer: rowsBuffer(device), bytesPerRow: 256 },
          { texture: image(device) },
          [2, 4],
        ),
    ],
    [
      'a region beyond the texture',
      (encoder, device) =>
        encoder.copyBufferToTexture(
          { buffer: rowsBuffer(device) },
          { texture: image(device), origin: [3] },
          [2, 1],
        ),
    ],
    [
      'an offset inside a texel',
      (encoder, device) =>
        encoder.copyBufferToTexture(
          { buffer: rowsBuffer(device), offset: 2 },
          { texture: image(device) },
          [1],
        ),
    ],
    [
      'a level that does not exist',
      (encoder, device) =>
        encoder.copyBufferToTexture(
          { buffer: rowsBuffer(device) },
          { texture: image(device), mipLevel: 1 },
          [1],
        ),
    ],
    [
      'a texture without COPY_DST',
      (encoder, device) =>
        encoder.copyBufferToTexture(
          { buffer: rowsBuffer(device) },
          { texture: image(device, { usage: TEXTURE_COPY_SRC }) },
          [1],
        ),
    ],
    [
      'a buffer without COPY_SRC',
      (encoder, device) =>
        encoder.copyBufferToTexture(
          { buffer: device.createBuffer({ size: 16, usage: STORAGE }) },
          { texture: image(device) },
          [1],
        ),
    ],
  ];
  for (const [why, act] of wrong) {
    parity(`${why} is an error of finish`, async ({ device, valid, invalid }) => {
      const encoder = device.createCommandEncoder();
      await valid(() => act(encoder, device));
      await invalid(() => encoder.finish());
    });
  }

  parity(
    'an origin is a sequence of up to 3 numbers, a size of 1 to 3',
    ({ device }) => {
      const [texture, source] = [image(device), { buffer: rowsBuffer(device) }];
      const encoder = device.createCommandEncoder();
      const attempt = (origin: number[], size: number[]) => () =>
        encoder.copyBufferToTexture(source, { texture, origin }, size);
      expect(thrown(attempt([0, 0, 0, 0], [1]))).toBeInstanceOf(TypeError);
      expect(thrown(attempt([], []))).toBeInstanceOf(TypeError);
      expect(thrown(attempt([], [1, 1, 1, 1]))).toBeInstanceOf(TypeError);
      attempt([], [1])();
      encoder.finish();
    },
    { deviation: 'sequences of coordinates have any length' },
  );

  parity(
    'an origin in a sequence is checked for the range of its numbers',
    ({ device }) => {
      const texture = image(device);
      const encoder = device.createCommandEncoder();
      for (const outside of [-1, 2 ** 32, Number.NaN]) {
        const source = { texture, origin: [0, outside] };
        const copy = () => encoder.copyTextureToTexture(source, { texture }, [1]);
        expect(thrown(copy), String(outside)).toBeInstanceOf(TypeError);
      }
    },
    { deviation: 'coordinates in a sequence have no range' },
  );

  parity('a texture, buffer, origin or size of another type throws a TypeError', ({ device }) => {
    const [texture, buffer] = [image(device), rowsBuffer(device)];
    const encoder = device.createCommandEncoder();
    const attempt = (source: object, destination: object, size: unknown) => () =>
      encoder.copyBufferToTexture(source as never, destination as never, size as never);
    for (const act of [
      attempt({ buffer: {} }, { texture }, [1]),
      attempt({ buffer }, { texture: {} }, [1]),
      attempt({ buffer }, { texture: texture.createView() }, [1]),
      attempt({ buffer }, { texture, aspect: 'color' }, [1]),
      attempt({ buffer }, { texture }, 1),
      attempt({ buffer }, { texture }, { height: 1 }),
      attempt({ buffer, bytesPerRow: -1 }, { texture }, [1]),
    ]) {
      expect(thrown(act)).toBeInstanceOf(TypeError);
    }
  });

  parity(
    'an origin that is not an object throws a TypeError',
    ({ device }) => {
      const [texture, buffer] = [image(device), rowsBuffer(device)];
      const encoder = device.createCommandEncoder();
      for (const origin of [1, 'there']) {
        const act = () => encoder.copyBufferToTexture({ buffer }, { texture, origin: origin as never }, [1]);
        expect(thrown(act)).toBeInstanceOf(TypeError);
      }
    },
    { deviation: 'a string is taken for a dictionary' },
  );
});
