import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COMPUTE, thrown } from './support.js';

const storage = (binding: number): GPUBindGroupLayoutEntry => ({
  binding,
  visibility: COMPUTE,
  buffer: { type: 'storage' },
});

describe('GPUBindGroupLayout', () => {
  parity('a layout takes entries of every buffer type', async ({ device, globals, valid }) => {
    for (const type of ['uniform', 'storage', 'read-only-storage'] as const) {
      const layout = await valid(() =>
        device.createBindGroupLayout({
          label: type,
          entries: [{ binding: 3, visibility: COMPUTE, buffer: { type, minBindingSize: 16 } }],
        }),
      );
      expect(layout).toBeInstanceOf(globals.GPUBindGroupLayout);
      expect(layout.label).toBe(type);
    }
  });

  parity('buffer: {} means a uniform buffer', async ({ device, valid, invalid }) => {
    const layout = await valid(() =>
      device.createBindGroupLayout({ entries: [{ binding: 0, visibility: COMPUTE, buffer: {} }] }),
    );
    const bind = (usage: number) =>
      device.createBindGroup({
        layout,
        entries: [{ binding: 0, resource: { buffer: device.createBuffer({ size: 16, usage }) } }],
      });
    await valid(() => bind(0x40));
    await invalid(() => bind(0x80));
  });

  parity(
    'a layout takes the textures and samplers that a compute shader may bind',
    async ({ device, valid }) => {
      await valid(() =>
        device.createBindGroupLayout({
          entries: [
            { binding: 0, visibility: COMPUTE, texture: { sampleType: 'uint', viewDimension: '2d-array' } },
            { binding: 1, visibility: COMPUTE, sampler: { type: 'comparison' } },
            { binding: 2, visibility: COMPUTE, storageTexture: { format: 'r32float', access: 'read-write' } },
          ],
        }),
      );
    },
  );

  parity('a layout may have no entries, gaps, and any order', async ({ device, valid }) => {
    await valid(() => device.createBindGroupLayout({ entries: [] }));
    await valid(() => device.createBindGroupLayout({ entries: [storage(7), storage(0), storage(2)] }));
  });

  parity('a layout takes dynamic offsets up to their limit', async ({ device, valid, invalid }) => {
    const dynamic = (count: number) =>
      device.createBindGroupLayout({
        entries: Array.from({ length: count }, (_, binding) => ({
          binding,
          visibility: COMPUTE,
          buffer: { type: 'storage', hasDynamicOffset: true },
        })),
      });
    const limit = device.limits.maxDynamicStorageBuffersPerPipelineLayout;
    await valid(() => dynamic(limit));
    await invalid(() => dynamic(limit + 1));
  });

  parity('two entries for one binding are a validation error', async ({ device, invalid }) => {
    await invalid(() => device.createBindGroupLayout({ entries: [storage(1), storage(1)], label: 'twice' }));
  });

  parity('a binding beyond the limit is a validation error', async ({ device, valid, invalid }) => {
    const limit = device.limits.maxBindingsPerBindGroup;
    await valid(() => device.createBindGroupLayout({ entries: [storage(limit - 1)] }));
    await invalid(() => device.createBindGroupLayout({ entries: [storage(limit)] }));
  });

  parity(
    'more storage buffers than a stage may have are a validation error',
    async ({ device, valid, invalid }) => {
      const limit = device.limits.maxStorageBuffersPerShaderStage;
      const entries = Array.from({ length: limit + 1 }, (_, binding) => storage(binding));
      await valid(() => device.createBindGroupLayout({ entries: entries.slice(1) }));
      await invalid(() => device.createBindGroupLayout({ entries }));
    },
  );

  parity('an entry of no kind is a validation error', async ({ device, invalid }) => {
    await invalid(() => device.createBindGroupLayout({ entries: [{ binding: 0, visibility: COMPUTE }] }));
  });

  parity('an entry of two kinds is a validation error', async ({ device, invalid }) => {
    const entry = { ...storage(0), sampler: {} };
    await invalid(() => device.createBindGroupLayout({ entries: [entry] }));
  });

  parity(
    'an unknown visibility is a validation error, none at all is not',
    async ({ device, valid, invalid }) => {
      await valid(() => device.createBindGroupLayout({ entries: [{ ...storage(0), visibility: 0 }] }));
      await invalid(() => device.createBindGroupLayout({ entries: [{ ...storage(0), visibility: 8 }] }));
    },
  );

  parity(
    'a writable storage buffer for the vertex stage is a validation error',
    async ({ device, invalid }) => {
      await invalid(() => device.createBindGroupLayout({ entries: [{ ...storage(0), visibility: 1 }] }));
    },
  );

  parity('a missing required member throws a TypeError', ({ device }) => {
    const make = (descriptor: unknown) => () => device.createBindGroupLayout(descriptor as never);
    expect(thrown(make({}))).toBeInstanceOf(TypeError);
    expect(thrown(make({ entries: [{ visibility: COMPUTE, buffer: {} }] }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ entries: [{ binding: 0, buffer: {} }] }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ entries: [1] }))).toBeInstanceOf(TypeError);
  });

  parity('a buffer type that does not exist throws a TypeError', ({ device }) => {
    const entries = [{ binding: 0, visibility: COMPUTE, buffer: { type: 'private' as never } }];
    expect(thrown(() => device.createBindGroupLayout({ entries }))).toBeInstanceOf(TypeError);
  });
});
