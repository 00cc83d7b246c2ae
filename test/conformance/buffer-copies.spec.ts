import { describe, expect } from 'vitest';
import { parity, type Subject } from './fixture.js';
import { bufferOf, COPY_DST, COPY_SRC, STORAGE, thrown, u32sOf } from './support.js';

const source = (device: GPUDevice) => bufferOf(device, COPY_SRC | COPY_DST, Uint32Array.of(1, 2, 3, 4));
const target = (device: GPUDevice, size = 16) => device.createBuffer({ size, usage: COPY_SRC | COPY_DST });

function run(device: GPUDevice, encode: (encoder: GPUCommandEncoder) => void): void {
  const encoder = device.createCommandEncoder();
  encode(encoder);
  device.queue.submit([encoder.finish()]);
}

/** `finish` rejects the encoding. */
async function refused(
  { device, invalid }: Subject,
  encode: (encoder: GPUCommandEncoder) => void,
): Promise<void> {
  const encoder = device.createCommandEncoder();
  encode(encoder);
  await invalid(() => encoder.finish());
}

describe('GPUCommandEncoder.copyBufferToBuffer', () => {
  parity('copyBufferToBuffer copies a part to an offset', async ({ device }) => {
    const out = target(device);
    run(device, (encoder) => encoder.copyBufferToBuffer(source(device), 4, out, 8, 8));
    expect(await u32sOf(device, out)).toEqual([0, 0, 2, 3]);
  });

  parity('copyBufferToBuffer without a size copies up to the end of the source', async ({ device }) => {
    const out = target(device, 32);
    run(device, (encoder) => encoder.copyBufferToBuffer(source(device), 8, out, 4));
    expect(await u32sOf(device, out)).toEqual([0, 3, 4, 0, 0, 0, 0, 0]);
  });

  parity('copyBufferToBuffer with only two buffers copies the whole source', async ({ device }) => {
    const out = target(device);
    run(device, (encoder) => encoder.copyBufferToBuffer(source(device), out));
    expect(await u32sOf(device, out)).toEqual([1, 2, 3, 4]);
  });

  parity('copyBufferToBuffer with two buffers and a size copies the beginning', async ({ device }) => {
    const out = target(device);
    run(device, (encoder) => encoder.copyBufferToBuffer(source(device), out, 8));
    expect(await u32sOf(device, out)).toEqual([1, 2, 0, 0]);
  });

  parity('an undefined size counts as no size', async ({ device }) => {
    const [out, other] = [target(device), target(device)];
    run(device, (encoder) => {
      encoder.copyBufferToBuffer(source(device), out, undefined);
      encoder.copyBufferToBuffer(source(device), 0, other, 0, undefined);
    });
    expect(await u32sOf(device, out)).toEqual([1, 2, 3, 4]);
    expect(await u32sOf(device, other)).toEqual([1, 2, 3, 4]);
  });

  parity('a copy of zero bytes is valid', async ({ device, valid }) => {
    await valid(() =>
      run(device, (encoder) => encoder.copyBufferToBuffer(source(device), 16, target(device), 16, 0)),
    );
  });

  const wrong: [why: string, args: [number, number, number?]][] = [
    ['a source offset that is not a multiple of four', [2, 0, 4]],
    ['a destination offset that is not a multiple of four', [0, 2, 4]],
    ['a size that is not a multiple of four', [0, 0, 6]],
    ['a part beyond the end of the source', [12, 0, 8]],
    ['a part beyond the end of the destination', [0, 12, 8]],
    ['a source offset beyond the end', [20, 0]],
  ];
  for (const [why, [from, to, size]] of wrong) {
    parity(`${why} is a validation error`, async (t) => {
      const [a, b] = [source(t.device), target(t.device)];
      await refused(t, (encoder) => encoder.copyBufferToBuffer(a, from, b, to, size));
    });
  }

  parity('a copy from a buffer to itself is a validation error', async (t) => {
    const buffer = source(t.device);
    await refused(t, (encoder) => encoder.copyBufferToBuffer(buffer, 0, buffer, 8, 8));
  });

  parity('buffers without COPY_SRC or COPY_DST are validation errors', async (t) => {
    const plain = t.device.createBuffer({ size: 16, usage: STORAGE, label: 'plain' });
    await refused(t, (encoder) => encoder.copyBufferToBuffer(plain, target(t.device)));
    await refused(t, (encoder) => encoder.copyBufferToBuffer(source(t.device), plain));
  });

  parity("another device's buffer is a validation error", async (t) => {
    const foreign = target(await t.newDevice());
    await refused(t, (encoder) => encoder.copyBufferToBuffer(foreign, target(t.device)));
  });

  parity('arguments that fit no overload throw a TypeError', ({ device }) => {
    const encoder = device.createCommandEncoder();
    const copy = encoder.copyBufferToBuffer.bind(encoder) as (...args: unknown[]) => void;
    const [a, b] = [source(device), target(device)];
    expect(thrown(() => copy(a))).toBeInstanceOf(TypeError);
    expect(thrown(() => copy(a, 0))).toBeInstanceOf(TypeError);
    expect(thrown(() => copy(a, 0, b))).toBeInstanceOf(TypeError);
    expect(thrown(() => copy(a, 0, 0, b))).toBeInstanceOf(TypeError);
    expect(thrown(() => copy(a, -4, b, 0))).toBeInstanceOf(TypeError);
    expect(thrown(() => copy(a, b, -4))).toBeInstanceOf(TypeError);
    expect(thrown(() => copy({}, b))).toBeInstanceOf(TypeError);
    expect(thrown(() => copy(a, {}))).toBeInstanceOf(TypeError);
  });
});

describe('GPUCommandEncoder.clearBuffer', () => {
  parity('clearBuffer clears all, from an offset, or a part', async ({ device }) => {
    const [all, rest, part] = [source(device), source(device), source(device)];
    run(device, (encoder) => {
      encoder.clearBuffer(all);
      encoder.clearBuffer(rest, 8);
      encoder.clearBuffer(part, 4, 8);
    });
    expect(await u32sOf(device, all)).toEqual([0, 0, 0, 0]);
    expect(await u32sOf(device, rest)).toEqual([1, 2, 0, 0]);
    expect(await u32sOf(device, part)).toEqual([1, 0, 0, 4]);
  });

  parity('undefined offset and size count as absent', async ({ device }) => {
    const buffer = source(device);
    run(device, (encoder) => encoder.clearBuffer(buffer, undefined, undefined));
    expect(await u32sOf(device, buffer)).toEqual([0, 0, 0, 0]);
  });

  const wrong: [why: string, args: [number?, number?]][] = [
    ['an offset that is not a multiple of four', [2]],
    ['a size that is not a multiple of four', [0, 6]],
    ['a part beyond the end', [8, 12]],
    ['an offset beyond the end', [20]],
  ];
  for (const [why, args] of wrong) {
    parity(`${why} is a validation error`, async (t) => {
      const buffer = source(t.device);
      await refused(t, (encoder) => encoder.clearBuffer(buffer, ...args));
    });
  }

  parity('a buffer without COPY_DST is a validation error', async (t) => {
    const plain = t.device.createBuffer({ size: 16, usage: COPY_SRC, label: 'plain' });
    await refused(t, (encoder) => encoder.clearBuffer(plain));
  });
});
