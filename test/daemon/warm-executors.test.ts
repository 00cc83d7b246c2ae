import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { close, create, globals, stats } from '#farlight/client/index.js';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { temporaryFolders } from '../support/hosts/content-files.js';
import { until } from '../support/machine/processes.js';

const { GPUBufferUsage, GPUShaderStage } = globals as unknown as typeof globalThis;

/** A host with one executor, which the sessions use one after another. */
let host: TestHost;
beforeAll(async () => {
  host = await testHost({ adapter: 'software', spares: 0, warm: 1 });
});
afterAll(() => host.close());

/** Runs `body` in a session of its own; `reused` says whether it expects the last session's executor. */
async function session<T>(
  body: (device: GPUDevice, adapter: GPUAdapter, gpu: GPU) => Promise<T>,
): Promise<{ seen: T; reused: boolean }> {
  const { executorsReused } = host.counters;
  const gpu = create({ host: host.url });
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('the software GPU is there');
  const device = await adapter.requestDevice();
  const seen = await body(device, adapter, gpu);
  const reused = host.counters.executorsReused > executorsReused;
  const { executorsWarmed } = host.counters;
  close(gpu);
  await until(() => host.counters.executorsWarmed > executorsWarmed);
  return { seen, reused };
}

const CODE = `
  @group(0) @binding(0) var<storage, read_write> data: array<u32>;
  @compute @workgroup_size(1) fn main() { data[0] = data[0] + 1u; }`;

/** Makes the shader count up once in a new buffer, and reads the buffer. */
async function count(device: GPUDevice, layout: 'auto' | GPUPipelineLayout = 'auto'): Promise<number[]> {
  const module = device.createShaderModule({ code: CODE });
  const pipeline = device.createComputePipeline({ layout, compute: { module } });
  return run(device, pipeline);
}

