import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CreateOptions, close, create, type Stats, stats } from '#farlight/client/index.js';
import { type TestHost, testHost } from '#farlight/testing/index.js';

const [MAP_READ, COPY_SRC, COPY_DST] = [0x1, 0x4, 0x8];
const SIZE = 64;

let host: TestHost;
beforeAll(async () => {
  host = await testHost({ adapter: 'null', transport: 'memory' });
});
afterAll(() => host.close());

/** A program that reads several outputs of a step one after another. */
class Program {
  readonly gpu: GPU;
  device!: GPUDevice;
  queue!: GPUQueue;
  outputs!: GPUBuffer[];

  constructor(options: CreateOptions = {}) {
    this.gpu = create({ transport: host.transport, ahead: 'on', ...options });
  }

  async open(): Promise<this> {
    const adapter = await this.gpu.requestAdapter();
    this.device = (await adapter?.requestDevice()) as GPUDevice;
    this.queue = this.device.queue;
    this.outputs = Array.from({ length: 4 }, () =>
      this.device.createBuffer({ size: SIZE, usage: COPY_SRC | COPY_DST }),
    );
    return this;
  }

  compute(): void {
    for (const output of this.outputs) this.queue.writeBuffer(output, 0, new Uint8Array(SIZE));
  }

  async read(index: number): Promise<void> {
    const target = this.device.createBuffer({ size: SIZE, usage: COPY_DST | MAP_READ });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.outputs[index] as GPUBuffer, 0, target, 0, SIZE);
    this.queue.submit([encoder.finish()]);
    await target.mapAsync(MAP_READ);
    target.getMappedRange();
    target.destroy();
  }

  async step(): Promise<void> {
    this.compute();
    for (const index of this.outputs.keys()) await this.read(index);
  }

  /** What the ledger counts of `act`. */
  async counted(act: () => Promise<unknown>): Promise<Stats> {
    const before = stats(this.gpu);
    await act();
    const after = stats(this.gpu);
    return Object.fromEntries(
      Object.entries(after).map(([name, value]) => [name, value - before[name as keyof Stats]]),
    ) as unknown as Stats;
  }

  async repeat(step = () => this.step()): Promise<void> {
    for (let count = 0; count < 4; count += 1) await step();
  }
}

let program: Program;
beforeEach(async () => {
  program = await new Program().open();
});

