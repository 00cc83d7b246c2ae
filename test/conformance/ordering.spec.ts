import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, MAP_READ, MAP_WRITE, READ, rejection, u32sOf, WRITE } from './support.js';

const mistake = (device: GPUDevice, label: string) =>
  device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: COPY_DST, label });

describe('the order of events', () => {
  parity('an error before a pop arrives before it', async ({ device, uncaptured }) => {
    const order: string[] = [];
    device.addEventListener('uncapturederror', () => void order.push('event'));
    mistake(device, 'before');
    device.pushErrorScope('validation');
    await device.popErrorScope().then(() => order.push('pop'));
    expect(order).toEqual(['event', 'pop']);
    await uncaptured();
  });

  parity('an error before a mapping arrives before it', async ({ device, uncaptured }) => {
    const order: string[] = [];
    device.addEventListener('uncapturederror', () => void order.push('event'));
    const buffer = device.createBuffer({ size: 4, usage: MAP_READ });
    mistake(device, 'before');
    await buffer.mapAsync(READ).then(() => order.push('map'));
    expect(order).toEqual(['event', 'map']);
    await uncaptured();
  });

  parity(
    'each pop and each failing asynchronous pipeline gets its own error',
    async ({ device, observe }) => {
      const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
      const make = (entryPoint: string) =>
        rejection(device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint } }));
      device.pushErrorScope('validation');
      const first = make('one');
      mistake(device, 'scoped');
      const second = make('two');
      const popped = device.popErrorScope();
      const messages = [(await first).message, (await popped)?.message, (await second).message];
      expect(messages[0]).toContain('one');
      expect(messages[1]).toContain('scoped');
      expect(messages[2]).toContain('two');
      observe('messages', messages);
    },
  );

  parity('promises from before destroy settle', async ({ device, globals }) => {
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    device.pushErrorScope('validation');
    mistake(device, 'before');
    const popped = device.popErrorScope();
    const done = device.queue.onSubmittedWorkDone();
    const pipeline = device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
    const info = module.getCompilationInfo();
    device.destroy();
    expect(await done).toBeUndefined();
    expect(await pipeline).toBeInstanceOf(globals.GPUComputePipeline);
    expect(await info).toBeInstanceOf(globals.GPUCompilationInfo);
    expect((await popped)?.message ?? 'before').toContain('before');
  });
});

describe('the order of GPU work', () => {
  parity('writes, copies, mappings and submits happen in program order', async ({ device }) => {
    const staging = support.bufferOf(device, MAP_WRITE | COPY_SRC, Uint32Array.of(1));
    const out = device.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
    const copyTo = (offset: number) => {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(staging, 0, out, offset, 4);
      device.queue.submit([encoder.finish()]);
    };
    copyTo(0);
    await staging.mapAsync(WRITE);
    new Uint32Array(staging.getMappedRange()).set([2]);
    staging.unmap();
    copyTo(4);
    device.queue.writeBuffer(out, 8, Uint32Array.of(3));
    const mapped = staging.mapAsync(WRITE);
    device.queue.writeBuffer(out, 0, Uint32Array.of(9));
    await mapped;
    new Uint32Array(staging.getMappedRange()).set([4]);
    staging.unmap();
    copyTo(12);
    expect(await u32sOf(device, out)).toEqual([9, 2, 3, 4]);
  });

  parity('a buffer destroyed while it is mapped for writing writes nothing', async ({ device, valid }) => {
    await valid(async () => {
      const staging = support.bufferOf(device, MAP_WRITE | COPY_SRC, Uint32Array.of(1));
      await staging.mapAsync(WRITE);
      new Uint32Array(staging.getMappedRange()).set([2]);
      staging.destroy();
      expect(staging.mapState).toBe('unmapped');
    });
  });

  parity('a mapping shows the buffer at its place in the program order', async ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: MAP_READ | COPY_DST });
    device.queue.writeBuffer(buffer, 0, Uint32Array.of(1));
    await buffer.mapAsync(READ);
    const [first] = new Uint32Array(buffer.getMappedRange());
    buffer.unmap();
    device.queue.writeBuffer(buffer, 0, Uint32Array.of(2));
    const again = buffer.mapAsync(READ);
    await again;
    const [second] = new Uint32Array(buffer.getMappedRange());
    expect([first, second]).toEqual([1, 2]);
  });

  parity('large mappings carry every byte both ways', async ({ device }) => {
    // Longer than one message of the default gRPC size.
    const numbers = Uint32Array.from({ length: 1_300_000 }, (_, index) => Math.imul(index, 2246822519));
    const staging = device.createBuffer({ size: numbers.byteLength, usage: MAP_WRITE | COPY_SRC });
    await staging.mapAsync(WRITE);
    new Uint32Array(staging.getMappedRange()).set(numbers);
    staging.unmap();
    const bytes = await support.bytesOf(device, staging);
    expect(Buffer.compare(bytes, new Uint8Array(numbers.buffer))).toBe(0);
  });
});
