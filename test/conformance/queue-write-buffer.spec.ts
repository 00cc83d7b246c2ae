import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { bytesOf, COPY_DST, COPY_SRC, STORAGE, thrown, u32sOf } from './support.js';

const target = (device: GPUDevice, size = 16, label = 'target') =>
  device.createBuffer({ size, usage: COPY_SRC | COPY_DST, label });

const ascending = Uint8Array.from({ length: 16 }, (_, index) => index + 1);

describe('GPUQueue.writeBuffer', () => {
  parity('writeBuffer writes every byte of its data, at the offset', async ({ device }) => {
    const buffer = target(device);
    device.queue.writeBuffer(buffer, 8, Uint32Array.of(1, 2));
    expect(await u32sOf(device, buffer)).toEqual([0, 0, 1, 2]);
  });

  parity('writeBuffer copies the data at the time of the call', async ({ device }) => {
    const buffer = target(device);
    const data = Uint32Array.of(1, 2, 3, 4);
    device.queue.writeBuffer(buffer, 0, data);
    data.fill(99);
    expect(await u32sOf(device, buffer)).toEqual([1, 2, 3, 4]);
  });

  parity('offset and size of a typed array count elements', async ({ device }) => {
    const buffer = target(device);
    device.queue.writeBuffer(buffer, 0, Uint16Array.of(1, 2, 3, 4, 5, 6), 1, 4);
    expect([...new Uint16Array((await bytesOf(device, buffer)).buffer, 0, 4)]).toEqual([2, 3, 4, 5]);
    device.queue.writeBuffer(buffer, 0, Float64Array.of(1, 2, 3), 2);
    expect(new Float64Array((await bytesOf(device, buffer)).buffer, 0, 1)[0]).toBe(3);
    device.queue.writeBuffer(buffer, 0, BigInt64Array.of(1n, -2n), 1, 1);
    expect(new BigInt64Array((await bytesOf(device, buffer)).buffer, 0, 1)[0]).toBe(-2n);
  });

  parity('offset and size of an ArrayBuffer count bytes', async ({ device }) => {
    const buffer = target(device, 8);
    device.queue.writeBuffer(buffer, 0, ascending.slice().buffer, 1, 4);
    device.queue.writeBuffer(buffer, 4, ascending.slice().buffer, 9, 4);
    expect([...(await bytesOf(device, buffer))]).toEqual([2, 3, 4, 5, 10, 11, 12, 13]);
  });

  parity(
    'offset and size of a DataView count bytes',
    async ({ device }) => {
      const buffer = target(device, 4);
      device.queue.writeBuffer(buffer, 0, new DataView(ascending.slice().buffer, 8), 1, 4);
      expect([...(await bytesOf(device, buffer))]).toEqual([10, 11, 12, 13]);
    },
    { deviation: 'a DataView is no source of bytes' },
  );

  parity('writeBuffer without a size writes everything after the offset', async ({ device }) => {
    const buffer = target(device, 8);
    device.queue.writeBuffer(buffer, 0, ascending.slice().buffer, 8);
    expect([...(await bytesOf(device, buffer))]).toEqual([9, 10, 11, 12, 13, 14, 15, 16]);
  });

  parity('undefined offset and size count as absent', async ({ device }) => {
    const buffer = target(device, 8);
    device.queue.writeBuffer(buffer, 0, Uint32Array.of(4, 5), undefined, undefined);
    expect(await u32sOf(device, buffer)).toEqual([4, 5]);
  });

  parity('a view of a part writes only that part', async ({ device }) => {
    const buffer = target(device, 4);
    device.queue.writeBuffer(buffer, 0, new Uint8Array(ascending.slice().buffer, 4, 8), 2, 4);
    expect([...(await bytesOf(device, buffer))]).toEqual([7, 8, 9, 10]);
  });

  parity('a Node Buffer in a pool writes only its own bytes', async ({ device }) => {
    const buffer = target(device, 4);
    device.queue.writeBuffer(buffer, 0, Buffer.from('abcd'));
    expect(Buffer.from(await bytesOf(device, buffer)).toString()).toBe('abcd');
  });

  parity('writing zero bytes is valid', async ({ device, valid }) => {
    const buffer = target(device, 4);
    await valid(() => {
      device.queue.writeBuffer(buffer, 0, new Uint8Array(0));
      device.queue.writeBuffer(buffer, 4, ascending, 16);
      device.queue.writeBuffer(buffer, 0, ascending, 0, 0);
    });
  });

  parity('large data arrives whole', async ({ device }) => {
    // More than one message of the default gRPC size holds.
    const data = Uint32Array.from({ length: 1_500_000 }, (_, index) => Math.imul(index, 2654435761));
    const buffer = target(device, data.byteLength);
    device.queue.writeBuffer(buffer, 0, data);
    const bytes = await bytesOf(device, buffer);
    expect(Buffer.compare(bytes, new Uint8Array(data.buffer))).toBe(0);
  });

  parity('writes happen in the order of the calls', async ({ device }) => {
    const buffer = target(device);
    for (let value = 1; value <= 4; value++) {
      device.queue.writeBuffer(buffer, 0, new Uint32Array(4 - value + 1).fill(value));
    }
    expect(await u32sOf(device, buffer)).toEqual([4, 3, 2, 1]);
  });

  parity(
    'bytes of a SharedArrayBuffer are written',
    async ({ device }) => {
      const shared = new SharedArrayBuffer(16);
      new Uint8Array(shared).set(ascending);
      const buffer = target(device, 16);
      device.queue.writeBuffer(buffer, 0, new Uint8Array(shared), 0, 8);
      device.queue.writeBuffer(buffer, 8, shared, 4, 8);
      new Uint8Array(shared).fill(0);
      const expected = [1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8, 9, 10, 11, 12];
      expect([...(await bytesOf(device, buffer))]).toEqual(expected);
    },
    { deviation: 'bytes of a SharedArrayBuffer crash it' },
  );

  parity('a range outside the data throws OperationError and writes nothing', async ({ device, valid }) => {
    const buffer = target(device, 16);
    const data = new Uint32Array(4);
    await valid(() => {
      for (const [offset, size] of [[5], [0, 5], [2, 3], [5, 0]] as [number, number?][]) {
        const error = thrown(() => device.queue.writeBuffer(buffer, 0, data, offset, size));
        expect(error).toBeInstanceOf(DOMException);
        expect(error.name, `${offset}, ${size}`).toBe('OperationError');
      }
    });
  });

  parity('a size that is not a multiple of four bytes throws OperationError', async ({ device, valid }) => {
    const buffer = target(device);
    await valid(() => {
      expect(thrown(() => device.queue.writeBuffer(buffer, 0, new Uint8Array(3))).name).toBe(
        'OperationError',
      );
      expect(thrown(() => device.queue.writeBuffer(buffer, 0, new Uint16Array(8), 0, 1)).name).toBe(
        'OperationError',
      );
      expect(thrown(() => device.queue.writeBuffer(buffer, 0, ascending, 3)).name).toBe('OperationError');
    });
  });

  parity('an offset that is not a multiple of four is a validation error', async ({ device, invalid }) => {
    await invalid(() => device.queue.writeBuffer(target(device), 2, new Uint8Array(4)));
  });

  parity(
    'a range outside the buffer is a validation error and writes nothing',
    async ({ device, invalid }) => {
      const buffer = target(device, 8);
      await invalid(() => device.queue.writeBuffer(buffer, 4, Uint32Array.of(1, 2)));
      await invalid(() => device.queue.writeBuffer(buffer, 12, new Uint8Array(0)));
      await invalid(() => device.queue.writeBuffer(buffer, 2 ** 40, Uint32Array.of(1)));
      expect(await u32sOf(device, buffer)).toEqual([0, 0]);
    },
  );

  parity('a buffer without COPY_DST is a validation error', async ({ device, invalid }) => {
    const buffer = device.createBuffer({ size: 4, usage: STORAGE, label: 'storage alone' });
    await invalid(() => device.queue.writeBuffer(buffer, 0, Uint32Array.of(1)));
  });

  parity("another device's buffer is a validation error", async ({ device, newDevice, invalid }) => {
    const foreign = target(await newDevice(), 4, 'foreign');
    await invalid(() => device.queue.writeBuffer(foreign, 0, Uint32Array.of(1)));
  });

  parity('a detached ArrayBuffer holds no bytes', async ({ device, valid }) => {
    const buffer = target(device, 4);
    const data = new ArrayBuffer(4);
    structuredClone(data, { transfer: [data] });
    await valid(() => device.queue.writeBuffer(buffer, 0, data));
    expect(thrown(() => device.queue.writeBuffer(buffer, 0, data, 0, 4)).name).toBe('OperationError');
    expect(await u32sOf(device, buffer)).toEqual([0]);
  });

  parity('data of another type throws a TypeError', ({ device }) => {
    const buffer = target(device);
    for (const data of [[1, 2, 3, 4], 'abcd', 4, null, undefined, {}]) {
      expect(thrown(() => device.queue.writeBuffer(buffer, 0, data as never))).toBeInstanceOf(TypeError);
    }
  });
});
