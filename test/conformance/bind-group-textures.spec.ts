import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  BLUE,
  canvas,
  FRAGMENT_STAGE,
  GREEN,
  picture,
  RED,
  RENDER_ATTACHMENT,
  STORAGE_BINDING,
  TEXTURE_BINDING,
  TEXTURE_COPY_DST,
  TEXTURE_COPY_SRC,
} from './render-support.js';
import { COMPUTE, COPY_SRC, dispatch, STORAGE, thrown, u32sOf } from './support.js';

const names = { r: RED, g: GREEN, b: BLUE };
const sampled = (device: GPUDevice, more: Partial<GPUTextureDescriptor> = {}) =>
  canvas(device, { size: [2, 2], usage: TEXTURE_BINDING | TEXTURE_COPY_DST, ...more });

function layout(device: GPUDevice, entry: Partial<GPUBindGroupLayoutEntry>): GPUBindGroupLayout {
  return device.createBindGroupLayout({ entries: [{ binding: 0, visibility: COMPUTE, ...entry }] });
}

function group(device: GPUDevice, of: GPUBindGroupLayout, resource: unknown): GPUBindGroup {
  return device.createBindGroup({
    layout: of,
    entries: [{ binding: 0, resource: resource as GPUBindingResource }],
  });
}

/** Reads the red of texel (1, 0) in a shader. */
async function read(device: GPUDevice, resource: GPUTexture | GPUTextureView): Promise<number[]> {
  const code = `
    @group(0) @binding(0) var image: texture_2d<f32>;
    @group(0) @binding(1) var<storage, read_write> out: u32;
    @compute @workgroup_size(1) fn main() { out = u32(textureLoad(image, vec2u(1, 0), 0).r * 255 + 0.5); }`;
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const out = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
  const entries = [
    { binding: 0, resource: resource as GPUTextureView },
    { binding: 1, resource: { buffer: out } },
  ];
  const bound = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  device.queue.submit([dispatch(device, pipeline, bound)]);
  return u32sOf(device, out);
}

describe('bind groups of textures and samplers', () => {
  parity('a bind group binds a view, or a texture in place of its whole view', async ({ device }) => {
    const texture = sampled(device);
    device.queue.writeTexture({ texture, origin: [1] }, Uint8Array.of(42, 0, 0, 0), {}, [1]);
    expect(await read(device, texture.createView())).toEqual([42]);
    expect(await read(device, texture)).toEqual([42]);
  });

  parity('a view of another level reads that level', async ({ device }) => {
    const texture = sampled(device, { size: [4, 4], mipLevelCount: 2 });
    device.queue.writeTexture({ texture, mipLevel: 1, origin: [1] }, Uint8Array.of(7, 0, 0, 0), {}, [1]);
    expect(await read(device, texture.createView({ baseMipLevel: 1 }))).toEqual([7]);
  });

  parity('a shader writes to a storage texture', async ({ device }) => {
    const code = `
      @group(0) @binding(0) var image: texture_storage_2d<rgba8unorm, write>;
      @compute @workgroup_size(2, 2) fn main(@builtin(local_invocation_id) at: vec3u) {
        textureStore(image, at.xy, vec4f(f32(at.x), f32(at.y), f32(1 - max(at.x, at.y)), 1));
      }`;
    const module = device.createShaderModule({ code });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    const texture = canvas(device, { size: [2, 2], usage: STORAGE_BINDING | TEXTURE_COPY_SRC });
    const bound = group(device, pipeline.getBindGroupLayout(0), texture.createView());
    device.queue.submit([dispatch(device, pipeline, bound)]);
    expect(await picture(device, texture, { ...names, y: [255, 255, 0, 255] })).toEqual(['br', 'gy']);
  });

  parity('a bind group binds samplers of the type in the layout', async ({ device, valid, invalid }) => {
    const filtering = device.createSampler({ magFilter: 'linear', label: 'filtering' });
    const comparing = device.createSampler({ compare: 'less', label: 'comparing' });
    await valid(() => group(device, layout(device, { sampler: {} }), filtering));
    await valid(() => group(device, layout(device, { sampler: { type: 'comparison' } }), comparing));
    await invalid(() => group(device, layout(device, { sampler: { type: 'non-filtering' } }), filtering));
    await invalid(() => group(device, layout(device, { sampler: {} }), comparing));
    await invalid(() => group(device, layout(device, { sampler: { type: 'comparison' } }), filtering));
  });

  const wrong: [
    why: string,
    entry: Partial<GPUBindGroupLayoutEntry>,
    resource: (device: GPUDevice) => unknown,
  ][] = [
    ['a sampler for a texture', { texture: {} }, (device) => device.createSampler()],
    ['a texture for a sampler', { sampler: {} }, (device) => sampled(device)],
    ['a buffer for a texture', { texture: {} }, (device) => device.createBuffer({ size: 4, usage: STORAGE })],
    ['a texture for a buffer', { buffer: {} }, (device) => sampled(device)],
    [
      'a texture without TEXTURE_BINDING',
      { texture: {} },
      (device) => canvas(device, { usage: RENDER_ATTACHMENT, label: 'plain' }),
    ],
    ['another sample type', { texture: { sampleType: 'uint' } }, (device) => sampled(device)],
    ['another dimension', { texture: { viewDimension: '3d' } }, (device) => sampled(device)],
    [
      'one sample for many',
      { texture: { multisampled: true, sampleType: 'unfilterable-float' } },
      (device) => sampled(device),
    ],
    [
      'another storage format',
      { storageTexture: { format: 'rgba8uint' } },
      (device) => canvas(device, { usage: STORAGE_BINDING }),
    ],
    [
      'several levels for storage',
      { storageTexture: { format: 'rgba8unorm' } },
      (device) => canvas(device, { usage: STORAGE_BINDING, mipLevelCount: 2 }),
    ],
  ];
  for (const [why, entry, resource] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      await invalid(() => group(device, layout(device, entry), resource(device)));
    });
  }

  parity('an impossible layout is a validation error', async ({ device, invalid }) => {
    const entries: Partial<GPUBindGroupLayoutEntry>[] = [
      { storageTexture: { format: 'bgra8unorm' } },
      { storageTexture: { format: 'rgba8unorm', viewDimension: 'cube' } },
      { texture: { multisampled: true, viewDimension: '3d' } },
      { texture: { multisampled: true, sampleType: 'float' } },
      { texture: {}, sampler: {} },
      { visibility: FRAGMENT_STAGE | 0x1, storageTexture: { format: 'rgba8unorm', access: 'read-write' } },
    ];
    for (const entry of entries) await invalid(() => layout(device, entry));
  });

  parity('a storage format without its feature throws a TypeError', async ({ device, valid }) => {
    await valid(() => {
      const act = () => layout(device, { storageTexture: { format: 'r16unorm' as GPUTextureFormat } });
      expect(thrown(act)).toBeInstanceOf(TypeError);
    });
  });

  parity('unknown enumeration values throw a TypeError', ({ device }) => {
    for (const entry of [
      { texture: { sampleType: 'half' } },
      { texture: { viewDimension: '4d' } },
      { sampler: { type: 'cubic' } },
      { storageTexture: {} },
      { storageTexture: { format: 'rgba8unorm', access: 'append' } },
    ]) {
      expect(thrown(() => layout(device, entry as never))).toBeInstanceOf(TypeError);
    }
  });
});
