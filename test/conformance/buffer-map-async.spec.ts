import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, MAP_READ, MAP_WRITE, READ, rejection, WRITE } from './support.js';

const readable = (device: GPUDevice, ...numbers: number[]) =>
  support.bufferOf(device, MAP_READ | COPY_DST, Uint32Array.from(numbers));
const writable = (device: GPUDevice, ...numbers: number[]) =>
  support.bufferOf(device, MAP_WRITE | COPY_SRC, Uint32Array.from(numbers));

describe('GPUBuffer.mapAsync', () => {
  parity('a buffer goes from unmapped over pending to mapped and back', async ({ device }) => {
    const buffer = readable(device, 1);
    expect(buffer.mapState).toBe('unmapped');
    const mapped = buffer.mapAsync(READ);
    expect(buffer.mapState).toBe('pending');
    expect(await mapped).toBeUndefined();
    expect(buffer.mapState).toBe('mapped');
    buffer.unmap();
    expect(buffer.mapState).toBe('unmapped');
  });

  parity('READ gives the bytes on the GPU', async ({ device }) => {
    const buffer = readable(device, 5, 6, 7);
    await buffer.mapAsync(READ);
    expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([5, 6, 7]);
  });

  parity('READ waits for the work submitted before it', async ({ device }) => {
    const source = support.bufferOf(device, COPY_SRC, Uint32Array.of(11));
    const buffer = readable(device, 0);
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, buffer, 0, 4);
    device.queue.submit([encoder.finish()]);
    await buffer.mapAsync(READ);
    expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([11]);
  });

  parity(
    'writes to a READ mapping are not kept',
    async ({ device }) => {
      const buffer = readable(device, 1, 2);
      await buffer.mapAsync(READ);
      new Uint32Array(buffer.getMappedRange()).fill(9);
      buffer.unmap();
      await buffer.mapAsync(READ);
      expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([1, 2]);
    },
    { deviation: 'a READ mapping can be written through' },
  );

  parity('WRITE keeps the bytes that are not written', async ({ device }) => {
    const buffer = writable(device, 1, 2, 3, 4);
    await buffer.mapAsync(WRITE);
    new Uint32Array(buffer.getMappedRange())[1] = 20;
    buffer.unmap();
    expect(await support.u32sOf(device, buffer)).toEqual([1, 20, 3, 4]);
  });

  parity('WRITE shows the bytes of the buffer', async ({ device }) => {
    const buffer = writable(device, 1, 2);
    await buffer.mapAsync(WRITE);
    expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([1, 2]);
  });

  parity('WRITE without a range changes nothing', async ({ device }) => {
    const buffer = writable(device, 1, 2);
    await buffer.mapAsync(WRITE);
    buffer.unmap();
    expect(await support.u32sOf(device, buffer)).toEqual([1, 2]);
  });

  parity('a part is mapped at its offset in the buffer', async ({ device }) => {
    const buffer = readable(device, 0, 1, 2, 3, 4, 5);
    await buffer.mapAsync(READ, 8, 12);
    expect([...new Uint32Array(buffer.getMappedRange(8, 12))]).toEqual([2, 3, 4]);
    expect(support.thrown(() => buffer.getMappedRange(0, 8)).name).toBe('OperationError');
    expect(support.thrown(() => buffer.getMappedRange(16, 8)).name).toBe('OperationError');
  });

  parity('mapAsync without a size maps up to the end', async ({ device }) => {
    const buffer = readable(device, 0, 1, 2, 3);
    await buffer.mapAsync(READ, 8);
    expect([...new Uint32Array(buffer.getMappedRange(8))]).toEqual([2, 3]);
  });

  parity('writing to a part leaves the rest of the buffer alone', async ({ device }) => {
    const buffer = writable(device, 1, 2, 3, 4, 5, 6);
    await buffer.mapAsync(WRITE, 8, 8);
    const range = new Uint32Array(buffer.getMappedRange(8, 4));
    range[0] = 30;
    buffer.unmap();
    expect(await support.u32sOf(device, buffer)).toEqual([1, 2, 30, 4, 5, 6]);
  });

  parity('mapping again after unmap gives the newest bytes', async ({ device }) => {
    const buffer = readable(device, 1);
    await buffer.mapAsync(READ);
    buffer.unmap();
    device.queue.writeBuffer(buffer, 0, Uint32Array.of(2));
    await buffer.mapAsync(READ);
    expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([2]);
  });

  parity('an empty mapping at the end of the buffer is allowed', async ({ device }) => {
    const buffer = readable(device, 1, 2);
    await buffer.mapAsync(READ, 8, 0);
    expect(buffer.getMappedRange(8, 0).byteLength).toBe(0);
  });

  parity('mappings of several buffers settle in the order of the calls', async ({ device }) => {
    const order: number[] = [];
    const buffers = [readable(device, 1), readable(device, 2), readable(device, 3)];
    await Promise.all(buffers.map((buffer, index) => buffer.mapAsync(READ).then(() => order.push(index))));
    expect(order).toEqual([0, 1, 2]);
  });
});

