import { beforeEach, describe, expect, it } from 'vitest';
import { close, create, globals, stats } from '#farlight/client/index.js';
import { testHost } from '#farlight/testing/index.js';
import { ScriptedTransport, turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

const { GPUBufferUsage } = globals;

let transport: ScriptedTransport;
let gpu: GPU;

beforeEach(() => {
  transport = new ScriptedTransport(new FakeGpu().gpu);
  gpu = create({ transport });
});

/** Resolves to the reply of the host. */
async function answered<T>(promise: Promise<T>): Promise<T> {
  await transport.settle();
  return promise;
}

async function adapterOf(): Promise<GPUAdapter> {
  const adapter = await answered(gpu.requestAdapter());
  if (!adapter) throw new Error('the fake GPU has an adapter');
  return adapter;
}

/** Commands that are sent as names from the second time on. */
function repeat(device: GPUDevice): void {
  for (let time = 0; time < 4; time += 1) {
    device.createBuffer({ size: 16, usage: 8 });
    device.queue.submit([]);
  }
}

const deviceOf = async () => answered((await adapterOf()).requestDevice());

describe('a GPU whose session was lost', () => {
  it('opens another session when the program asks for an adapter after the loss', async () => {
    const device = await deviceOf();
    const again = device.lost.then(() => gpu.requestAdapter());
    transport.break('the cable was pulled');
    expect(await answered(again)).toBeInstanceOf(Object);
    expect(transport.links).toBe(2);
    const second = await deviceOf();
    expect(await answered(second.queue.onSubmittedWorkDone())).toBeUndefined();
    expect(transport.links).toBe(2);
  });

  it('opens one session for several requests at once', async () => {
    await deviceOf();
    transport.break('the cable was pulled');
    const asked = [gpu.requestAdapter(), gpu.requestAdapter(), gpu.requestAdapter()];
    await answered(Promise.all(asked));
    expect(transport.links).toBe(2);
  });

  it('opens no session for objects of the lost one, which stay lost', async () => {
    const device = await deviceOf();
    const buffer = device.createBuffer({ size: 16, usage: 9 });
    transport.break('the cable was pulled');
    await device.lost;
    const second = await deviceOf();
    device.queue.submit([device.createCommandEncoder().finish()]);
    await expect(buffer.mapAsync(1)).rejects.toMatchObject({ name: 'AbortError' });
    await transport.settle();
    device.destroy();
    expect(await Promise.race([second.lost, turn()])).toBeUndefined();
    expect(transport.ends).toEqual([]);
  });

  it('treats objects of the lost session as invalid', async () => {
    const host = () => testHost({ adapter: 'null', transport: 'memory' });
    let current = await host();
    const { target } = current.transport;
    const again = create({
      transport: { target, open: (...link) => current.transport.open(...link) },
    });
    const open = async () => (await again.requestAdapter())?.requestDevice() as Promise<GPUDevice>;
    const first = await open();
    const left = first.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
    await current.close();
    await first.lost;
    current = await host();
    const second = await open();
    second.pushErrorScope('validation');
    second.queue.writeBuffer(left, 0, new Uint8Array(16));
    const error = await second.popErrorScope();
    expect(error).toBeInstanceOf(globals.GPUValidationError);
    expect(error?.message).toContain('invalid or of another GPU instance');
    close(again);
    await current.close();
  });

  it('statistics go on from those of the lost session', async () => {
    const device = await deviceOf();
    repeat(device);
    await transport.settle();
    const before = stats(gpu);
    transport.break('the cable was pulled');
    device.createBuffer({ size: 16, usage: 8 });
    const second = await deviceOf();
    repeat(second);
    await transport.settle();
    const after = stats(gpu);
    expect(before.sentAsNames).toBeGreaterThan(0);
    expect(after).toMatchObject({
      // One more call on the lost device, which is sent to no host.
      apiCalls: 2 * before.apiCalls + 1,
      waits: 2 * before.waits,
      commandsSent: 2 * before.commandsSent,
      sentAsNames: 2 * before.sentAsNames,
      messagesSent: 2 * before.messagesSent,
      bytesUp: 2 * before.bytesUp,
    });
  });

  it('keeps the process alive while an adapter is awaited, and not longer', async () => {
    await deviceOf();
    transport.break('the cable was pulled');
    const again = gpu.requestAdapter();
    await turn();
    expect(transport.refs).toBe(1);
    await answered(again);
    await turn();
    expect(transport.refs).toBe(0);
  });

  it('shows the WGSL language features of the host that accepted last', async () => {
    const { wgslLanguageFeatures } = gpu;
    const first = gpu.requestAdapter();
    await turn();
    transport.welcome(undefined, ['of_the_first']);
    await answered(first);
    transport.break('the cable was pulled');
    const second = gpu.requestAdapter();
    expect([...wgslLanguageFeatures]).toEqual(['of_the_first']);
    await turn();
    transport.welcome(undefined, ['of_the_second']);
    await answered(second);
    expect([...wgslLanguageFeatures]).toEqual(['of_the_second']);
    expect(gpu.wgslLanguageFeatures).toBe(wgslLanguageFeatures);
  });

  it('asks a new host once if the loss was noticed only by the request', async () => {
    const first = gpu.requestAdapter();
    await turn();
    transport.welcome();
    await answered(first);
    const asked = gpu.requestAdapter();
    await turn();
    transport.break('the host has been started again');
    await turn();
    expect(transport.links).toBe(2);
    transport.welcome();
    transport.break('this one ends, too');
    await expect(asked).rejects.toMatchObject({ message: 'this one ends, too' });
    expect(transport.links).toBe(2);
  });

  it('gives no adapter after the program has closed the GPU', async () => {
    const device = await deviceOf();
    close(gpu);
    expect((await device.lost).message).toBe('This GPU was closed by the program.');
    await expect(gpu.requestAdapter()).rejects.toMatchObject({ code: 'DISCONNECTED' });
    expect(transport.links).toBe(1);
  });
});

describe('a GPU whose host was not there', () => {
  it('tries a missing host again for each later request', async () => {
    for (let time = 1; time <= 3; time += 1) {
      const asked = gpu.requestAdapter();
      await turn();
      transport.break(`nobody is there ${time}`);
      await expect(asked).rejects.toMatchObject({ message: `nobody is there ${time}` });
      expect(transport.links).toBe(time);
    }
    await deviceOf();
    expect(transport.links).toBe(4);
  });

  it('tries a missing host once for several requests at the same time', async () => {
    const asked = [gpu.requestAdapter(), gpu.requestAdapter()];
    await turn();
    transport.break('nobody is there');
    const refused = await Promise.allSettled(asked);
    expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(transport.links).toBe(1);
  });
});

describe('an adapter of a session that was lost', () => {
  it('an expired adapter gives a lost device, with the adapter’s limits, features and info', async () => {
    const adapter = await adapterOf();
    transport.break('the cable was pulled');
    const device = await adapter.requestDevice({ label: 'late', defaultQueue: { label: 'its queue' } });
    expect([device.label, device.queue.label]).toEqual(['late', 'its queue']);
    const lost = await Promise.race([device.lost, Promise.resolve('not yet')]);
    expect(lost).toMatchObject({ reason: 'unknown', message: 'the cable was pulled' });
    expect(device.limits.maxBufferSize).toBe(2048);
    expect([...device.features]).toEqual(['timestamp-query']);
    device.pushErrorScope('validation');
    device.createBuffer({ size: 16, usage: 8 });
    expect(await device.popErrorScope()).toBeNull();
    expect(transport.links).toBe(1);
  });

  it('an adapter that was asked before the loss gives a lost device', async () => {
    const adapter = await adapterOf();
    const asked = adapter.requestDevice();
    await turn();
    transport.break('the cable was pulled');
    expect(await (await asked).lost).toMatchObject({ reason: 'unknown', message: 'the cable was pulled' });
  });

  it('a consumed adapter of a lost session rejects with OperationError', async () => {
    const adapter = await adapterOf();
    await answered(adapter.requestDevice());
    transport.break('the cable was pulled');
    const refused = await adapter.requestDevice().catch((error) => error);
    expect(refused).toBeInstanceOf(DOMException);
    expect(refused).toMatchObject({ name: 'OperationError', message: expect.stringContaining('consumed') });
  });

  it('an expired adapter still converts its arguments', async () => {
    const adapter = await adapterOf();
    transport.break('the cable was pulled');
    const requiredFeatures = ['no-such-feature' as never];
    await expect(adapter.requestDevice({ requiredFeatures })).rejects.toBeInstanceOf(TypeError);
  });
});
