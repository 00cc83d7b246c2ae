import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { Daemon } from '#farlight/server/daemon.js';
import { collector } from '#farlight/server/executor/limits/garbage.js';
import { bindGroup, COPY_DST, COPY_SRC, dispatch, STORAGE, u32sOf } from '../conformance/support.js';
import { until } from '../support/machine/processes.js';

const MIB = 2 ** 20;
const LIMIT = 64 * MIB;

let daemon: Daemon;
// Each test has its own host, because the sessions of a host share its memory.
beforeEach(async () => {
  daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    adapter: 'software',
    tenantLimits: { gpuMemory: LIMIT },
  });
});
afterEach(() => daemon.close());

async function newDevice(): Promise<GPUDevice> {
  return (await (await create({ host: daemon.url }).requestAdapter())?.requestDevice()) as GPUDevice;
}

const storage = (device: GPUDevice, size: number) =>
  device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });

/** The errors that `act` raises, by the filter of the scope that caught them. */
async function errorsOf(device: GPUDevice, act: () => void) {
  for (const filter of ['validation', 'out-of-memory'] as const) device.pushErrorScope(filter);
  act();
  const [memory, validation] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
  return { memory, validation };
}

describe('a limit of GPU memory', () => {
  it('gives an out-of-memory error in its scope, and an invalid buffer, to a session beyond it', async () => {
    const device = await newDevice();
    storage(device, 40 * MIB);
    let second: GPUBuffer | undefined;
    const { memory, validation } = await errorsOf(device, () => {
      second = storage(device, 40 * MIB);
    });
    expect(memory?.constructor.name).toBe('GPUOutOfMemoryError');
    expect(memory?.message).toMatch(
      /createBuffer: 41943040 bytes are more than is left .* 67108864 .* 41943040 are in use.*--gpu-memory/,
    );
    expect(validation).toBeNull();
    expect(second?.size).toBe(40 * MIB);
    const use = await errorsOf(device, () =>
      device.queue.writeBuffer(second as GPUBuffer, 0, new Uint8Array(4)),
    );
    expect(use.validation).not.toBeNull();
    expect(use.memory).toBeNull();
  });

  it('gives an uncaptured error where no scope is open', async () => {
    const device = await newDevice();
    const caught = new Promise<GPUError>((resolve) => {
      device.addEventListener('uncapturederror', (event) => {
        event.preventDefault();
        resolve((event as GPUUncapturedErrorEvent).error);
      });
    });
    storage(device, 65 * MIB);
    await device.queue.onSubmittedWorkDone();
    expect((await caught).constructor.name).toBe('GPUOutOfMemoryError');
  });

  it('counts textures, and frees the memory of destroyed ones', async () => {
    const device = await newDevice();
    const texture = () =>
      device.createTexture({ size: [2048, 2048], format: 'rgba16float', mipLevelCount: 2, usage: 4 });
    let first: GPUTexture | undefined;
    expect((await errorsOf(device, () => (first = texture()))).memory).toBeNull();
    expect((await errorsOf(device, texture)).memory).not.toBeNull();
    first?.destroy();
    expect((await errorsOf(device, texture)).memory).toBeNull();
  });

  it('allows any number of buffers one after another where each is destroyed', async () => {
    const device = await newDevice();
    const { memory } = await errorsOf(device, () => {
      for (let i = 0; i < 20; i += 1) storage(device, 40 * MIB).destroy();
    });
    expect(memory).toBeNull();
  });

  it('counts the buffers of a bind group until the bind group is collected too', async () => {
    const device = await newDevice();
    const code = `@group(0) @binding(0) var<storage, read_write> cells: array<u32>;
      @compute @workgroup_size(1) fn main() { cells[0] += 1u; }`;
    const module = device.createShaderModule({ code });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    const collectHere = collector();
    // 40 MiB at a time, and nothing is destroyed, so both sides' collectors must free the memory.
    for (let i = 0; i < 4; i += 1) {
      for (;;) {
        const { memory } = await errorsOf(device, () => {
          const buffer = storage(device, 40 * MIB);
          device.queue.submit([dispatch(device, pipeline, bindGroup(device, pipeline, [buffer]))]);
        });
        if (!memory) break;
        collectHere();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });

  it('lets a program write to the mapping of a buffer that could not be made, with one error', async () => {
    const device = await newDevice();
    let mapped: GPUBuffer | undefined;
    const { memory, validation } = await errorsOf(device, () => {
      mapped = device.createBuffer({ size: 65 * MIB, usage: COPY_SRC, mappedAtCreation: true });
      new Uint8Array(mapped.getMappedRange(0, 16)).fill(1);
      new Uint8Array(mapped.getMappedRange(2 * MIB, 4 * MIB)).fill(2);
      mapped.unmap();
    });
    expect(memory).not.toBeNull();
    expect(validation).toBeNull();
    expect(mapped?.mapState).toBe('unmapped');
  });

  it('throws a RangeError where the mapping itself cannot be made, and the session goes on', async () => {
    const device = await newDevice();
    const make = () => device.createBuffer({ size: 2 ** 52, usage: COPY_SRC, mappedAtCreation: true });
    expect(make).toThrow(RangeError);
    const buffer = storage(device, 4);
    device.queue.writeBuffer(buffer, 0, Uint32Array.of(7));
    expect(await u32sOf(device, buffer)).toEqual([7]);
  });

  it('lets a wrong descriptor raise the same error as without a limit', async () => {
    const device = await newDevice();
    for (const act of [
      () => device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: STORAGE }),
      () => device.createBuffer({ size: 65 * MIB, usage: 0 }),
      () => device.createTexture({ size: [65536, 65536], format: 'rgba8unorm', usage: 4 }),
    ]) {
      const { memory, validation } = await errorsOf(device, act);
      expect(validation).not.toBeNull();
      expect(memory).toBeNull();
    }
  });

  it('is shared by the sessions of a tenant, and one gets what another gives back', async () => {
    const [first, second] = [await newDevice(), await newDevice()];
    const held = storage(first, 40 * MIB);
    await first.queue.onSubmittedWorkDone();
    const refused = await errorsOf(second, () => storage(second, 40 * MIB));
    expect(refused.memory?.message).toMatch(/left of the 67108864 bytes .* tenant's sessions, .* are in use/);
    expect((await errorsOf(second, () => storage(second, 24 * MIB))).memory).toBeNull();
    held.destroy();
    await first.queue.onSubmittedWorkDone();
    expect((await errorsOf(second, () => storage(second, 40 * MIB))).memory).toBeNull();
  });

  it('belongs to one session alone when the others have ended', async () => {
    const gpu = create({ host: daemon.url });
    const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
    expect((await errorsOf(device, () => storage(device, 60 * MIB))).memory).toBeNull();
    const next = await newDevice();
    expect((await errorsOf(next, () => storage(next, 60 * MIB))).memory).not.toBeNull();
    close(gpu);
    await until(() => daemon.counters.sessionsActive === 1);
    // Its executor reports a little later that it keeps nothing.
    while ((await errorsOf(next, () => storage(next, 60 * MIB))).memory)
      await new Promise((resolve) => setTimeout(resolve, 20));
  });
});
