import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { NOTHING, RENDER_ATTACHMENT, TEXTURE_BINDING, TEXTURE_COPY_SRC, texelsOf } from './render-support.js';
import { thrown } from './support.js';

const base = { size: [8, 4], format: 'rgba8unorm', usage: TEXTURE_BINDING } as const;
const make = (device: GPUDevice, more: object = {}) =>
  device.createTexture({ ...base, ...more } as GPUTextureDescriptor);
const sizeOf = ({ width, height, depthOrArrayLayers }: GPUTexture) => [width, height, depthOrArrayLayers];

describe('GPUDevice.createTexture', () => {
  parity('a texture tells how it was made', async ({ device, globals, valid }) => {
    const usage = TEXTURE_BINDING | TEXTURE_COPY_SRC;
    const texture = await valid(() =>
      make(device, { size: [8, 4, 3], mipLevelCount: 2, usage, label: 'seen' }),
    );
    expect(texture).toBeInstanceOf(globals.GPUTexture);
    expect(sizeOf(texture)).toEqual([8, 4, 3]);
    const { mipLevelCount, sampleCount, dimension, format, label } = texture;
    expect([mipLevelCount, sampleCount, dimension, format, texture.usage, label]).toEqual([
      2,
      1,
      '2d',
      'rgba8unorm',
      usage,
      'seen',
    ]);
  });

  parity('a destroyed texture keeps its attributes', async ({ device, valid }) => {
    const texture = make(device, { sampleCount: 4, usage: TEXTURE_BINDING | RENDER_ATTACHMENT });
    await valid(() => texture.destroy());
    await valid(() => texture.destroy());
    expect([...sizeOf(texture), texture.sampleCount, texture.format]).toEqual([8, 4, 1, 4, 'rgba8unorm']);
  });

  parity('the size of a texture is a sequence or dictionary; missing numbers are 1', ({ device }) => {
    const sizes: [GPUExtent3D, number[]][] = [
      [[8], [8, 1, 1]],
      [
        [8, 4],
        [8, 4, 1],
      ],
      [
        [8, 4, 2],
        [8, 4, 2],
      ],
      [{ width: 8 }, [8, 1, 1]],
      [{ width: 8, height: 4 }, [8, 4, 1]],
      [{ width: 8, height: undefined as never, depthOrArrayLayers: 2 }, [8, 1, 2]],
    ];
    for (const [size, expected] of sizes) expect(sizeOf(make(device, { size }))).toEqual(expected);
  });

  parity(
    'a size is a sequence of 1 to 3 numbers',
    ({ device }) => {
      for (const size of [[], [1, 1, 1, 1]]) {
        expect(
          thrown(() => make(device, { size })),
          String(size),
        ).toBeInstanceOf(TypeError);
      }
    },
    { deviation: 'sequences of coordinates have any length' },
  );

  parity(
    'a size may be any iterable',
    ({ device }) => {
      expect(sizeOf(make(device, { size: new Set([8, 4]) }))).toEqual([8, 4, 1]);
      expect(sizeOf(make(device, { size: new Uint32Array([8, 4]) }))).toEqual([8, 4, 1]);
    },
    { deviation: 'sequences must be arrays' },
  );

  parity('a malformed size throws a TypeError', ({ device }) => {
    for (const size of [8, 'large', [-1, 4], [2 ** 32, 1], { height: 4 }, [Number.NaN, 1]]) {
      expect(
        thrown(() => make(device, { size })),
        String(size),
      ).toBeInstanceOf(TypeError);
    }
  });

  const wrong: [why: string, descriptor: object][] = [
    ['an empty size', { size: [0, 4] }],
    ['a size over the limit', { size: [8193, 1] }],
    ['more layers than the limit', { size: [1, 1, 257] }],
    ['no usage', { usage: 0 }],
    ['a usage that does not exist', { usage: 0x8000 }],
    ['more levels than the size has', { mipLevelCount: 5 }],
    ['no level', { mipLevelCount: 0 }],
    ['a sample count that does not exist', { sampleCount: 3, usage: RENDER_ATTACHMENT }],
    ['samples without RENDER_ATTACHMENT', { sampleCount: 4 }],
    ['several samples and several levels', { sampleCount: 4, usage: 0x14, mipLevelCount: 2 }],
    ['one dimension and a height', { dimension: '1d' }],
    ['a format that cannot be drawn to', { format: 'rgb9e5ufloat', usage: RENDER_ATTACHMENT }],
    ['a depth format in three dimensions', { format: 'depth16unorm', dimension: '3d' }],
    ['a view format of another layout', { viewFormats: ['r8unorm'] }],
  ];
  for (const [why, descriptor] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      await invalid(() => make(device, descriptor));
    });
  }

  parity('an invalid texture keeps its attributes', async ({ device, scoped }) => {
    let texture: GPUTexture | undefined;
    await scoped('validation', () => {
      texture = make(device, { size: [8, 4], usage: 0, label: 'broken' });
    });
    expect([...sizeOf(texture as GPUTexture), texture?.usage, texture?.label]).toEqual([
      8,
      4,
      1,
      0,
      'broken',
    ]);
  });

  parity('dimensions 1d and 3d', async ({ device, valid }) => {
    const line = await valid(() => make(device, { size: [8], dimension: '1d' }));
    const box = await valid(() => make(device, { size: [8, 4, 16], dimension: '3d' }));
    expect([line.dimension, ...sizeOf(line)]).toEqual(['1d', 8, 1, 1]);
    expect([box.dimension, ...sizeOf(box)]).toEqual(['3d', 8, 4, 16]);
  });

  parity('a format without its feature throws a TypeError', async ({ device, valid }) => {
    await valid(() => {
      for (const format of [
        'bc1-rgba-unorm',
        'etc2-rgb8unorm',
        'eac-r11snorm',
        'astc-4x4-unorm',
        'r16unorm',
      ]) {
        expect(
          thrown(() => make(device, { format })),
          format,
        ).toBeInstanceOf(TypeError);
        expect(
          thrown(() => make(device, { viewFormats: [format] })),
          format,
        ).toBeInstanceOf(TypeError);
      }
      expect(
        thrown(() => make(device, { format: 'depth32float-stencil8', usage: RENDER_ATTACHMENT })),
      ).toBeInstanceOf(TypeError);
    });
  });

  parity(
    'a format with its feature',
    async ({ device, valid }) => {
      await valid(() => make(device, { format: 'bc1-rgba-unorm', size: [8, 8] }));
      await valid(() => make(device, { format: 'depth32float-stencil8', usage: RENDER_ATTACHMENT }));
    },
    { features: ['texture-compression-bc', 'depth32float-stencil8'] },
  );

  parity('unknown formats, unknown dimensions and missing members throw a TypeError', ({ device }) => {
    for (const more of [
      { format: 'rgba9unorm' },
      { dimension: '4d' },
      { format: undefined },
      { usage: undefined },
      { usage: -1 },
      { viewFormats: ['rgba9unorm'] },
    ]) {
      expect(
        thrown(() => make(device, more)),
        JSON.stringify(more),
      ).toBeInstanceOf(TypeError);
    }
  });

  parity(
    'a texture without a size throws a TypeError',
    ({ device }) => {
      expect(thrown(() => make(device, { size: undefined }))).toBeInstanceOf(TypeError);
      expect(thrown(() => make(device, { size: null }))).toBeInstanceOf(TypeError);
    },
    { deviation: 'null or undefined for a dictionary crashes it' },
  );

  parity('a new texture holds zeros', async ({ device }) => {
    const texture = make(device, { size: [2, 2], usage: TEXTURE_COPY_SRC });
    expect(await texelsOf(device, texture)).toEqual([NOTHING, NOTHING, NOTHING, NOTHING]);
  });

  parity('textureBindingViewDimension is undefined on a core device', async ({ device, valid }) => {
    const texture = await valid(() => make(device, { textureBindingViewDimension: '2d-array' }));
    expect('textureBindingViewDimension' in texture).toBe(true);
    expect(texture.textureBindingViewDimension).toBeUndefined();
  });

  parity(
    'on a compatibility device textureBindingViewDimension follows the shape',
    async ({ gpu, observe }) => {
      const adapter = (await gpu.requestAdapter({ featureLevel: 'compatibility' })) as GPUAdapter;
      const device = await adapter.requestDevice();
      const core = device.features.has('core-features-and-limits');
      observe('core', core);
      const found = [
        make(device),
        make(device, { size: [8, 8, 6] }),
        make(device, { size: [8, 8, 6], textureBindingViewDimension: 'cube' }),
        make(device, { size: [8], dimension: '1d' }),
        make(device, { size: [8, 8, 8], dimension: '3d' }),
      ].map((texture) => texture.textureBindingViewDimension);
      expect(found).toEqual(core ? found.map(() => undefined) : ['2d', '2d-array', 'cube', '1d', '3d']);
      device.destroy();
    },
  );

  parity('a destroyed texture makes the submit fail', async ({ device, valid, invalid }) => {
    const texture = make(device, { usage: RENDER_ATTACHMENT });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view: texture.createView(), loadOp: 'clear', storeOp: 'store' }],
    });
    pass.end();
    const commands = await valid(() => encoder.finish());
    texture.destroy();
    await invalid(() => device.queue.submit([commands]));
  });
});
