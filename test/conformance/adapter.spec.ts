import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { rejection } from './support.js';

describe('GPUAdapter', () => {
  parity('features, limits and info are the same objects each time', ({ adapter, globals }) => {
    expect(adapter.features).toBe(adapter.features);
    expect(adapter.limits).toBe(adapter.limits);
    expect(adapter.info).toBe(adapter.info);
    expect(adapter.features).toBeInstanceOf(globals.GPUSupportedFeatures);
    expect(adapter.limits).toBeInstanceOf(globals.GPUSupportedLimits);
    expect(adapter.info).toBeInstanceOf(globals.GPUAdapterInfo);
  });

  parity('info describes the GPU of the host in strings', ({ adapter, observe }) => {
    const { vendor, architecture, device, description } = adapter.info;
    for (const words of [vendor, architecture, device, description]) expect(words).toBeTypeOf('string');
    observe('info', { vendor, architecture, device, description });
    observe('isFallbackAdapter', adapter.info.isFallbackAdapter);
    observe('subgroup sizes', [adapter.info.subgroupMinSize, adapter.info.subgroupMaxSize]);
  });

  parity('requestDevice gives a GPUDevice', async ({ newAdapter, globals }) => {
    const device = await (await newAdapter()).requestDevice();
    expect(device).toBeInstanceOf(globals.GPUDevice);
    expect(device).toBeInstanceOf(EventTarget);
    device.destroy();
  });

  parity(
    'an adapter gives only one device: the next request rejects with OperationError',
    async ({ adapter }) => {
      const reason = await rejection(adapter.requestDevice());
      expect(reason.name).toBe('OperationError');
      expect(reason).toBeInstanceOf(DOMException);
    },
  );

  parity('a rejected request does not consume the adapter', async ({ newAdapter, globals }) => {
    const adapter = await newAdapter();
    await rejection(adapter.requestDevice({ requiredFeatures: ['no-such-feature' as never] }));
    const device = await adapter.requestDevice();
    expect(device).toBeInstanceOf(globals.GPUDevice);
    device.destroy();
  });

  parity('a feature that the adapter lacks rejects with a TypeError', async ({ newAdapter, observe }) => {
    const adapter = await newAdapter();
    const every: GPUFeatureName[] = ['texture-compression-astc', 'shader-f16', 'dual-source-blending'];
    const lacking = every.filter((feature) => !adapter.features.has(feature));
    observe('lacking', lacking);
    for (const feature of lacking) {
      expect(await rejection(adapter.requestDevice({ requiredFeatures: [feature] }))).toBeInstanceOf(
        TypeError,
      );
    }
  });

  parity('a feature that does not exist rejects with a TypeError', async ({ newAdapter }) => {
    const requiredFeatures = ['no-such-feature' as never];
    const reason = await rejection((await newAdapter()).requestDevice({ requiredFeatures }));
    expect(reason).toBeInstanceOf(TypeError);
  });

  parity('a limit better than supported rejects with OperationError', async ({ newAdapter }) => {
    const adapter = await newAdapter();
    const worse = adapter.limits.maxComputeInvocationsPerWorkgroup + 1;
    const reason = await rejection(
      adapter.requestDevice({ requiredLimits: { maxComputeInvocationsPerWorkgroup: worse } }),
    );
    expect(reason.name).toBe('OperationError');
  });

  parity('an alignment below the supported one rejects with OperationError', async ({ newAdapter }) => {
    const adapter = await newAdapter();
    const finer = adapter.limits.minStorageBufferOffsetAlignment / 2;
    const reason = await rejection(
      adapter.requestDevice({ requiredLimits: { minStorageBufferOffsetAlignment: finer } }),
    );
    expect(reason.name).toBe('OperationError');
  });

  parity('an alignment that is not a power of two rejects with OperationError', async ({ newAdapter }) => {
    const requiredLimits = { minUniformBufferOffsetAlignment: 257 };
    const reason = await rejection((await newAdapter()).requestDevice({ requiredLimits }));
    expect(reason.name).toBe('OperationError');
  });

  parity('a limit that does not exist rejects with OperationError', async ({ newAdapter }) => {
    const reason = await rejection((await newAdapter()).requestDevice({ requiredLimits: { maxWishes: 3 } }));
    expect(reason.name).toBe('OperationError');
  });

  parity('an unknown limit that is undefined is ignored', async ({ newDevice, globals }) => {
    const requiredLimits = { maxWishes: undefined, maxBindGroups: undefined };
    expect(await newDevice({ requiredLimits: requiredLimits as never })).toBeInstanceOf(globals.GPUDevice);
  });

  parity(
    'null as a limit means zero, which asks for no more than the default',
    async ({ newDevice }) => {
      const { limits } = await newDevice({ requiredLimits: { maxBindGroups: null as never } });
      expect(limits.maxBindGroups).toBe(4);
    },
    { deviation: 'numbers must be numbers' },
  );
});
