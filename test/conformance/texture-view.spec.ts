import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  BLUE,
  canvas,
  draw,
  filled,
  GREEN,
  NOTHING,
  picture,
  RED,
  RENDER_ATTACHMENT,
  TEXTURE_BINDING,
  TEXTURE_COPY_SRC,
  texelsOf,
} from './render-support.js';
import { thrown } from './support.js';

const names = { r: RED, g: GREEN, b: BLUE, '.': NOTHING };
const clearTo = (r: number, g: number, b: number) => ({ attachment: { clearValue: [r, g, b, 1] } });

describe('GPUTexture.createView', () => {
  parity('createView returns a new object with its label', async ({ device, globals, valid }) => {
    const texture = canvas(device);
    const view = await valid(() => texture.createView({ label: 'seen' }));
    expect(view).toBeInstanceOf(globals.GPUTextureView);
    expect(view.label).toBe('seen');
    expect(texture.createView()).not.toBe(texture.createView());
    expect(texture.createView().label).toBe('');
  });

  parity('undefined members count as absent', async ({ device, valid }) => {
    const texture = canvas(device);
    await valid(() => texture.createView(undefined));
    await valid(() =>
      texture.createView({ format: undefined, dimension: undefined, mipLevelCount: undefined } as never),
    );
  });

  parity('a view of one level draws to that level', async ({ device }) => {
    const texture = canvas(device, { mipLevelCount: 3 });
    draw(device, texture.createView({ baseMipLevel: 1, mipLevelCount: 1 }), () => {}, clearTo(1, 0, 0));
    draw(device, texture.createView({ baseMipLevel: 2 }), () => {}, clearTo(0, 1, 0));
    expect(await picture(device, texture, names)).toEqual(filled('.'));
    expect(await picture(device, texture, names, { mipLevel: 1 })).toEqual(filled('r', 4));
    expect(await picture(device, texture, names, { mipLevel: 2 })).toEqual(filled('g', 2));
  });

  parity('a view of one layer draws to that layer', async ({ device }) => {
    const texture = canvas(device, { size: [8, 8, 3] });
    const layer = (baseArrayLayer: number) =>
      texture.createView({ dimension: '2d', baseArrayLayer, arrayLayerCount: 1 });
    draw(device, layer(1), () => {}, clearTo(0, 0, 1));
    expect(await picture(device, texture, names, { layer: 0 })).toEqual(filled('.'));
    expect(await picture(device, texture, names, { layer: 1 })).toEqual(filled('b'));
    expect(await picture(device, texture, names, { layer: 2 })).toEqual(filled('.'));
  });

  parity('a view in another format encodes as that format', async ({ device }) => {
    const texture = canvas(device, { size: [1, 1], viewFormats: ['rgba8unorm-srgb'] });
    draw(device, texture.createView({ format: 'rgba8unorm-srgb' }), () => {}, clearTo(0.5, 0, 0));
    expect(await texelsOf(device, texture)).toEqual([[188, 0, 0, 255]]);
  });

  const wrong: [why: string, view: GPUTextureViewDescriptor][] = [
    ['a level that does not exist', { baseMipLevel: 1 }],
    ['more levels than the texture has', { mipLevelCount: 2 }],
    ['no level', { mipLevelCount: 0 }],
    ['a layer that does not exist', { dimension: '2d', baseArrayLayer: 4 }],
    ['several layers in 2d', { dimension: '2d', arrayLayerCount: 2 }],
    ['a cube of four layers', { dimension: 'cube' }],
    ['the dimension 3d of a 2d texture', { dimension: '3d' }],
    ['a format that was not announced', { format: 'rgba8unorm-srgb' }],
    ['an aspect that the format does not have', { aspect: 'depth-only' }],
    ['a usage that the texture does not have', { usage: 0x8 }],
  ];
  for (const [why, descriptor] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      const texture = canvas(device, { size: [8, 8, 4], label: 'four layers' });
      await invalid(() => texture.createView(descriptor));
    });
  }

  parity('of a cube', async ({ device, valid }) => {
    const texture = canvas(device, { size: [8, 8, 12], usage: TEXTURE_BINDING });
    await valid(() => texture.createView({ dimension: 'cube', arrayLayerCount: 6 }));
    await valid(() => texture.createView({ dimension: 'cube-array' }));
  });

  parity('of one aspect', async ({ device, valid }) => {
    const texture = canvas(device, { format: 'depth24plus-stencil8', usage: TEXTURE_BINDING });
    await valid(() => texture.createView({ aspect: 'depth-only' }));
    await valid(() => texture.createView({ aspect: 'stencil-only' }));
  });

  parity('with fewer usages than the texture', async ({ device, valid, invalid }) => {
    const texture = canvas(device, { usage: RENDER_ATTACHMENT | TEXTURE_BINDING | TEXTURE_COPY_SRC });
    const view = await valid(() => texture.createView({ usage: TEXTURE_BINDING, label: 'to be bound' }));
    await invalid(() => draw(device, view));
  });

  parity('a format without its feature throws a TypeError', async ({ device, valid }) => {
    const texture = canvas(device);
    await valid(() => {
      expect(thrown(() => texture.createView({ format: 'bc1-rgba-unorm' }))).toBeInstanceOf(TypeError);
    });
  });

  parity('unknown enumeration values throw a TypeError', ({ device }) => {
    const texture = canvas(device);
    for (const descriptor of [
      { format: 'rgba9unorm' },
      { dimension: '4d' },
      { aspect: 'color' },
      { baseMipLevel: -1 },
      { usage: -1 },
    ]) {
      expect(thrown(() => texture.createView(descriptor as never))).toBeInstanceOf(TypeError);
    }
  });

  parity('a swizzle must be four of r, g, b, a, 0 and 1: anything else is a TypeError', ({ device }) => {
    const texture = canvas(device);
    for (const swizzle of ['', 'rgb', 'rgbaa', 'rgbx', 'RGBA']) {
      expect(
        thrown(() => texture.createView({ swizzle } as never)),
        swizzle,
      ).toBeInstanceOf(TypeError);
    }
  });

  parity('a swizzle without its feature is a validation error', async ({ device, valid, invalid }) => {
    const texture = canvas(device, { usage: TEXTURE_BINDING });
    await valid(() => texture.createView({ swizzle: 'rgba' } as never));
    await invalid(() => texture.createView({ swizzle: 'bgra' } as never));
  });

  parity('an invalid texture makes an invalid view', async ({ device, scoped, invalid }) => {
    let broken: GPUTexture | undefined;
    await scoped('validation', () => {
      broken = canvas(device, { usage: 0, label: 'broken' });
    });
    await invalid(() => broken?.createView());
  });
});
