import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, MAP_READ, READ, rejection, STORAGE, thrown } from './support.js';

describe('a destroyed GPUDevice', () => {
  parity('is lost by reason "destroyed"', async ({ device, globals, observe }) => {
    device.destroy();
    const info = await device.lost;
    expect(info).toBeInstanceOf(globals.GPUDeviceLostInfo);
    expect(info.reason).toBe('destroyed');
    expect(info.message).toBeTypeOf('string');
    observe('message', info.message);
  });

  parity('lost gives the same object each time', async ({ device }) => {
    const { lost } = device;
    device.destroy();
    expect(device.lost).toBe(lost);
    expect(await device.lost).toBe(await lost);
  });

  parity('can be destroyed again', async ({ device }) => {
    device.destroy();
    device.destroy();
    expect((await device.lost).reason).toBe('destroyed');
  });

  parity('rejects the mappings that were pending with AbortError', async ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: MAP_READ });
    const pending = rejection(buffer.mapAsync(READ));
    device.destroy();
    expect((await pending).name).toBe('AbortError');
    expect(buffer.mapState).toBe('unmapped');
  });

  parity(
    'ends the mappings that were pending at once',
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
    'has buffers that are mapped at creation until they are unmapped',
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

  parity('rejects later mappings with AbortError', async ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: MAP_READ });
    device.destroy();
    expect((await rejection(buffer.mapAsync(READ))).name).toBe('AbortError');
    await device.lost;
    expect((await rejection(buffer.mapAsync(READ))).name).toBe('AbortError');
  });

  parity('detaches the ranges of its mapped buffers', async ({ device }) => {
    const made = device.createBuffer({ size: 8, usage: COPY_SRC, mappedAtCreation: true });
    const read = device.createBuffer({ size: 8, usage: MAP_READ });
    await read.mapAsync(READ);
    const ranges = [made.getMappedRange(), read.getMappedRange()];
    device.destroy();
    expect(ranges.map((range) => range.byteLength)).toEqual([0, 0]);
    expect([made.mapState, read.mapState]).toEqual(['unmapped', 'unmapped']);
  });

  parity('settles the scopes that are popped afterwards with null', async ({ device }) => {
    device.pushErrorScope('validation');
    device.destroy();
    device.createBuffer({ size: 4, usage: 0x8000 });
    expect(await device.popErrorScope()).toBeNull();
  });

  parity('raises no errors any more, captured or not', async ({ device, uncaptured }) => {
    device.destroy();
    await device.lost;
    device.pushErrorScope('validation');
    device.createBuffer({ size: 4, usage: 0x8000 });
    device.createShaderModule({ code: 'not a shader' });
    expect(await device.popErrorScope()).toBeNull();
    device.createBuffer({ size: 4, usage: 0x8000 });
    expect(await uncaptured()).toEqual([]);
  });

  parity('still makes objects of every kind', ({ device, globals }) => {
    device.destroy();
    const buffer = device.createBuffer({ size: 4, usage: STORAGE, label: 'late' });
    expect(buffer).toBeInstanceOf(globals.GPUBuffer);
    expect([buffer.size, buffer.label]).toEqual([4, 'late']);
    expect(device.createBindGroupLayout({ entries: [] })).toBeInstanceOf(globals.GPUBindGroupLayout);
    expect(device.createCommandEncoder()).toBeInstanceOf(globals.GPUCommandEncoder);
    expect(device.createShaderModule({ code: '' })).toBeInstanceOf(globals.GPUShaderModule);
    expect(device.createQuerySet({ type: 'occlusion', count: 1 })).toBeInstanceOf(globals.GPUQuerySet);
  });

  parity('still takes commands and submits, to no effect', async ({ device }) => {
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

  parity('still maps new buffers at creation', ({ device }) => {
    device.destroy();
    const buffer = device.createBuffer({ size: 8, usage: COPY_DST, mappedAtCreation: true });
    expect(buffer.getMappedRange().byteLength).toBe(8);
    buffer.unmap();
    expect(buffer.mapState).toBe('unmapped');
  });

  parity('still converts arguments: a wrong one throws a TypeError', ({ device }) => {
    device.destroy();
    expect(support.thrown(() => device.createBuffer({ size: -1, usage: 1 }))).toBeInstanceOf(TypeError);
    expect(support.thrown(() => device.createBuffer({ size: 4 } as never))).toBeInstanceOf(TypeError);
  });

  parity('resolves the pipelines that are asked for asynchronously', async ({ device, globals }) => {
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    device.destroy();
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
    expect(pipeline).toBeInstanceOf(globals.GPUComputePipeline);
  });

  parity('keeps its attributes', async ({ device, globals }) => {
    const { queue, limits, features } = device;
    device.destroy();
    await device.lost;
    expect(device.queue).toBe(queue);
    expect(device.limits).toBe(limits);
    expect(device.features).toBe(features);
    expect(device.queue).toBeInstanceOf(globals.GPUQueue);
  });

  parity('leaves other devices alone', async ({ device, newDevice }) => {
    const other = await newDevice();
    device.destroy();
    await device.lost;
    const buffer = support.bufferOf(other, COPY_SRC, Uint32Array.of(17));
    expect(await support.u32sOf(other, buffer)).toEqual([17]);
  });

  parity('lets its adapter say what it said', async ({ adapter, device }) => {
    const { vendor } = adapter.info;
    device.destroy();
    await device.lost;
    expect(adapter.info.vendor).toBe(vendor);
    expect((await rejection(adapter.requestDevice())).name).toBe('OperationError');
  });

  parity('a pipeline that is wrong is refused before the device is lost, or given out after', async (t) => {
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
