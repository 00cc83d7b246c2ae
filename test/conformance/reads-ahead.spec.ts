import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { parity, type Subject } from './fixture.js';
import { COPY_DST, COPY_SRC, MAP_READ, READ, rejection } from './support.js';

/** So often a program repeats itself until a client may have learned what it does. */
const REPEATED = 6;
const SIZE = 16;

/** A program that reads several buffers one after the other, in steps that are alike. */
class Reader {
  readonly device: GPUDevice;
  readonly sources: GPUBuffer[];
  readonly target: GPUBuffer;
  #value = 0;

  constructor(device: GPUDevice, sources = 3) {
    this.device = device;
    const source = () => device.createBuffer({ size: SIZE, usage: COPY_SRC | COPY_DST });
    this.sources = Array.from({ length: sources }, source);
    this.target = device.createBuffer({ size: SIZE, usage: COPY_DST | MAP_READ });
  }

  /** Writes other numbers than before to all sources; returns the one that the source `index` begins with. */
  write(): (index: number) => number {
    this.#value += 100;
    const value = this.#value;
    for (const [index, source] of this.sources.entries())
      this.device.queue.writeBuffer(source, 0, Uint32Array.of(value + index, 0, 0, 0));
    return (index) => value + index;
  }

  copy(index: number, to = this.target): void {
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.sources[index] as GPUBuffer, 0, to, 0, SIZE);
    this.device.queue.submit([encoder.finish()]);
  }

  /** Copies a source, and asks for the copy. */
  map(index: number): Promise<undefined> {
    this.copy(index);
    return this.target.mapAsync(READ);
  }

  /** What is mapped. */
  take(): number {
    const [number = -1] = new Uint32Array(this.target.getMappedRange());
    this.target.unmap();
    return number;
  }

  async read(index: number): Promise<number> {
    await this.map(index);
    return this.take();
  }

  /** The steps that a client learns from. */
  async repeat(step: () => Promise<void>): Promise<void> {
    for (let count = 0; count < REPEATED; count += 1) await step();
  }
}

/** A program whose steps read three buffers, up to the second read of the next step. */
async function beforeSecondRead({
  device,
}: Subject): Promise<{ reader: Reader; written(index: number): number }> {
  const reader = new Reader(device);
  const first = async () => {
    const written = reader.write();
    expect(await reader.read(0)).toBe(written(0));
    return written;
  };
  await reader.repeat(async () => {
    const written = await first();
    expect(await reader.read(1)).toBe(written(1));
    expect(await reader.read(2)).toBe(written(2));
  });
  return { reader, written: await first() };
}

describe('a program that reads the same buffers one after the other again and again', () => {
  parity('reads what is in them each time', async (t) => {
    const { reader, written } = await beforeSecondRead(t);
    expect(await reader.read(1)).toBe(written(1));
    expect(await reader.read(2)).toBe(written(2));
  });

  parity('reads with buffers that it makes each time', async ({ device }) => {
    const reader = new Reader(device);
    await reader.repeat(async () => {
      const written = reader.write();
      for (const index of [0, 1, 2]) {
        const target = device.createBuffer({ size: SIZE, usage: COPY_DST | MAP_READ });
        reader.copy(index, target);
        await target.mapAsync(READ);
        expect(new Uint32Array(target.getMappedRange())[0]).toBe(written(index));
        target.unmap();
        target.destroy();
      }
    });
  });

  parity('reads what it wrote in between', async (t) => {
    const { reader } = await beforeSecondRead(t);
    const written = reader.write();
    expect(await reader.read(1)).toBe(written(1));
    expect(await reader.read(2)).toBe(written(2));
  });

  parity('reads what it copied in between', async (t) => {
    const { reader, written } = await beforeSecondRead(t);
    const encoder = t.device.createCommandEncoder();
    encoder.copyBufferToBuffer(reader.sources[0] as GPUBuffer, reader.sources[1] as GPUBuffer);
    t.device.queue.submit([encoder.finish()]);
    expect(await reader.read(1)).toBe(written(0));
    expect(await reader.read(2)).toBe(written(2));
  });

  parity('reads another buffer, in another order', async (t) => {
    const { reader, written } = await beforeSecondRead(t);
    expect(await reader.read(2)).toBe(written(2));
    expect(await reader.read(0)).toBe(written(0));
    expect(await reader.read(1)).toBe(written(1));
  });

  parity('reads another part', async ({ device }) => {
    const reader = new Reader(device, 2);
    const part = async (offset: number) => {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(reader.sources[1] as GPUBuffer, offset, reader.target, 8, 8);
      device.queue.submit([encoder.finish()]);
      await reader.target.mapAsync(READ, 8, 8);
      const numbers = [...new Uint32Array(reader.target.getMappedRange(8, 8))];
      reader.target.unmap();
      return numbers;
    };
    await reader.repeat(async () => {
      const written = reader.write();
      expect(await reader.read(0)).toBe(written(0));
      expect(await part(0)).toEqual([written(1), 0]);
    });
    const written = reader.write();
    expect(await reader.read(0)).toBe(written(0));
    expect(await part(8)).toEqual([0, 0]);
    expect(await part(0)).toEqual([written(1), 0]);
  });

  parity('sees a mapping pending until the task is over, and can take it back', async (t) => {
    const { reader, written } = await beforeSecondRead(t);
    const mapped = rejection(reader.map(1));
    expect(reader.target.mapState).toBe('pending');
    await undefined;
    expect(reader.target.mapState).toBe('pending');
    reader.target.unmap();
    expect(reader.target.mapState).toBe('unmapped');
    expect((await mapped).name).toBe('AbortError');
    await turn();
    expect(reader.target.mapState).toBe('unmapped');
    expect(await reader.read(2)).toBe(written(2));
  });

  parity('cannot use a buffer that is mapped', async (t) => {
    const { reader, written } = await beforeSecondRead(t);
    await reader.map(1);
    await t.invalid(() => reader.copy(2));
    expect(reader.take()).toBe(written(1));
  });

  parity('cannot map a buffer again while it is mapped', async (t) => {
    const { reader, written } = await beforeSecondRead(t);
    await reader.map(1);
    await t.invalid(() => void rejection(reader.target.mapAsync(READ)));
    expect(reader.take()).toBe(written(1));
  });

  parity('cannot read a buffer that it has destroyed', async (t) => {
    const { reader } = await beforeSecondRead(t);
    reader.sources[1]?.destroy();
    await t.invalid(() => reader.copy(1));
  });

  parity('cannot read with a buffer that it has destroyed', async (t) => {
    const { reader } = await beforeSecondRead(t);
    reader.copy(1);
    reader.target.destroy();
    let refused: Promise<Error> | undefined;
    await t.invalid(() => {
      refused = rejection(reader.target.mapAsync(READ));
    });
    expect((await refused)?.name).toBe('OperationError');
  });

  parity('loses its device in between', async (t) => {
    const { reader } = await beforeSecondRead(t);
    const mapped = rejection(reader.map(1));
    t.device.destroy();
    expect((await mapped).name).toBe('AbortError');
    expect((await t.device.lost).reason).toBe('destroyed');
    expect(reader.target.mapState).toBe('unmapped');
  });

  parity('hears of its reads in order, and of the end of the work after them', async (t) => {
    const { reader } = await beforeSecondRead(t);
    const other = t.device.createBuffer({ size: SIZE, usage: COPY_DST | MAP_READ });
    const order: string[] = [];
    const first = reader.map(1).then(() => order.push('first'));
    reader.copy(2, other);
    const second = other.mapAsync(READ).then(() => order.push('second'));
    const done = t.device.queue.onSubmittedWorkDone().then(() => order.push('done'));
    await Promise.all([first, second, done]);
    expect(order.at(-1)).toBe('done');
  });
});