describe('GPUBuffer.mapAsync, refused', () => {
  parity(
    'a second call while one is pending rejects at once with OperationError, and the first goes on',
    async (t) => {
      const buffer = readable(t.device, 3);
      const first = buffer.mapAsync(READ);
      const order: string[] = [];
      const error = await t.scoped('validation', async () => {
        const second = buffer.mapAsync(READ).catch((reason: Error) => {
          order.push(reason.name);
          expect(reason).toBeInstanceOf(DOMException);
        });
        queueMicrotask(() => order.push('microtask'));
        await second;
      });
      await first;
      expect(order).toEqual(['OperationError', 'microtask']);
      expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([3]);
      // The specification raises an error here; Dawn and the conformance test suite do not.
      expect(error).toBeNull();
    },
  );

  parity('a second call is rejected and forgotten, whatever happens to the first', async (t) => {
    const { device } = t;
    for (const mode of [READ, WRITE]) {
      const buffer = readable(device, 3);
      const error = await t.scoped('validation', async () => {
        const first = buffer.mapAsync(mode).catch(({ name }) => name);
        // The first call leaves the program before the second one is made.
        await undefined;
        expect((await rejection(buffer.mapAsync(READ))).name).toBe('OperationError');
        expect(await first).toBe(mode === READ ? undefined : 'OperationError');
      });
      expect(error?.constructor.name).toBe(mode === READ ? undefined : 'GPUValidationError');
      buffer.unmap();
      await t.valid(() => device.queue.writeBuffer(buffer, 0, Uint32Array.of(5)));
      await buffer.mapAsync(READ);
      expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([5]);
    }
  });

  parity(
    'a call while mapped rejects with OperationError and a validation error',
    async ({ device, invalid }) => {
      const buffer = readable(device, 3);
      await buffer.mapAsync(READ);
      await invalid(async () => {
        expect((await rejection(buffer.mapAsync(READ))).name).toBe('OperationError');
      });
      expect(buffer.mapState).toBe('mapped');
      expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([3]);
    },
  );

  parity('a call while mapped is not rejected at once', async ({ device, invalid }) => {
    const buffer = readable(device, 3);
    await buffer.mapAsync(READ);
    const order: string[] = [];
    await invalid(async () => {
      const refused = buffer.mapAsync(READ).catch((reason: Error) => order.push(reason.name));
      queueMicrotask(() => order.push('microtask'));
      await refused;
    });
    expect(order).toEqual(['microtask', 'OperationError']);
  });

  parity(
    'unmap rejects a call while mapped with AbortError, if it is still pending',
    async ({ device, invalid }) => {
      const buffer = device.createBuffer({ size: 4, usage: MAP_WRITE, mappedAtCreation: true });
      await invalid(async () => {
        const aborted = rejection(buffer.mapAsync(WRITE));
        expect(buffer.mapState).toBe('mapped');
        buffer.unmap();
        expect(buffer.mapState).toBe('unmapped');
        expect((await aborted).name).toBe('AbortError');
      });
      await buffer.mapAsync(WRITE);
      expect(buffer.mapState).toBe('mapped');
    },
  );

  const wrong: [why: string, make: (device: GPUDevice) => GPUBuffer, args: [number, number?, number?]][] = [
    ['READ of a buffer without MAP_READ', (device) => writable(device, 1), [READ]],
    ['WRITE of a buffer without MAP_WRITE', (device) => readable(device, 1), [WRITE]],
    ['READ and WRITE at once', (device) => readable(device, 1), [READ | WRITE]],
    ['no mode', (device) => readable(device, 1), [0]],
    ['an unknown mode', (device) => readable(device, 1), [4]],
    ['an unknown mode beside READ', (device) => readable(device, 1), [READ | 4]],
    ['an offset that is not a multiple of eight', (device) => readable(device, 1, 2, 3), [READ, 4]],
    ['a size that is not a multiple of four', (device) => readable(device, 1, 2, 3), [READ, 0, 6]],
    ['a size beyond the end', (device) => readable(device, 1, 2), [READ, 0, 12]],
    ['an offset beyond the end', (device) => readable(device, 1, 2), [READ, 16, 0]],
    ['an offset and a size that together pass the end', (device) => readable(device, 1, 2), [READ, 8, 4]],
  ];
  for (const [why, make, args] of wrong) {
    parity(
      `${why} rejects with OperationError and raises a validation error`,
      async ({ device, invalid }) => {
        const buffer = make(device);
        await invalid(async () => {
          const mapped = buffer.mapAsync(...args);
          expect(buffer.mapState).toBe('pending');
          const reason = await rejection(mapped);
          expect(reason.name).toBe('OperationError');
        });
        expect(buffer.mapState).toBe('unmapped');
      },
    );
  }

  parity('an offset beyond the end without a size rejects with OperationError', async (t) => {
    const buffer = readable(t.device, 1, 2);
    await t.invalid(async () => {
      expect((await rejection(buffer.mapAsync(READ, 16))).name).toBe('OperationError');
    });
  });

  parity('a mode that is not a number rejects with a TypeError', async ({ device, valid }) => {
    const buffer = readable(device, 1);
    await valid(async () => {
      expect(await rejection(buffer.mapAsync(-1))).toBeInstanceOf(TypeError);
    });
    expect(buffer.mapState).toBe('unmapped');
  });

  parity('mapping a destroyed buffer rejects with OperationError', async ({ device, invalid }) => {
    const buffer = readable(device, 1);
    buffer.destroy();
    await invalid(async () => {
      expect((await rejection(buffer.mapAsync(READ))).name).toBe('OperationError');
    });
  });

  parity('mapping an invalid buffer rejects with OperationError', async ({ device, scoped, invalid }) => {
    let buffer: GPUBuffer | undefined;
    await scoped('validation', () => {
      buffer = device.createBuffer({ size: 4, usage: MAP_READ | MAP_WRITE });
    });
    await invalid(async () => {
      expect((await rejection((buffer as GPUBuffer).mapAsync(READ))).name).toBe('OperationError');
    });
  });

  parity('unmap while pending rejects with AbortError', async ({ device, valid }) => {
    const buffer = readable(device, 1);
    await valid(async () => {
      const mapped = buffer.mapAsync(READ);
      buffer.unmap();
      expect(buffer.mapState).toBe('unmapped');
      const reason = await rejection(mapped);
      expect(reason).toBeInstanceOf(DOMException);
      expect(reason.name).toBe('AbortError');
    });
  });

  parity('after unmap while pending the buffer can be mapped again at once', async ({ device }) => {
    const buffer = readable(device, 8);
    const aborted = rejection(buffer.mapAsync(READ));
    buffer.unmap();
    const again = buffer.mapAsync(READ);
    expect(buffer.mapState).toBe('pending');
    expect((await aborted).name).toBe('AbortError');
    await again;
    expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([8]);
  });

  parity('destroy while pending rejects with AbortError', async ({ device, valid }) => {
    const buffer = readable(device, 1);
    await valid(async () => {
      const mapped = buffer.mapAsync(READ);
      buffer.destroy();
      expect(buffer.mapState).toBe('unmapped');
      expect((await rejection(mapped)).name).toBe('AbortError');
    });
  });

  parity('unmap of an unmapped buffer does nothing', async ({ device, valid }) => {
    const buffer = readable(device, 1);
    await valid(() => {
      buffer.unmap();
      buffer.unmap();
    });
    const destroyed = readable(device, 1);
    destroyed.destroy();
    await valid(() => destroyed.unmap());
  });

  parity('a buffer with a pending mapping cannot be submitted', async ({ device, invalid }) => {
    const buffer = support.bufferOf(device, MAP_READ | COPY_DST, Uint32Array.of(1));
    const mapped = buffer.mapAsync(READ);
    await invalid(() => device.queue.writeBuffer(buffer, 0, Uint32Array.of(2)));
    await mapped;
    expect([...new Uint32Array(buffer.getMappedRange())]).toEqual([1]);
  });
});