describe('a program that reads four outputs one after another', () => {
  it('waits once a step after a few equal steps', async () => {
    await program.repeat();
    const { waits, waitsSaved, bytesAhead, bytesAheadWasted } = await program.counted(() => program.step());
    expect({ waits, waitsSaved, bytesAhead, bytesAheadWasted }).toEqual({
      waits: 1,
      waitsSaved: 3,
      // The bytes are counted when the next step begins.
      bytesAhead: 3 * SIZE,
      bytesAheadWasted: 0,
    });
  });

  it.each<[string, CreateOptions]>([
    ['with it off', { ahead: 'off' }],
    ['without reuse', { reuse: 'off' }],
  ])('waits for each %s', async (_, options) => {
    program = await new Program(options).open();
    await program.repeat();
    const { waitsSaved } = await program.counted(() => program.step());
    expect(waitsSaved).toBe(0);
  });

  it('sends few more bytes, and no more frames or commands', async () => {
    await program.repeat();
    await program.repeat();
    const ahead = await program.counted(() => program.step());
    program = await new Program({ ahead: 'off' }).open();
    await program.repeat();
    await program.repeat();
    const off = await program.counted(() => program.step());
    expect(ahead.messagesSent).toBeLessThanOrEqual(off.messagesSent);
    expect(ahead.commandsSent).toBe(off.commandsSent);
    expect(ahead.bytesUp - off.bytesUp).toBeLessThan(40);
    expect(ahead.bytesDown - off.bytesDown).toBeLessThan(40);
  });

  it('reads nothing ahead for ten steps after it stopped reading, and the vain bytes are counted', async () => {
    await program.repeat();
    program.compute();
    await program.read(0);
    const changed = await program.counted(async () => program.compute());
    expect(changed.bytesAheadWasted).toBe(3 * SIZE);
    await program.read(0);
    for (const index of [1, 2, 3]) await program.read(index);
    let asked = 0;
    for (let step = 0; step < 10; step += 1)
      asked += (await program.counted(() => program.step())).waitsSaved > 0 ? 1 : 0;
    expect(asked).toBe(0);
    await program.repeat();
    expect((await program.counted(() => program.step())).waits).toBe(1);
  });

  it('saves no wait if it awaits all outputs at once', async () => {
    const together = async () => {
      program.compute();
      await Promise.all([0, 1, 2, 3].map((index) => program.read(index)));
    };
    await program.repeat(together);
    const { waitsSaved, bytesAheadWasted } = await program.counted(together);
    expect({ waitsSaved, bytesAheadWasted }).toEqual({ waitsSaved: 0, bytesAheadWasted: 0 });
  });

  it('saves no wait for outputs that are too long together', async () => {
    const size = 80 << 10;
    program.outputs = program.outputs.map(() =>
      program.device.createBuffer({ size, usage: COPY_SRC | COPY_DST }),
    );
    const targets = program.outputs.map(() =>
      program.device.createBuffer({ size, usage: COPY_DST | MAP_READ }),
    );
    const step = async () => {
      program.compute();
      for (const [index, target] of targets.entries()) {
        const encoder = program.device.createCommandEncoder();
        encoder.copyBufferToBuffer(program.outputs[index] as GPUBuffer, target);
        program.queue.submit([encoder.finish()]);
        await target.mapAsync(MAP_READ);
        expect(target.getMappedRange().byteLength).toBe(size);
        target.unmap();
      }
    };
    await program.repeat(step);
    // The first output is not read ahead. The other 240 KiB fit, and 320 KiB do not.
    expect((await program.counted(step)).waits).toBe(1);
    program.outputs.push(program.device.createBuffer({ size, usage: COPY_SRC | COPY_DST }));
    targets.push(program.device.createBuffer({ size, usage: COPY_DST | MAP_READ }));
    await program.repeat(step);
    expect((await program.counted(step)).bytesAheadWasted).toBe(0);
  });
});

describe('a wait behind the reads of a step', () => {
  it('costs no round trip if it is for the end of the work, or for a scope', async () => {
    const step = async () => {
      program.device.pushErrorScope('validation');
      program.device.pushErrorScope('out-of-memory');
      program.compute();
      await program.read(0);
      await program.queue.onSubmittedWorkDone();
      expect(await program.device.popErrorScope()).toBeNull();
      program.device.pushErrorScope('internal');
      expect(await program.device.popErrorScope()).toBeNull();
      expect(await program.device.popErrorScope()).toBeNull();
    };
    await program.repeat(step);
    const { waits, waitsSaved } = await program.counted(step);
    expect({ waits, waitsSaved }).toEqual({ waits: 1, waitsSaved: 4 });
  });

  it('costs no round trip if it is for a scope, also at a place that is new', async () => {
    let count = 0;
    const step = async () => {
      count += 1;
      program.device.pushErrorScope('validation');
      for (let times = 0; times < count; times += 1) program.compute();
      await program.read(0);
      expect(await program.device.popErrorScope()).toBeNull();
    };
    await program.repeat(step);
    const { waits, waitsSaved } = await program.counted(step);
    expect({ waits, waitsSaved }).toEqual({ waits: 1, waitsSaved: 1 });
  });

  it('costs a round trip if the scope has caught an error', async () => {
    const step = async (isWrong = false) => {
      program.device.pushErrorScope('validation');
      program.compute();
      if (isWrong) program.device.createBuffer({ size: 4, usage: 0 });
      await program.read(0);
      return program.device.popErrorScope();
    };
    await program.repeat(async () => expect(await step()).toBeNull());
    const { waits } = await program.counted(async () => expect(await step()).toBeNull());
    expect(waits).toBe(1);
    const wrong = await program.counted(async () => expect(await step(true)).not.toBeNull());
    expect(wrong.waitsSaved).toBe(0);
  });
});

it('a session that ends rejects promises that wait for an answer ahead', async () => {
  await program.repeat();
  program.compute();
  await program.read(0);
  const reading = program.read(1);
  close(program.gpu);
  await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
});
