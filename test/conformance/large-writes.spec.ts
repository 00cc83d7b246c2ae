import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { bytesOf, COPY_DST, COPY_SRC, MAP_READ, MAP_WRITE, READ, STORAGE, u32sOf, WRITE } from './support.js';

/** More than two parts of a long upload, and not a multiple of a part. */
const SIZE = (5 << 19) + 12;

/** Bytes that do not repeat in step with a part. */
const pattern = (size = SIZE, seed = 1) =>
  new Uint8Array(Uint32Array.from({ length: size / 4 }, (_, at) => Math.imul(at + seed, 2654435761)).buffer);

const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && Buffer.compare(a, b) === 0;

const target = (device: GPUDevice, descriptor: Partial<GPUBufferDescriptor> = {}) =>
  device.createBuffer({ size: SIZE + 16, usage: COPY_SRC | COPY_DST, label: 'target', ...descriptor });

describe('a large GPUQueue.writeBuffer', () => {
  parity(
    'a large writeBuffer writes every byte at its offset, as it is at the call',
    async ({ device, valid }) => {
      const buffer = target(device);
      const data = pattern();
      await valid(() => device.queue.writeBuffer(buffer, 8, data));
      const expected = new Uint8Array(SIZE + 16);
      expected.set(data, 8);
      data.fill(0);
      expect(same(await bytesOf(device, buffer), expected)).toBe(true);
    },
  );

  parity('a large writeBuffer keeps its place among smaller writes and submits', async ({ device }) => {
    const buffer = target(device);
    const copy = target(device);
    device.queue.writeBuffer(buffer, 0, Uint32Array.of(1, 2));
    device.queue.writeBuffer(buffer, 4, pattern());
    device.queue.writeBuffer(buffer, SIZE, Uint32Array.of(3, 4));
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, copy, 0, SIZE + 16);
    device.queue.submit([encoder.finish()]);
    device.queue.writeBuffer(buffer, 0, pattern(SIZE, 7));
    const expected = new Uint8Array(SIZE + 16);
    expected.set([1], 0);
    expected.set(pattern(), 4);
    expected.set(new Uint8Array(Uint32Array.of(3, 4).buffer), SIZE);
    expect(same(await bytesOf(device, copy), expected)).toBe(true);
    expect(same((await bytesOf(device, buffer)).subarray(0, SIZE), pattern(SIZE, 7))).toBe(true);
  });

  const wrong: [why: string, act: (device: GPUDevice) => unknown][] = [
    ['an offset that is not a multiple of four', (device) => write(device, target(device), 2)],
    ['a range that ends outside the buffer', (device) => write(device, target(device), 20)],
    ['a range that begins outside the buffer', (device) => write(device, target(device), 2 ** 40)],
    ['a buffer without COPY_DST', (device) => write(device, target(device, { usage: STORAGE | COPY_SRC }))],
    ['a mapped buffer', (device) => write(device, target(device, { mappedAtCreation: true }))],
    ['a destroyed buffer', (device) => write(device, destroyed(target(device)))],
    [
      'a buffer that is about to be mapped',
      (device) => {
        const buffer = target(device, { usage: COPY_DST | MAP_READ });
        const mapped = buffer.mapAsync(READ);
        write(device, buffer);
        return mapped;
      },
    ],
  ];
  for (const [why, act] of wrong) {
    parity(
      `a large writeBuffer is one validation error for ${why}`,
      async ({ device, invalid, uncaptured, observe }) => {
        await invalid(() => act(device));
        // Without an open scope, each error would be an event.
        await act(device);
        const errors = await uncaptured();
        expect(errors.length).toBe(1);
        observe('message', errors[0]?.message);
        const next = target(device);
        device.queue.writeBuffer(next, 0, Uint32Array.of(5));
        expect((await u32sOf(device, next))[0]).toBe(5);
      },
    );
  }

  parity('a large writeBuffer that fails writes nothing', async ({ device, invalid }) => {
    const buffer = target(device);
    await invalid(() => write(device, buffer, 20));
    expect((await bytesOf(device, buffer)).every((byte) => byte === 0)).toBe(true);
  });

  parity(
    "a large writeBuffer is one validation error for another device's buffer",
    async ({ device, newDevice, invalid }) => {
      const foreign = target(await newDevice(), { label: 'foreign' });
      await invalid(() => write(device, foreign));
    },
  );

  parity(
    'a large writeBuffer is one validation error for an invalid buffer',
    async ({ device, scoped, observe, uncaptured }) => {
      let buffer: GPUBuffer | undefined;
      await scoped('validation', () => {
        buffer = target(device, { usage: 0x8000 });
      });
      const write_ = () => write(device, buffer as GPUBuffer);
      observe('in a scope', (await scoped('validation', write_))?.message);
      write_();
      observe(
        'in none',
        (await uncaptured()).map(({ message }) => message),
      );
    },
  );

  parity('a large writeBuffer to a buffer that turns out invalid fails in its own scope', async (t) => {
    const { device, observe, uncaptured } = t;
    device.pushErrorScope('validation');
    const buffer = target(device, { usage: 0x8000, label: 'bad' });
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    write(device, buffer);
    const good = target(device);
    device.queue.writeBuffer(good, 0, Uint32Array.of(6));
    const inner = device.popErrorScope();
    const middle = device.popErrorScope();
    const outer = device.popErrorScope();
    expect(await inner).toBe(null);
    observe('of the write', (await middle)?.message);
    observe('of the buffer', (await outer)?.message);
    expect((await middle)?.message).toMatch(/WriteBuffer/);
    expect((await outer)?.message).not.toMatch(/WriteBuffer/);
    expect(await uncaptured()).toEqual([]);
    expect((await u32sOf(device, good))[0]).toBe(6);
  });

  parity('of two failing large writes, only the first is the error of the scope', async (t) => {
    const { device, scoped } = t;
    const [bad, worse] = await invalidBuffers(t);
    const wrongUsage = () => device.createBuffer({ size: 4, usage: 0 });
    const first = await scoped('validation', () => {
      write(device, bad);
      wrongUsage();
      write(device, worse);
    });
    expect(first?.message).toMatch(/bad/);
    const second = await scoped('validation', () => {
      wrongUsage();
      write(device, bad);
    });
    expect(second?.message).not.toMatch(/bad/);
  });

  parity('a large writeBuffer settles no promise out of order', async ({ device }) => {
    const order: string[] = [];
    const note = (name: string) => () => void order.push(name);
    const buffer = target(device);
    const before = device.queue.onSubmittedWorkDone().then(note('before'));
    write(device, buffer);
    device.pushErrorScope('validation');
    const popped = device.popErrorScope().then(note('popped'));
    const after = device.queue.onSubmittedWorkDone().then(note('after'));
    await Promise.all([before, popped, after]);
    expect(order.indexOf('before')).toBeLessThan(order.indexOf('after'));
  });

  parity('a large writeBuffer on a lost device is no error', async ({ newDevice }) => {
    const device = await newDevice();
    const buffer = target(device);
    const errors: string[] = [];
    device.addEventListener('uncapturederror', (event) => {
      errors.push((event as GPUUncapturedErrorEvent).error.message);
    });
    device.destroy();
    write(device, buffer);
    await device.lost;
    write(device, buffer);
    await device.queue.onSubmittedWorkDone();
    expect(errors).toEqual([]);
  });
});

