import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COMPUTE, thrown } from './support.js';

const empty = (device: GPUDevice) => device.createBindGroupLayout({ entries: [] });

describe('GPUPipelineLayout', () => {
  parity('a pipeline layout takes any number of bind group layouts', async ({ device, globals, valid }) => {
    const layout = await valid(() =>
      device.createPipelineLayout({ label: 'two', bindGroupLayouts: [empty(device), empty(device)] }),
    );
    expect(layout).toBeInstanceOf(globals.GPUPipelineLayout);
    expect(layout.label).toBe('two');
    await valid(() => device.createPipelineLayout({ bindGroupLayouts: [] }));
  });

  parity('null and undefined leave a group empty', async ({ device, valid }) => {
    await valid(() => device.createPipelineLayout({ bindGroupLayouts: [null, empty(device), undefined] }));
  });

  parity('a bind group layout may occur twice', async ({ device, valid }) => {
    const layout = empty(device);
    await valid(() => device.createPipelineLayout({ bindGroupLayouts: [layout, layout] }));
  });

  parity('more groups than the limit are a validation error', async ({ device, invalid }) => {
    const bindGroupLayouts = Array.from({ length: device.limits.maxBindGroups + 1 }, () => empty(device));
    await invalid(() => device.createPipelineLayout({ bindGroupLayouts }));
  });

  parity('more storage buffers over all groups than a stage may have are a validation error', async (t) => {
    const { device } = t;
    const limit = device.limits.maxStorageBuffersPerShaderStage;
    const layout = device.createBindGroupLayout({
      entries: Array.from({ length: limit / 2 + 1 }, (_, binding) => ({
        binding,
        visibility: COMPUTE,
        buffer: { type: 'read-only-storage' },
      })),
    });
    await t.valid(() => device.createPipelineLayout({ bindGroupLayouts: [layout] }));
    await t.invalid(() => device.createPipelineLayout({ bindGroupLayouts: [layout, layout] }));
  });

  parity(
    'an invalid bind group layout makes an invalid pipeline layout',
    async ({ device, scoped, invalid }) => {
      let broken: GPUBindGroupLayout | undefined;
      await scoped('validation', () => {
        broken = device.createBindGroupLayout({ label: 'broken', entries: [{ binding: 0, visibility: 8 }] });
      });
      await invalid(() => device.createPipelineLayout({ bindGroupLayouts: [broken] }));
    },
  );

  parity('the layout of a pipeline cannot be shared', async ({ device, invalid }) => {
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    await invalid(() => device.createPipelineLayout({ bindGroupLayouts: [pipeline.getBindGroupLayout(0)] }));
  });

  parity(
    "another device's bind group layout is a validation error",
    async ({ device, newDevice, invalid }) => {
      const foreign = empty(await newDevice());
      await invalid(() => device.createPipelineLayout({ bindGroupLayouts: [foreign] }));
    },
  );

  parity('the immediate size is a multiple of four up to its limit', async ({ device, invalid, valid }) => {
    const size = (immediateSize: number) => () =>
      device.createPipelineLayout({ bindGroupLayouts: [], immediateSize });
    const limit = device.limits.maxImmediateSize;
    await valid(size(limit));
    await invalid(size(limit + 4));
    await invalid(size(2));
  });

  parity('an object of another class throws a TypeError', ({ device }) => {
    const make = (bindGroupLayouts: unknown) => () =>
      device.createPipelineLayout({ bindGroupLayouts: bindGroupLayouts as never });
    expect(thrown(make(undefined))).toBeInstanceOf(TypeError);
    expect(thrown(make([{}]))).toBeInstanceOf(TypeError);
    expect(thrown(make(empty(device)))).toBeInstanceOf(TypeError);
  });
});
