import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COPY_DST, COPY_SRC, MAP_READ, STORAGE, thrown, u32sOf } from './support.js';

describe('GPUBuffer, mapped at creation', () => {
  parity('bytes written before unmap are the contents of the buffer', async ({ device }) => {
    const buffer = device.createBuffer({ size: 16, usage: COPY_SRC, mappedAtCreation: true });
    expect(buffer.mapState).toBe('mapped');
    new Uint32Array(buffer.getMappedRange()).set([1, 2, 3, 0xffffffff]);
    buffer.unmap();
    expect(buffer.mapState).toBe('unmapped');
    expect(await u32sOf(device, buffer)).toEqual([1, 2, 3, 0xffffffff]);
  });

  parity('the range of a buffer mapped at creation has its size and holds zeros', ({ device }) => {
    const buffer = device.createBuffer({ size: 8, usage: COPY_SRC, mappedAtCreation: true });
    expect(new Uint8Array(buffer.getMappedRange())).toEqual(new Uint8Array(8));
  });

  parity('any usage can be mapped at creation', async ({ device, valid }) => {
    for (const usage of [STORAGE, COPY_DST, MAP_READ | COPY_DST]) {
      await valid(() => {
        const buffer = device.createBuffer({ size: 4, usage, mappedAtCreation: true });
        buffer.getMappedRange();
        buffer.unmap();
      });
    }
  });

  parity('a MAP_READ buffer keeps the bytes written at its creation', async ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: MAP_READ, mappedAtCreation: true });
    new Uint32Array(buffer.getMappedRange())[0] = 42;
    buffer.unmap();
    await buffer.mapAsync(1);
    expect(new Uint32Array(buffer.getMappedRange())[0]).toBe(42);
  });

  parity('each of several ranges is written to its place', async ({ device }) => {
    const buffer = device.createBuffer({ size: 32, usage: COPY_SRC, mappedAtCreation: true });
    new Uint32Array(buffer.getMappedRange(24)).set([7, 8]);
    new Uint32Array(buffer.getMappedRange(0, 8)).set([1, 2]);
    new Uint32Array(buffer.getMappedRange(8, 4)).set([3]);
    buffer.unmap();
    expect(await u32sOf(device, buffer)).toEqual([1, 2, 3, 0, 0, 0, 7, 8]);
  });

  parity('unmap without a range leaves zeros', async ({ device }) => {
    const buffer = device.createBuffer({ size: 8, usage: COPY_SRC, mappedAtCreation: true });
    buffer.unmap();
    expect(await u32sOf(device, buffer)).toEqual([0, 0]);
  });

  parity('the last write counts: bytes are read at unmap', async ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: COPY_SRC, mappedAtCreation: true });
    const range = new Uint32Array(buffer.getMappedRange(0, undefined));
    range[0] = 1;
    await device.queue.onSubmittedWorkDone();
    range[0] = 2;
    buffer.unmap();
    expect(await u32sOf(device, buffer)).toEqual([2]);
  });

  parity('destroy while mapped detaches the range without an error', async ({ device, valid }) => {
    await valid(() => {
      const buffer = device.createBuffer({ size: 8, usage: COPY_SRC, mappedAtCreation: true });
      const range = buffer.getMappedRange();
      buffer.destroy();
      expect(range.byteLength).toBe(0);
      expect(buffer.mapState).toBe('unmapped');
    });
  });

  parity('a mapped buffer cannot be written by the queue', async ({ device, invalid }) => {
    const buffer = device.createBuffer({ size: 4, usage: COPY_DST, mappedAtCreation: true, label: 'mine' });
    await invalid(() => device.queue.writeBuffer(buffer, 0, new Uint8Array(4)));
  });

  parity('a mapped buffer cannot be submitted, but can after unmap', async ({ device, invalid, valid }) => {
    const buffer = device.createBuffer({ size: 4, usage: COPY_DST, mappedAtCreation: true, label: 'mine' });
    const clear = () => {
      const encoder = device.createCommandEncoder();
      encoder.clearBuffer(buffer);
      return encoder.finish();
    };
    await invalid(() => device.queue.submit([clear()]));
    buffer.unmap();
    await valid(() => device.queue.submit([clear()]));
  });

  parity('an invalid buffer is mapped at creation, too', async ({ device, invalid }) => {
    let buffer: GPUBuffer | undefined;
    await invalid(() => {
      buffer = device.createBuffer({ size: 8, usage: 0x8000, mappedAtCreation: true });
    });
    expect(buffer?.mapState).toBe('mapped');
    const range = buffer?.getMappedRange();
    expect(range?.byteLength).toBe(8);
    buffer?.unmap();
    expect(range?.byteLength).toBe(0);
    expect(buffer?.mapState).toBe('unmapped');
  });

  parity('an empty buffer can be mapped at creation', ({ device }) => {
    const buffer = device.createBuffer({ size: 0, usage: COPY_SRC, mappedAtCreation: true });
    expect(buffer.getMappedRange().byteLength).toBe(0);
    buffer.unmap();
    expect(buffer.mapState).toBe('unmapped');
  });

  parity('a second range after unmap throws OperationError', ({ device }) => {
    const buffer = device.createBuffer({ size: 8, usage: COPY_SRC, mappedAtCreation: true });
    buffer.unmap();
    expect(thrown(() => buffer.getMappedRange()).name).toBe('OperationError');
  });
});
