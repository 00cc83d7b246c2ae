import { describe, expect } from 'vitest';
import { parity } from './fixture.js';

describe('GPUDevice', () => {
  parity(
    'features, limits, adapterInfo, queue and lost are the same objects each time',
    ({ device, globals }) => {
      expect(device.features).toBe(device.features);
      expect(device.limits).toBe(device.limits);
      expect(device.adapterInfo).toBe(device.adapterInfo);
      expect(device.queue).toBe(device.queue);
      expect(device.lost).toBe(device.lost);
      expect(device.queue).toBeInstanceOf(globals.GPUQueue);
      expect(device.features).toBeInstanceOf(globals.GPUSupportedFeatures);
      expect(device.limits).toBeInstanceOf(globals.GPUSupportedLimits);
      expect(device.adapterInfo).toBeInstanceOf(globals.GPUAdapterInfo);
    },
  );

  parity("adapterInfo equals the adapter's info", ({ device, adapter }) => {
    for (const key of ['vendor', 'architecture', 'device', 'description'] as const) {
      expect(device.adapterInfo[key]).toBe(adapter.info[key]);
    }
  });

  parity('lost stays pending while the device lives', async ({ device }) => {
    await device.queue.onSubmittedWorkDone();
    expect(await Promise.race([device.lost, Promise.resolve('pending')])).toBe('pending');
  });

  parity(
    "a device's queue has the label of the descriptor",
    async ({ newDevice }) => {
      const device = await newDevice({ label: 'the device', defaultQueue: { label: 'the queue' } });
      expect(device.queue.label).toBe('the queue');
    },
    { deviation: 'the label of defaultQueue is dropped' },
  );

  parity('each device has its own queue', async ({ device, newDevice }) => {
    const other = await newDevice();
    expect(other).not.toBe(device);
    expect(other.queue).not.toBe(device.queue);
  });
});
