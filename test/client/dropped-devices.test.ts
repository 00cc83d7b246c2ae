import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, it } from 'vitest';
import { create } from '#farlight/client/index.js';
import { ScriptedTransport, turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

setFlagsFromString('--expose-gc');
const gc: () => void = runInNewContext('gc');

let fake: FakeGpu;
let transport: ScriptedTransport;
let gpu: GPU;
/** How often the host asked its GPU for a device. */
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

/** Collects everything that is unreachable, and lets the consequences happen. */
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

/** Notes each message, so that nothing is printed. */
function listener(heard: string[]): (event: GPUUncapturedErrorEvent) => void {
  return (event) => {
    event.preventDefault();
    heard.push(event.error.message);
  };
}

describe('an unreachable device', () => {
  /** Opens a device, gives it work, and keeps no reference to it. */
  async function come(): Promise<WeakRef<object>> {
    const device = await open();
    device.onuncapturederror = () => {};
    device.createBuffer({ size: 16, usage: 8 });
    const done = device.queue.onSubmittedWorkDone();
    await transport.settle();
    await done;
    return new WeakRef(device);
  }

  it('collects an unreachable device, and the host gives it out again for an equal request', async () => {
    const devices: WeakRef<object>[] = [];
    for (let count = 0; count < 5; count += 1) {
      devices.push(await come());
      await collect();
    }
    expect(devices.filter((ref) => ref.deref()).length).toBe(0);
    expect(opened).toBe(1);
  });
});

describe('a device with one reachable object', () => {
  it('one reachable object keeps its device alive, and errors reach its listeners', async () => {
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

describe('a dropped device with commands under way', () => {
  it('errors of commands under way reach the listeners of a dropped device', async () => {
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

  it('a destroyed device lets the process end when the host has confirmed it', async () => {
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