describe('a program that closes its scope behind its reads again and again', () => {
  async function beforePop({ device }: Subject, between: (reader: Reader, step: number) => void = () => {}) {
    const reader = new Reader(device, 2);
    let step = 0;
    const reads = async () => {
      device.pushErrorScope('validation');
      const written = reader.write();
      between(reader, step);
      step += 1;
      expect(await reader.read(0)).toBe(written(0));
      expect(await reader.read(1)).toBe(written(1));
    };
    await reader.repeat(async () => {
      await reads();
      expect(await device.popErrorScope()).toBeNull();
    });
    await reads();
    return reader;
  }

  const mistake = (device: GPUDevice) =>
    device.createBuffer({ label: 'mistake', size: 4, usage: MAP_READ | COPY_SRC });

  parity('is told of none where there was none', async (t) => {
    await beforePop(t);
    expect(await t.device.popErrorScope()).toBeNull();
    expect((await rejection(t.device.popErrorScope())).name).toBe('OperationError');
  });

  parity('is told of the mistake that it made before its reads', async (t) => {
    await beforePop(t, ({ device }, step) => void (step === REPEATED && mistake(device)));
    const error = await t.device.popErrorScope();
    expect(error).toBeInstanceOf(t.globals.GPUValidationError);
    t.observe('message', error?.message);
  });

  parity('is told of the mistake that it made behind its reads', async (t) => {
    await beforePop(t);
    mistake(t.device);
    expect(await t.device.popErrorScope()).toBeInstanceOf(t.globals.GPUValidationError);
  });

  parity('is told of the first of two mistakes, of which one is behind its reads', async (t) => {
    await beforePop(t, ({ device }, step) => void (step === REPEATED && mistake(device)));
    t.device.createBuffer({ label: 'second', size: 4, usage: 0 });
    expect((await t.device.popErrorScope())?.message).toContain('mistake');
  });

  parity('is told the right one of two scopes', async (t) => {
    await beforePop(t, ({ device }, step) => {
      if (step < REPEATED) return;
      mistake(device);
      device.pushErrorScope('validation');
    });
    expect(await t.device.popErrorScope()).toBeNull();
    expect(await t.device.popErrorScope()).toBeInstanceOf(t.globals.GPUValidationError);
  });

  parity('is told of the mistake that a scope behind its reads has around it', async (t) => {
    await beforePop(t);
    t.device.pushErrorScope('validation');
    mistake(t.device);
    expect(await t.device.popErrorScope()).toBeInstanceOf(t.globals.GPUValidationError);
    expect(await t.device.popErrorScope()).toBeNull();
  });

  parity('is told of no mistake by a device that it has destroyed', async (t) => {
    await beforePop(t, ({ device }, step) => void (step === REPEATED && mistake(device)));
    t.device.destroy();
    expect(await t.device.popErrorScope()).toBeNull();
  });
});
