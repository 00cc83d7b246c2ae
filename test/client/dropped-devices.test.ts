import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, it } from 'vitest';
import { create } from '#farlight/client/index.js';
import { FakeGpu } from '../support/fake-gpu.js';
import { ScriptedTransport, turn } from '../support/scripted-transport.js';

setFlagsFromString('--expose-gc');
const gc: () => void = runInNewContext('gc');

let fake: FakeGpu;
let transport: ScriptedTransport;
let gpu: GPU;
/** How often the host's GPU was asked for a device. */
let opened: number;

beforeEach(() => {
  opened = 0;
  fake = new FakeGpu();
  const { requestAdapter } = fake.gpu;
  const counted = async () => {
    const adapter = (await requestAdapter.call(fake.gpu)) as GPUAdapter;
    const { requestDevice } = adapter;
    adapter.requestDevice = (descriptor) => {
      opened += 1;
      return requestDevice(descriptor);
    };
    return adapter;
  };
  Object.assign(fake.gpu, { requestAdapter: counted });
  transport = new ScriptedTransport(fake.gpu);
  gpu = create({ transport });
});

/** Has everything collected that nothing reaches, and carries what follows from that. */
async function collect(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await turn();
    gc();
    await transport.settle();
  }
}

async function open(): Promise<GPUDevice> {
  const opening = gpu.requestAdapter().then((adapter) => adapter?.requestDevice());
  await transport.settle();
  const device = await opening;
  if (!device) throw new Error('the fake GPU has an adapter');
  return device;
}

/** Writes down what it hears, so that nothing is printed. */
function listener(heard: string[]): (event: GPUUncapturedErrorEvent) => void {
  return (event) => {
    event.preventDefault();
    heard.push(event.error.message);
  };
}

describe('a device that nothing of the program reaches', () => {
  /** Opens a device, has it do something, and keeps nothing of it. */
  async function come(): Promise<WeakRef<object>> {
    const device = await open();
    device.onuncapturederror = () => {};
    device.createBuffer({ size: 16, usage: 8 });
    const done = device.queue.onSubmittedWorkDone();
    await transport.settle();
    await done;
    return new WeakRef(device);
  }

  it('is collected, and the host gives it out again to who asks for one like it', async () => {
    const devices: WeakRef<object>[] = [];
    for (let count = 0; count < 5; count += 1) {
      devices.push(await come());
      await collect();
    }
    expect(devices.filter((ref) => ref.deref()).length).toBe(0);
    expect(opened).toBe(1);
  });
});

describe('a device of which the program keeps nothing but an object', () => {
  it('is kept by that, and its listeners hear of errors', async () => {
    const heard: string[] = [];
    const buffer = await open().then((device) => {
      device.addEventListener('uncapturederror', listener(heard));
      return device.createBuffer({ size: 16, usage: 1 });
    });
    await collect();
    fake.answers.unmap = () => {
      throw new TypeError('refused');
    };
    const mapping = buffer.mapAsync(1).catch(() => {});
    await transport.settle();
    buffer.unmap();
    await transport.settle();
    await mapping;
    await collect();
    expect(heard).toEqual(['refused']);
  });
});

describe('a device that the program dropped while its commands were under way', () => {
  it('hears of their errors', async () => {
    const heard: string[] = [];
    await open().then((device) => {
      device.addEventListener('uncapturederror', listener(heard));
      fake.answers.createBuffer = () => {
        delete fake.answers.createBuffer;
        throw new TypeError('refused');
      };
      device.createBuffer({ size: 16, usage: 8 });
    });
    for (let round = 0; round < 3; round += 1) {
      await turn();
      gc();
    }
    await transport.settle();
    expect(heard).toEqual(['refused']);
  });

  it('lets the process end when it was destroyed, once the host has said so', async () => {
    let lose: (info: object) => void = () => {};
    fake.device.lost = new Promise((resolve) => {
      lose = resolve;
    });
    let lost = '';
    await open().then((device) => {
      void device.lost.then(({ reason }) => {
        lost = reason;
      });
      device.destroy();
    });
    await collect();
    expect(transport.refs).toBe(1);
    lose({ reason: 'destroyed', message: '' });
    await transport.settle();
    expect(lost).toBe('destroyed');
    expect(transport.refs).toBe(0);
  });
});
