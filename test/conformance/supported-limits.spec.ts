import { describe, expect } from 'vitest';
import { parity } from './fixture.js';

/** Every limit of the specification with its default, and whether less is better. */
const defaults: Record<string, number> = {
  maxTextureDimension1D: 8192,
  maxTextureDimension2D: 8192,
  maxTextureDimension3D: 2048,
  maxTextureArrayLayers: 256,
  maxBindGroups: 4,
  maxBindGroupsPlusVertexBuffers: 24,
  maxBindingsPerBindGroup: 1000,
  maxDynamicUniformBuffersPerPipelineLayout: 8,
  maxDynamicStorageBuffersPerPipelineLayout: 4,
  maxSampledTexturesPerShaderStage: 16,
  maxSamplersPerShaderStage: 16,
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBuffersInVertexStage: 8,
  maxStorageBuffersInFragmentStage: 8,
  maxStorageTexturesPerShaderStage: 4,
  maxStorageTexturesInVertexStage: 4,
  maxStorageTexturesInFragmentStage: 4,
  maxUniformBuffersPerShaderStage: 12,
  maxUniformBufferBindingSize: 65536,
  maxStorageBufferBindingSize: 134217728,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
  maxVertexBuffers: 8,
  maxBufferSize: 268435456,
  maxVertexAttributes: 16,
  maxVertexBufferArrayStride: 2048,
  maxInterStageShaderVariables: 16,
  maxColorAttachments: 8,
  maxColorAttachmentBytesPerSample: 32,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
};

const read = (limits: GPUSupportedLimits, name: string) =>
  (limits as unknown as Record<string, number>)[name];

describe('GPUSupportedLimits', () => {
  parity('a device has the default limits if none is requested', ({ device }) => {
    const limits = Object.fromEntries(Object.keys(defaults).map((name) => [name, read(device.limits, name)]));
    expect(limits).toEqual(defaults);
  });

  parity('a device has the requested limit, and defaults for the others', async (t) => {
    const { maxBufferSize } = t.adapter.limits;
    const { limits } = await t.newDevice({ requiredLimits: { maxBufferSize } });
    expect(limits.maxBufferSize).toBe(maxBufferSize);
    expect(limits.maxStorageBufferBindingSize).toBe(defaults.maxStorageBufferBindingSize);
  });

  parity('a limit worse than the default gives the default', async ({ newDevice }) => {
    const { limits } = await newDevice({
      requiredLimits: { maxBindGroups: 1, minStorageBufferOffsetAlignment: 512 },
    });
    expect(limits.maxBindGroups).toBe(4);
    expect(limits.minStorageBufferOffsetAlignment).toBe(256);
  });

  parity('all limits of the adapter can be requested at once', async ({ newDevice, adapter }) => {
    const requiredLimits: Record<string, number> = {};
    for (const name in adapter.limits) {
      const value = read(adapter.limits, name);
      if (typeof value === 'number') requiredLimits[name] = value;
    }
    const device = await newDevice({ requiredLimits });
    for (const name in requiredLimits) expect(read(device.limits, name), name).toBe(requiredLimits[name]);
  });

  parity("an adapter's limits are those of the host's GPU", ({ adapter, observe }) => {
    for (const name of [...Object.keys(defaults), 'maxImmediateSize'])
      observe(name, read(adapter.limits, name));
  });

  parity('limits are getters of the prototype', ({ device, globals }) => {
    for (const name of Object.keys(defaults)) {
      const property = Object.getOwnPropertyDescriptor(globals.GPUSupportedLimits.prototype, name);
      expect(property?.get, name).toBeTypeOf('function');
      expect(Object.hasOwn(device.limits, name), name).toBe(false);
    }
  });

  parity('for-in lists the limits', ({ device }) => {
    const listed: string[] = [];
    for (const name in device.limits) listed.push(name);
    expect(listed).toEqual(expect.arrayContaining(Object.keys(defaults)));
  });

  parity('limits cannot be assigned', ({ device }) => {
    expect(() => {
      (device.limits as { maxBindGroups: number }).maxBindGroups = 100;
    }).toThrow(TypeError);
    expect(device.limits.maxBindGroups).toBe(4);
  });
});
