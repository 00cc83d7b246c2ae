import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { Asides } from '#farlight/server/executor/objects/asides.js';
import { openGpu } from '#farlight/server/gpu/open-gpu.js';

const [COPY_SRC, COPY_DST] = [0x4, 0x8];

let gpu: GPU;
beforeAll(async () => {
  gpu = (await openGpu('software')).gpu;
});

let device: GPUDevice;
let asides: Asides;
let uncaptured: string[];

beforeEach(async () => {
  device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
  asides = new Asides(device);
  uncaptured = [];
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    uncaptured.push((event as GPUUncapturedErrorEvent).error.message);
  });
  return () => device.destroy();
});

function buffer(size = 16, usage = COPY_SRC | COPY_DST): GPUBuffer {
  return device.createBuffer({ size, usage });
}

const read = (...ranges: Parameters<Asides['read']>[0]) => asides.read(ranges, () => {});

describe('what is copied aside', () => {
  it('is what the ranges hold behind all that was submitted, one after the other', async () => {
    const [one, other] = [buffer(), buffer()];
    device.queue.writeBuffer(one, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    device.queue.writeBuffer(other, 12, Uint8Array.of(9, 9, 9, 9));
    const reading = read({ buffer: one, offset: 4, size: 4 }, { buffer: other, offset: 8, size: 8 });
    device.queue.writeBuffer(one, 0, new Uint8Array(16));
    expect([...(await reading)]).toEqual([5, 6, 7, 8, 0, 0, 0, 0, 9, 9, 9, 9]);
  });

  it.each<[string, () => Parameters<Asides['read']>[0][number]]>([
    ['a range outside of its buffer', () => ({ buffer: buffer(16), offset: 8, size: 16 })],
    ['a buffer without the usage', () => ({ buffer: buffer(16, COPY_DST), offset: 0, size: 16 })],
    ['a range of odd bytes', () => ({ buffer: buffer(16), offset: 0, size: 6 })],
    ['nothing', () => ({ buffer: buffer(16), offset: 0, size: 0 })],
    [
      'more than a request may bring',
      () => {
        const size = LIMITS.aheadBytes + 4;
        return { buffer: buffer(size), offset: 0, size };
      },
    ],
    [
      'a buffer that is destroyed',
      () => {
        const destroyed = buffer(16);
        destroyed.destroy();
        return { buffer: destroyed, offset: 0, size: 16 };
      },
    ],
  ])('is nothing where it is %s, and no scope of the program hears of that', async (_, range) => {
    const given = range();
    device.pushErrorScope('validation');
    expect((await read(given)).length).toBe(0);
    expect(await device.popErrorScope()).toBeNull();
    expect(uncaptured).toEqual([]);
    // The next one is not in its way.
    expect((await read({ buffer: buffer(), offset: 0, size: 16 })).length).toBe(16);
  });

  it('takes no more buffers the more often it is asked for, and gives them back', async () => {
    const made = vi.spyOn(device, 'createBuffer');
    const source = buffer();
    for (let count = 0; count < 5; count += 1) await read({ buffer: source, offset: 0, size: 16 });
    expect(made).toHaveBeenCalledTimes(2);
    const destroyed = vi.spyOn(made.mock.results[1]?.value as GPUBuffer, 'destroy');
    asides.clear();
    expect(destroyed).toHaveBeenCalledTimes(1);
  });

  it('is nothing while two requests are under way', async () => {
    const range = { buffer: buffer(), offset: 0, size: 16 };
    const lengths = (await Promise.all([read(range), read(range), read(range)])).map(({ length }) => length);
    expect(lengths).toEqual([16, 16, 0]);
  });

  it('rejects where the device is lost', async () => {
    const range = { buffer: buffer(), offset: 0, size: 16 };
    device.destroy();
    await expect(read(range)).rejects.toMatchObject({ name: 'AbortError' });
  });
});
