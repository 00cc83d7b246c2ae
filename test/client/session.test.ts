import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CreateOptions } from '#farlight/client/index.js';
import { create, FarlightError, stats } from '#farlight/client/index.js';
import { ScriptedTransport, turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

let fake: FakeGpu;
let transport: ScriptedTransport;

beforeEach(() => {
  fake = new FakeGpu();
  transport = new ScriptedTransport(fake.gpu);
});

async function open(options: CreateOptions = {}): Promise<{ gpu: GPU; device: GPUDevice }> {
  const gpu = create({ ...options, transport });
  const opening = gpu.requestAdapter().then((adapter) => adapter?.requestDevice());
  await transport.settle();
  const device = await opening;
  if (!device) throw new Error('the fake GPU has an adapter');
  await transport.settle();
  fake.calls.length = 0;
  return { gpu, device };
}

describe('the session', () => {
  it('contacts the host only when the program asks for an adapter', async () => {
    create({ transport });
    await turn();
    expect(transport.hello).toBeUndefined();
  });

  it('executes commands in program order', async () => {
    const { device } = await open();
    const buffer = device.createBuffer({ size: 16, usage: 8 });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.dispatchWorkgroups(3);
    pass.end();
    device.queue.writeBuffer(buffer, 0, new Uint8Array(4));
    device.queue.submit([encoder.finish()]);
    device.queue.writeBuffer(buffer, 8, new Uint8Array(4));
    await transport.settle();
    expect(fake.names()).toEqual([
      'GPUDevice.createBuffer',
      'GPUDevice.createCommandEncoder',
      'GPUCommandEncoder.beginComputePass',
      'GPUComputePassEncoder.dispatchWorkgroups',
      'GPUComputePassEncoder.end',
      'GPUQueue.writeBuffer',
      'GPUCommandEncoder.finish',
      'GPUQueue.submit',
      'GPUQueue.writeBuffer',
    ]);
  });

  it('settles promises in the order of the replies, including the loss of a device', async () => {
    let lose: (info: object) => void = () => {};
    let finish: (value?: undefined) => void = () => {};
    fake.device.lost = new Promise((resolve) => {
      lose = resolve;
    });
    fake.answers.onSubmittedWorkDone = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const { device } = await open();
    const order: string[] = [];
    void device.queue.onSubmittedWorkDone().then(() => order.push('work done'));
    void device.lost.then(() => order.push('lost'));
    await transport.settle();
    lose({ reason: 'unknown', message: 'gone' });
    finish();
    await transport.settle();
    expect(order).toEqual(['lost', 'work done']);
  });

  it('sends the commands of one task as one message', async () => {
    const { device } = await open();
    for (let index = 0; index < 10; index += 1) device.createBuffer({ size: 16, usage: 8 });
    expect(transport.up.length).toBe(0);
    await turn();
    expect(transport.up.length).toBe(1);
  });

  it('sends an awaited command together with the commands before it', async () => {
    const { device } = await open();
    const buffer = device.createBuffer({ size: 16, usage: 9 });
    device.queue.submit([]);
    const mapped = buffer.mapAsync(1);
    await Promise.resolve();
    expect(transport.up.length).toBe(1);
    fake.answers.getMappedRange = () => new ArrayBuffer(16);
    await transport.settle();
    await mapped;
  });

  it('writeBuffer copies the bytes at the time of the call', async () => {
    const { device } = await open();
    const data = new Uint32Array([1, 2, 3, 4]);
    device.queue.writeBuffer(device.createBuffer({ size: 16, usage: 8 }), 4, data, 1, 2);
    data.fill(0);
    await transport.settle();
    const write = fake.calls.find(([name]) => name === 'GPUQueue.writeBuffer');
    expect(write?.[1].slice(1)).toEqual([4, new Uint8Array(new Uint32Array([2, 3]).buffer)]);
  });

  it('a command larger than a frame arrives whole', async () => {
    const { device } = await open();
    const code = String.fromCharCode(...Array.from({ length: 64 }, (_, index) => 32 + index)).repeat(
      80 << 10,
    );
    let arrived = '';
    fake.answers.createShaderModule = (descriptor: GPUShaderModuleDescriptor) => {
      arrived = descriptor.code;
      return {};
    };
    device.createShaderModule({ code });
    await turn();
    expect(transport.up.length).toBeGreaterThan(4);
    await transport.settle();
    expect(arrived === code).toBe(true);
  });

  it('an upload larger than a frame leaves at once, each frame as a flush, and arrives whole', async () => {
    const { device } = await open();
    const data = new Uint8Array(5 << 20).map((_byte, index) => index ^ (index >> 8));
    const buffer = device.createBuffer({ size: data.length + 8, usage: 8 });
    device.queue.writeBuffer(buffer, 4, data);
    expect(transport.up.length).toBe(5);
    expect(transport.up.every((frame) => frame[0] === 0 && frame.length <= 1 << 20)).toBe(true);
    await transport.settle();
    const written = new Uint8Array(data.length);
    for (const [name, [, offset, part]] of fake.calls) {
      if (name === 'GPUQueue.writeBuffer' && (part as Uint8Array).length > 0)
        written.set(part as Uint8Array, (offset as number) - 4);
    }
    expect(Buffer.compare(written, data)).toBe(0);
  });

  it('a link that can block holds the program up while an upload is ahead of it', async () => {
    const { device } = await open();
    const buffer = device.createBuffer({ size: 8 << 20, usage: 8 });
    transport.room = 2;
    let waits = 0;
    transport.awaitRoom = () => {
      waits += 1;
      expect(transport.up.length).toBe(2);
      transport.deliverUp();
    };
    device.queue.writeBuffer(buffer, 0, new Uint8Array(8 << 20));
    expect(waits).toBe(4);
    expect(transport.up.length).toBe(0);
  });

  describe('a long write without memory for its third part', () => {
    afterEach(() => {
      vi.restoreAllMocks();
    });

    /**
     * Makes copying throw if it is as long as a part, from the third time on, `times` times; then shorter
     * copies throw, too.
     */
    function runOut(times: number, longest = 500_000): void {
      const { set } = Object.getPrototypeOf(Uint8Array.prototype);
      let copies = 0;
      vi.spyOn(Object.getPrototypeOf(Uint8Array.prototype), 'set').mockImplementation(function (
        this: Uint8Array,
        ...args: unknown[]
      ) {
        const { length } = args[0] as Uint8Array;
        copies += length > 500_000 ? 1 : 0;
        if (copies >= 3 && copies < 3 + times && length > longest)
          throw new RangeError('Array buffer allocation failed');
        return set.apply(this, args);
      });
    }

    const short = Uint8Array.of(1, 2, 3, 4);
    /** The bytes of short writes. */
    const shortWrites = (call: string, at: number) =>
      fake.calls
        .filter(([name, args]) => name === call && args[at] instanceof Uint8Array)
        .map(([, args]) => [...(args[at] as Uint8Array).subarray(0, 4)]);

    it('a failed long write throws, and later writes work, also if the host had rejected the whole', async () => {
      const { device } = await open();
      const buffer = device.createBuffer({ size: 16, usage: 8 });
      runOut(1);
      expect(() => device.queue.writeBuffer(buffer, 0, new Uint8Array(5 << 20))).toThrow(RangeError);
      vi.restoreAllMocks();
      device.queue.writeBuffer(buffer, 0, short);
      await transport.settle();
      expect(transport.ends).toEqual([]);
      expect(shortWrites('GPUQueue.writeBuffer', 2)).toEqual([[1, 2, 3, 4]]);
    });

    it('a failed long write to a texture throws, too', async () => {
      const { device } = await open();
      const texture = device.createTexture({ size: [1024, 1024], format: 'rgba8unorm', usage: 2 });
      fake.answers.popErrorScope = async () => ({ message: 'the texture is not valid' });
      runOut(1);
      const size = [1024, 1024];
      const layout = { bytesPerRow: 4096 };
      const write = () => device.queue.writeTexture({ texture }, new Uint8Array(4 << 20), layout, size);
      expect(write).toThrow(RangeError);
      vi.restoreAllMocks();
      device.queue.writeTexture({ texture }, short, {}, [1, 1]);
      await transport.settle();
      expect(transport.ends).toEqual([]);
      expect(shortWrites('GPUQueue.writeTexture', 1)).toEqual([[1, 2, 3, 4]]);
    });

    it('ends the session if there is no memory at all: nothing is lost silently', async () => {
      const { device } = await open();
      const buffer = device.createBuffer({ size: 8 << 20, usage: 8 });
      runOut(Number.POSITIVE_INFINITY, -1);
      expect(() => device.queue.writeBuffer(buffer, 0, new Uint8Array(5 << 20))).toThrow(RangeError);
      vi.restoreAllMocks();
      expect((await device.lost).message).toMatch(/^A command could not be sent to its end: .*allocation/);
    });
  });

  it('a command that cannot be written leaves the commands around it intact', async () => {
    const { device } = await open();
    const buffer = device.createBuffer({ size: 16, usage: 8 });
    const code = '\u20ac'.repeat(30 << 20);
    expect(() => device.createShaderModule({ code })).toThrow(RangeError);
    buffer.destroy();
    await transport.settle();
    expect(fake.names()).toEqual(['GPUDevice.createBuffer', 'GPUBuffer.destroy']);
    expect(transport.ends).toEqual([]);
  });

  it('keeps the process alive only while something is awaited', async () => {
    const { device } = await open();
    expect(transport.refs).toBe(0);
    const done = device.queue.onSubmittedWorkDone();
    await Promise.resolve();
    expect(transport.refs).toBe(1);
    await transport.settle();
    await done;
    expect(transport.refs).toBe(0);
  });

  it('counts calls, commands and bytes', async () => {
    const { gpu, device } = await open();
    const before = stats(gpu);
    device.createBuffer({ size: 16, usage: 8 }).destroy();
    const done = device.queue.onSubmittedWorkDone();
    await transport.settle();
    await done;
    const after = stats(gpu);
    expect(after.apiCalls - before.apiCalls).toBe(3);
    expect(after.answeredLocally - before.answeredLocally).toBe(2);
    expect(after.commandsSent - before.commandsSent).toBe(3);
    expect(after.messagesSent - before.messagesSent).toBe(1);
    expect(after.waits - before.waits).toBe(1);
    expect(after.bytesUp).toBeGreaterThan(before.bytesUp);
    expect(after.bytesDown).toBeGreaterThan(before.bytesDown);
  });
});

describe('with grouping off', () => {
  it('with grouping off, each command is a message of its own', async () => {
    const { device } = await open({ grouping: 'off' });
    for (let index = 0; index < 5; index += 1) device.createBuffer({ size: 16, usage: 8 });
    expect(transport.up.length).toBe(5);
  });

  it('with reuse off, too, each command waits until the host has executed the one before', async () => {
    const { gpu, device } = await open({ grouping: 'off', reuse: 'off' });
    const { waits } = stats(gpu);
    for (let index = 0; index < 3; index += 1) device.createBuffer({ size: 16, usage: 8 });
    for (let done = 0; done < 3; done += 1) {
      expect(transport.up.length).toBe(1);
      transport.deliverUp();
      expect(fake.calls.length).toBe(done + 1);
      await turn();
      transport.deliverDown();
    }
    expect(transport.up.length).toBe(0);
    expect(stats(gpu).waits - waits).toBe(3);
  });
});

describe('keeping the process alive', () => {
  it('a wait keeps the process alive, until the end of the task in which the last wait settles', async () => {
    const { device } = await open();
    expect(transport.refs).toBe(0);
    const done = device.queue.onSubmittedWorkDone();
    expect(transport.refs).toBe(1);
    await transport.settle();
    await done;
    await turn();
    expect(transport.refs).toBe(0);
  });

  it('the process stays alive between two waits of one task', async () => {
    const { device } = await open();
    const { refChanges } = transport;
    let again: Promise<undefined> | undefined;
    void device.queue.onSubmittedWorkDone().then(() => {
      again = device.queue.onSubmittedWorkDone();
    });
    await turn();
    transport.deliverUp();
    await turn();
    transport.deliverDown();
    await turn();
    expect(again).toBeInstanceOf(Promise);
    expect(transport.refs).toBe(1);
    expect(transport.refChanges - refChanges).toBe(1);
    await transport.settle();
    await again;
  });
});

describe('when the connection breaks', () => {
  it('a broken connection settles all promises, loses the device once, and silences later calls', async () => {
    const { device } = await open();
    const buffer = device.createBuffer({ size: 16, usage: 9 });
    const mapped = buffer.mapAsync(1);
    const done = device.queue.onSubmittedWorkDone();
    device.pushErrorScope('validation');
    const popped = device.popErrorScope();
    const pipeline = device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code: '' }) },
    });
    await Promise.resolve();
    transport.break('the cable was pulled');
    await expect(mapped).rejects.toMatchObject({ name: 'AbortError' });
    await expect(done).resolves.toBeUndefined();
    await expect(popped).resolves.toBeNull();
    await expect(pipeline).resolves.toMatchObject({ label: '' });
    await expect(device.lost).resolves.toMatchObject({ reason: 'unknown', message: 'the cable was pulled' });
    expect(transport.refs).toBe(0);
    transport.up.length = 0;

    device.queue.submit([device.createCommandEncoder().finish()]);
    await expect(device.queue.onSubmittedWorkDone()).resolves.toBeUndefined();
    await expect(buffer.mapAsync(1)).rejects.toMatchObject({ name: 'AbortError' });
    await turn();
    expect(transport.up.length).toBe(0);
  });

  it('a broken connection rejects requestAdapter with the reason', async () => {
    const gpu = create({ transport });
    const adapter = gpu.requestAdapter();
    await turn();
    transport.break('nobody is there');
    await expect(adapter).rejects.toMatchObject({ code: 'DISCONNECTED', message: 'nobody is there' });
  });
});

describe('a host that breaks the protocol', () => {
  it.each([
    ['a reply that no command awaits', [0, 0, 99, 0]],
    ['a reply of an unknown kind', [0, 77]],
    ['a reply that ends early', [0, 0]],
    ['a name that is cut short', [0, 4, 3, 1, 2, 3]],
    ['a frame of an unknown kind', [5, 1, 2]],
  ])('ends the session on %s', async (_name, bytes) => {
    const { device } = await open();
    transport.sendDown(new Uint8Array(bytes));
    await expect(device.lost).resolves.toMatchObject({
      reason: 'unknown',
      message: /protocol does not allow/,
    });
    expect(transport.closed).toBe(true);
  });
});

describe('options', () => {
  it('options may be flags, as for npm webgpu', () => {
    expect(() => create(['host=grpc://127.0.0.1:1', 'grouping=off'])).not.toThrow();
  });

  it.each([[['wat=1']], [['grouping=maybe']]])('rejects %j, and lists the known options', (flags) => {
    expect(() => create(flags)).toThrow(FarlightError);
  });
});
