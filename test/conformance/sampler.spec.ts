import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { canvas, draw, texelsOf } from './render-support.js';
import { thrown } from './support.js';

/** Samples a black and a white texel at `at`, into a picture of one texel. */
async function sampled(device: GPUDevice, sampler: GPUSampler, at: number): Promise<number> {
  const module = device.createShaderModule({
    code: `
      override at: f32;
      @group(0) @binding(0) var image: texture_2d<f32>;
      @group(0) @binding(1) var how: sampler;
      @vertex fn all(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
        return vec4f(f32(i & 1u) * 4 - 1, f32(i >> 1u) * 4 - 1, 0, 1);
      }
      @fragment fn one() -> @location(0) vec4f { return textureSample(image, how, vec2f(at, 0.5)); }`,
  });
  const pipeline = device.createRenderPipeline({
    layout: 'auto',
    vertex: { module },
    fragment: { module, constants: { at }, targets: [{ format: 'rgba8unorm' }] },
  });
  const image = device.createTexture({ size: [2, 1], format: 'rgba8unorm', usage: 0x6 });
  device.queue.writeTexture({ texture: image }, Uint8Array.of(0, 0, 0, 255, 255, 255, 255, 255), {}, [2, 1]);
  const target = canvas(device, { size: [1, 1] });
  draw(device, target, (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [
          { binding: 0, resource: image.createView() },
          { binding: 1, resource: sampler },
        ],
      }),
    );
    pass.draw(3);
  });
  return (await texelsOf(device, target))[0]?.[0] as number;
}

describe('GPUDevice.createSampler', () => {
  parity('a sampler needs no descriptor', async ({ device, globals, valid }) => {
    const sampler = await valid(() => device.createSampler());
    expect(sampler).toBeInstanceOf(globals.GPUSampler);
    expect(sampler.label).toBe('');
    expect((await valid(() => device.createSampler({ label: 'seen' }))).label).toBe('seen');
    await valid(() => device.createSampler(undefined));
    await valid(() => device.createSampler({ compare: undefined, maxAnisotropy: undefined } as never));
  });

  parity('nearest takes the nearer texel, linear mixes both', async ({ device }) => {
    const nearest = device.createSampler();
    expect(await sampled(device, nearest, 0.49)).toBe(0);
    expect(await sampled(device, nearest, 0.51)).toBe(255);
    const linear = device.createSampler({ minFilter: 'linear', magFilter: 'linear' });
    expect(Math.abs((await sampled(device, linear, 0.5)) - 128)).toBeLessThan(3);
  });

  parity('address modes decide what lies beyond the edge', async ({ device }) => {
    const at = (addressModeU: GPUAddressMode) => sampled(device, device.createSampler({ addressModeU }), 1.1);
    expect(await at('clamp-to-edge')).toBe(255);
    expect(await at('repeat')).toBe(0);
    expect(await at('mirror-repeat')).toBe(255);
  });

  parity(
    'maxAnisotropy of one and a half is rounded to two',
    async ({ device, invalid }) => {
      // More than one requires linear filters.
      await invalid(() => device.createSampler({ maxAnisotropy: 1.5 }));
    },
    { deviation: 'a clamped number is cut, not rounded' },
  );

  parity('maxAnisotropy is clamped to its type, and rounded to even', async ({ device, valid, invalid }) => {
    const linear = { minFilter: 'linear', magFilter: 'linear', mipmapFilter: 'linear' } as const;
    for (const maxAnisotropy of [1, 16, 65535, 1e9, Number.POSITIVE_INFINITY, 1.4]) {
      await valid(() => device.createSampler({ ...linear, maxAnisotropy }));
    }
    for (const maxAnisotropy of [0, -3, Number.NaN, 0.5]) {
      await invalid(() => device.createSampler({ ...linear, maxAnisotropy }));
    }
  });

  parity('an impossible sampler is a validation error', async ({ device, invalid }) => {
    await invalid(() => device.createSampler({ lodMinClamp: -1 }));
    await invalid(() => device.createSampler({ lodMinClamp: 2, lodMaxClamp: 1 }));
    await invalid(() => device.createSampler({ maxAnisotropy: 2 }));
  });

  parity('unknown enumeration values throw a TypeError', ({ device }) => {
    for (const descriptor of [
      { addressModeU: 'clamp' },
      { magFilter: 'cubic' },
      { compare: 'more' },
      { lodMinClamp: Number.NaN },
      { lodMaxClamp: Number.POSITIVE_INFINITY },
    ]) {
      expect(thrown(() => device.createSampler(descriptor as never))).toBeInstanceOf(TypeError);
    }
  });
});