async function run(device: GPUDevice, pipeline: GPUComputePipeline): Promise<number[]> {
  const buffer = device.createBuffer({ size: 64, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  const result = device.createBuffer({ size: 64, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  encoder.copyBufferToBuffer(buffer, 0, result, 0, 64);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(1);
  return [...new Uint32Array(result.getMappedRange())];
}

const ONCE = [1, ...Array(15).fill(0)];

describe('the next session of a program', () => {
  it('gets the executor of the last session, and zeroed memory', async () => {
    await session((device) => count(device));
    const { seen, reused } = await session((device) => count(device));
    expect(reused).toBe(true);
    expect(seen).toEqual(ONCE);
  });

  it('finds no open error scope, and no error of another session', async () => {
    await session(async (device) => {
      device.pushErrorScope('validation');
      device.pushErrorScope('out-of-memory');
      device.createBuffer({ size: 4, usage: 0 });
      await device.queue.onSubmittedWorkDone();
    });
    const { seen, reused } = await session(async (device) => {
      const errors: string[] = [];
      device.addEventListener('uncapturederror', (event) => {
        event.preventDefault();
        errors.push((event as GPUUncapturedErrorEvent).error.message);
      });
      const popped = await device.popErrorScope().catch((error: Error) => error.name);
      device.createBuffer({ size: 4, usage: 0, label: 'mine' });
      await device.queue.onSubmittedWorkDone();
      return { popped, errors };
    });
    expect(reused).toBe(true);
    expect(seen.popped).toBe('OperationError');
    expect(seen.errors).toEqual([expect.stringMatching(/usages must not be 0/)]);
  });

  it('gets an error for a mistake that the last session made too', async () => {
    const mistake = async (device: GPUDevice) => {
      device.pushErrorScope('validation');
      const module = device.createShaderModule({ code: 'no shader' });
      device.createComputePipeline({ layout: 'auto', compute: { module } });
      return (await device.popErrorScope())?.message;
    };
    const first = await session(mistake);
    const second = await session(mistake);
    expect(second.reused).toBe(true);
    expect(first.seen).toMatch(/no shader|expected|invalid/i);
    expect(second.seen).toBe(first.seen);
  });

  it('gets a new device where the last session destroyed its own', async () => {
    await session(async (device) => {
      await count(device);
      device.destroy();
      await device.lost;
    });
    const { seen, reused } = await session(async (device) => {
      const lost = await Promise.race([device.lost.then(() => 'lost'), Promise.resolve('alive')]);
      return { lost, counted: await count(device) };
    });
    expect(reused).toBe(true);
    expect(seen).toEqual({ lost: 'alive', counted: ONCE });
  });

  it('gets one device from an adapter', async () => {
    await session((device) => count(device));
    const { seen } = await session(async (_device, adapter) => {
      const second = await adapter.requestDevice().catch((error: Error) => error.name);
      return typeof second === 'string' ? second : (await second.lost).reason;
    });
    const fresh = await testHost({ adapter: 'software', warm: 0 });
    try {
      const gpu = create({ host: fresh.url });
      const adapter = await gpu.requestAdapter();
      await adapter?.requestDevice();
      const second = await adapter?.requestDevice().catch((error: Error) => error.name);
      expect(seen).toBe(typeof second === 'string' ? second : (await second?.lost)?.reason);
      close(gpu);
    } finally {
      await fresh.close();
    }
  });

  it('gets pipelines whose automatic layouts fit no other pipeline', async () => {
    const confuse = async (device: GPUDevice) => {
      const module = device.createShaderModule({ code: CODE });
      const make = () => device.createComputePipeline({ layout: 'auto', compute: { module } });
      const [a, b] = [make(), make()];
      const buffer = device.createBuffer({ size: 64, usage: GPUBufferUsage.STORAGE });
      const entries = [{ binding: 0, resource: { buffer } }];
      const group = device.createBindGroup({ layout: a.getBindGroupLayout(0), entries });
      device.pushErrorScope('validation');
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(b);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
      pass.end();
      encoder.finish();
      const error = await device.popErrorScope();
      return { refused: error !== null, right: [await run(device, a), await run(device, b)] };
    };
    for (let times = 0; times < 3; times += 1) {
      const { seen } = await session(confuse);
      expect(seen).toEqual({ refused: true, right: [ONCE, ONCE] });
    }
  });

  it('gets pipelines with its own layout, awaited or not', async () => {
    const explicit = async (device: GPUDevice) => {
      const entry: GPUBindGroupLayoutEntry = {
        binding: 0,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: 'storage' },
      };
      const layout = () =>
        device.createPipelineLayout({
          bindGroupLayouts: [device.createBindGroupLayout({ entries: [entry] })],
        });
      const module = device.createShaderModule({ code: CODE });
      const awaited = await device.createComputePipelineAsync({ layout: layout(), compute: { module } });
      return [await run(device, awaited), await count(device, layout())];
    };
    await session(explicit);
    expect(await session(explicit)).toEqual({ seen: [ONCE, ONCE], reused: true });
  });

  it('gets compiled pipelines without waiting, and waits for the others', async () => {
    const compile = async (device: GPUDevice, gpu: GPU, code: string) => {
      const module = device.createShaderModule({ code });
      const before = stats(gpu).waits;
      const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
      return { waits: stats(gpu).waits - before, seen: await run(device, pipeline) };
    };
    const first = await session((device, _adapter, gpu) => compile(device, gpu, `${CODE} // async`));
    expect(first.seen).toEqual({ waits: 1, seen: ONCE });
    const second = await session(async (device, _adapter, gpu) => [
      await compile(device, gpu, `${CODE} // async`),
      // There is only one, and it has an owner now.
      await compile(device, gpu, `${CODE} // async`),
      await compile(device, gpu, `${CODE} // another`),
    ]);
    expect(second.reused).toBe(true);
    expect(second.seen).toEqual([0, 1, 1].map((waits) => ({ waits, seen: ONCE })));
    const third = await session(async (device, _adapter, gpu) => [
      await compile(device, gpu, `${CODE} // async`),
      await compile(device, gpu, `${CODE} // async`),
      await compile(device, gpu, `${CODE} // async`),
    ]);
    expect(third.reused).toBe(true);
    expect(third.seen).toEqual([0, 0, 1].map((waits) => ({ waits, seen: ONCE })));
  });
});

describe('a host that has restarted', () => {
  const folders = temporaryFolders();
  afterEach(() => folders.remove());

  /** Awaits the pipeline, and runs the shader; resolves to the shader's count and the number of waits. */
  async function countOn(url: string) {
    const gpu = create({ host: url });
    const device = await (await gpu.requestAdapter())?.requestDevice();
    if (!device) throw new Error('the software GPU is there');
    const module = device.createShaderModule({ code: CODE });
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
    const seen = await run(device, pipeline);
    const { waits } = stats(gpu);
    close(gpu);
    return { seen, waits };
  }

  it('compiles ahead for its last program, and computes the same', async () => {
    const options = { adapter: 'software', spares: 0, contents: folders.make() };
    const first = await testHost(options);
    const cold = await countOn(first.url);
    await until(() => first.counters.executorsWarmed === 1);
    await first.close();

    const second = await testHost(options);
    try {
      await until(() => second.counters.executorsWarmed === 1);
      const warm = await countOn(second.url);
      expect(second.counters.executorsReused).toBe(1);
      // The client knows that the pipeline is compiled, and does not wait for it.
      expect(warm).toEqual({ seen: ONCE, waits: cold.waits - 1 });
    } finally {
      await second.close();
    }
  });
});
