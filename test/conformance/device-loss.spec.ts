import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, MAP_READ, READ, rejection, STORAGE, thrown } from './support.js';

describe('a destroyed GPUDevice', () => {
  parity('a destroyed device is lost with reason "destroyed"', async ({ device, globals, observe }) => {
    device.destroy();
    const info = await device.lost;
    expect(info).toBeInstanceOf(globals.GPUDeviceLostInfo);
    expect(info.reason).toBe('destroyed');
    expect(info.message).toBeTypeOf('string');
    observe('message', info.message);
  });

  parity('lost is the same object each time', async ({ device }) => {
    const { lost } = device;
    device.destroy();
    expect(device.lost).toBe(lost);
    expect(await device.lost).toBe(await lost);
  });

  parity('a device can be destroyed again', async ({ device }) => {
    device.destroy();
    device.destroy();
    expect((await device.lost).reason).toBe('destroyed');
  });

  parity('destroying a device rejects pending mappings with AbortError', async ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: MAP_READ });
    const pending = rejection(buffer.mapAsync(READ));
    device.destroy();
    expect((await pending).name).toBe('AbortError');
    expect(buffer.mapState).toBe('unmapped');
  });

  parity(
    'destroying a device ends pending mappings at once',
    async ({ device }) => {
      const buffer = device.createBuffer({ size: 4, usage: MAP_READ });
      const order: string[] = [];
      const pending = buffer.mapAsync(READ).catch(({ name }) => order.push(name));
      device.destroy();
      expect(buffer.mapState).toBe('unmapped');
      await Promise.all([pending, device.lost.then(() => order.push('lost'))]);
      expect(order).toEqual(['AbortError', 'lost']);
    },
    { deviation: 'destroying a device leaves mappings pending' },
  );

  parity(
    'buffers mapped at creation stay mapped after destroy until unmap',
    async ({ device }) => {
      device.destroy();
      await device.lost;
      const buffer = device.createBuffer({ size: 8, usage: COPY_SRC, mappedAtCreation: true });
      expect(buffer.getMappedRange(0, 4).byteLength).toBe(4);
      buffer.unmap();
      expect(buffer.mapState).toBe('unmapped');
      expect(thrown(() => buffer.getMappedRange()).name).toBe('OperationError');
    },
    { deviation: 'a mapping of a lost device outlives unmap' },
  );

  parity('a destroyed device rejects later mappings with AbortError', async ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: MAP_READ });
    device.destroy();
    expect((await rejection(buffer.mapAsync(READ))).name).toBe('AbortError');
    await device.lost;
    expect((await rejection(buffer.mapAsync(READ))).name).toBe('AbortError');
  });

  parity('destroying a device detaches the ranges of its mapped buffers', async ({ device }) => {
    const made = device.createBuffer({ size: 8, usage: COPY_SRC, mappedAtCreation: true });
    const read = device.createBuffer({ size: 8, usage: MAP_READ });
    await read.mapAsync(READ);
    const ranges = [made.getMappedRange(), read.getMappedRange()];
    device.destroy();
    expect(ranges.map((range) => range.byteLength)).toEqual([0, 0]);
    expect([made.mapState, read.mapState]).toEqual(['unmapped', 'unmapped']);
  });

  parity('scopes popped after destroy resolve to null', async ({ device }) => {
    device.pushErrorScope('validation');
    device.destroy();
    device.createBuffer({ size: 4, usage: 0x8000 });
    expect(await device.popErrorScope()).toBeNull();
  });

  parity('a destroyed device raises no errors, captured or not', async ({ device, uncaptured }) => {
    device.destroy();
    await device.lost;
    device.pushErrorScope('validation');
    device.createBuffer({ size: 4, usage: 0x8000 });
    device.createShaderModule({ code: 'not a shader' });
    expect(await device.popErrorScope()).toBeNull();
    device.createBuffer({ size: 4, usage: 0x8000 });
    expect(await uncaptured()).toEqual([]);
  });

  parity('a destroyed device still makes objects of every kind', ({ device, globals }) => {
    device.destroy();
    const buffer = device.createBuffer({ size: 4, usage: STORAGE, label: 'late' });
    expect(buffer).toBeInstanceOf(globals.GPUBuffer);
    expect([buffer.size, buffer.label]).toEqual([4, 'late']);
    expect(device.createBindGroupLayout({ entries: [] })).toBeInstanceOf(globals.GPUBindGroupLayout);
    expect(device.createCommandEncoder()).toBeInstanceOf(globals.GPUCommandEncoder);
    expect(device.createShaderModule({ code: '' })).toBeInstanceOf(globals.GPUShaderModule);
    expect(device.createQuerySet({ type: 'occlusion', count: 1 })).toBeInstanceOf(globals.GPUQuerySet);
  });

  parity('a destroyed device accepts commands and submits without effect', async ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: COPY_DST });
    device.destroy();
    const encoder = device.createCommandEncoder();
    encoder.clearBuffer(buffer);
    const pass = encoder.beginComputePass();
    pass.end();
    device.queue.submit([encoder.finish()]);
    device.queue.writeBuffer(buffer, 0, new Uint8Array(4));
    expect(await device.queue.onSubmittedWorkDone()).toBeUndefined();
  });

  parity('a destroyed device still maps new buffers at creation', ({ device }) => {
    device.destroy();
    const buffer = device.createBuffer({ size: 8, usage: COPY_DST, mappedAtCreation: true });
    expect(buffer.getMappedRange().byteLength).toBe(8);
    buffer.unmap();
    expect(buffer.mapState).toBe('unmapped');
  });

  parity('a destroyed device still converts arguments: a wrong one throws a TypeError', ({ device }) => {
    device.destroy();
    expect(support.thrown(() => device.createBuffer({ size: -1, usage: 1 }))).toBeInstanceOf(TypeError);
    expect(support.thrown(() => device.createBuffer({ size: 4 } as never))).toBeInstanceOf(TypeError);
  });

  parity('a destroyed device resolves asynchronous pipelines', async ({ device, globals }) => {
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    device.destroy();
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
    expect(pipeline).toBeInstanceOf(globals.GPUComputePipeline);
  });

  parity('a destroyed device keeps its attributes', async ({ device, globals }) => {
    const { queue, limits, features } = device;
    device.destroy();
    await device.lost;
    expect(device.queue).toBe(queue);
    expect(device.limits).toBe(limits);
    expect(device.features).toBe(features);
    expect(device.queue).toBeInstanceOf(globals.GPUQueue);
  });

  parity('destroying a device does not affect other devices', async ({ device, newDevice }) => {
    const other = await newDevice();
    device.destroy();
    await device.lost;
    const buffer = support.bufferOf(other, COPY_SRC, Uint32Array.of(17));
    expect(await support.u32sOf(other, buffer)).toEqual([17]);
  });

  parity('destroying a device does not change its adapter', async ({ adapter, device }) => {
    const { vendor } = adapter.info;
    device.destroy();
    await device.lost;
    expect(adapter.info.vendor).toBe(vendor);
    expect((await rejection(adapter.requestDevice())).name).toBe('OperationError');
  });

  parity('an invalid pipeline is rejected before the loss, or given out after', async (t) => {
    const { device, globals } = t;
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    const order: string[] = [];
    void device.lost.then(() => order.push('lost'));
    const create = (entryPoint: string) =>
      device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint } }).then(
        (pipeline) => {
          expect(pipeline).toBeInstanceOf(globals.GPUComputePipeline);
          if (entryPoint === 'missing') expect(order).toContain('lost');
        },
        () => expect(order).not.toContain('lost'),
      );
    const before = create('missing');
    device.destroy();
    await Promise.all([before, create('missing'), create('main'), device.lost]);
    await create('missing');
  });
});