describe('a large mapping', () => {
  parity('a large mapping at creation arrives whole', async ({ device, valid }) => {
    const data = pattern();
    const buffer = await valid(() => {
      const made = target(device, { size: SIZE, mappedAtCreation: true });
      new Uint8Array(made.getMappedRange()).set(data);
      made.unmap();
      return made;
    });
    expect(same(await bytesOf(device, buffer), data)).toBe(true);
  });

  parity('a large mapping in large and small ranges arrives whole', async ({ device, valid }) => {
    const data = pattern();
    const buffer = await valid(() => {
      const made = target(device, { size: SIZE, mappedAtCreation: true });
      for (const [start, end] of [
        [8, 16],
        [24, 24 + (9 << 17)],
        [24 + (9 << 17), SIZE],
      ] as const) {
        new Uint8Array(made.getMappedRange(start, end - start)).set(data.subarray(start, end));
      }
      made.unmap();
      return made;
    });
    const expected = data.slice();
    expected.fill(0, 0, 8);
    expected.fill(0, 16, 24);
    expect(same(await bytesOf(device, buffer), expected)).toBe(true);
  });

  parity('a large mapping for writing arrives whole each time', async ({ device, valid }) => {
    const source = device.createBuffer({ size: SIZE, usage: MAP_WRITE | COPY_SRC });
    const data = pattern();
    await valid(async () => {
      await source.mapAsync(WRITE);
      new Uint8Array(source.getMappedRange()).set(data);
      source.unmap();
      await source.mapAsync(WRITE, 8, SIZE - 8);
      const range = new Uint8Array(source.getMappedRange(8, SIZE - 8));
      expect(same(range, data.subarray(8))).toBe(true);
      range[0] = 77;
      source.unmap();
    });
    data[8] = 77;
    expect(same(await bytesOf(device, source), data)).toBe(true);
  });

  parity(
    'a large mapping of an invalid buffer raises no further error',
    async ({ device, scoped, valid }) => {
      let buffer: GPUBuffer | undefined;
      await scoped('validation', () => {
        buffer = target(device, { size: SIZE, usage: 0x8000, mappedAtCreation: true });
      });
      await valid(() => {
        new Uint8Array((buffer as GPUBuffer).getMappedRange()).set(pattern());
        buffer?.unmap();
      });
    },
  );

  parity('a large mapping for reading arrives whole', async ({ device }) => {
    const data = pattern();
    const buffer = target(device, { size: SIZE, usage: COPY_DST | MAP_READ });
    device.queue.writeBuffer(buffer, 0, data);
    await buffer.mapAsync(READ, 16, SIZE - 24);
    const read = new Uint8Array(buffer.getMappedRange(16, SIZE - 24));
    expect(same(read, data.subarray(16, SIZE - 8))).toBe(true);
    buffer.unmap();
    await buffer.mapAsync(READ);
    expect(same(new Uint8Array(buffer.getMappedRange()), data)).toBe(true);
  });

  parity(
    'a large mapping for reading that is unmapped early rejects, and the buffer stays usable',
    async (t) => {
      const { device } = t;
      const data = pattern();
      const buffer = target(device, { size: SIZE, usage: COPY_DST | MAP_READ });
      device.queue.writeBuffer(buffer, 0, data);
      const given = buffer.mapAsync(READ).then(
        () => 'mapped',
        (error: Error) => error.name,
      );
      buffer.unmap();
      expect(await given).toBe('AbortError');
      await buffer.mapAsync(READ);
      expect(same(new Uint8Array(buffer.getMappedRange()), data)).toBe(true);
      buffer.destroy();
    },
  );
});

function write(device: GPUDevice, buffer: GPUBuffer, offset = 0): void {
  device.queue.writeBuffer(buffer, offset, pattern());
}

function destroyed(buffer: GPUBuffer): GPUBuffer {
  buffer.destroy();
  return buffer;
}

async function invalidBuffers({
  device,
  scoped,
}: {
  device: GPUDevice;
  scoped(filter: GPUErrorFilter, act: () => unknown): Promise<GPUError | null>;
}): Promise<[GPUBuffer, GPUBuffer]> {
  const made: GPUBuffer[] = [];
  await scoped('validation', () => {
    for (const label of ['bad', 'worse']) made.push(target(device, { usage: 0x8000, label }));
  });
  return made as [GPUBuffer, GPUBuffer];
}
