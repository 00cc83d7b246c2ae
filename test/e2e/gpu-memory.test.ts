import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { close, create, type GpuMemory, gpuMemory, type MemoryState } from '#farlight/client/index.js';
import type { Transport } from '#farlight/client/transport/transport.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { testHost } from '#farlight/testing/index.js';
import { GRPC, WEB_SOCKET } from '../support/clients/carriers.js';
import { secureHosts } from '../support/hosts/secure-host.js';
import { folders } from '../support/trust/trust.js';

const MIB = 2 ** 20;
const COPY_DST = 8;
const EXECUTOR = new URL('../../dist/server/executor/main.js', import.meta.url);

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** A program with its device and its memory. */
interface Program {
  gpu: GPU;
  device: GPUDevice;
  memory: GpuMemory;
  buffer(mib: number): GPUBuffer;
  /** Whether a buffer of so many MiB can be made. */
  fits(mib: number): Promise<boolean>;
}

async function program(options: Parameters<typeof create>[0]): Promise<Program> {
  const gpu = create(options);
  cleanups.push(() => close(gpu));
  const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
  const buffer = (mib: number) => device.createBuffer({ size: mib * MIB, usage: COPY_DST });
  const fits = async (mib: number) => {
    device.pushErrorScope('out-of-memory');
    const made = buffer(mib);
    const error = await device.popErrorScope();
    if (!error) made.destroy();
    return error === null;
  };
  return { gpu, device, memory: gpuMemory(gpu), buffer, fits };
}

async function host(options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', spares: 2, ...options });
  cleanups.push(() => daemon.close());
  return daemon;
}

/** The first state for which a condition holds, of those that the host tells. */
async function told(memory: GpuMemory, condition: (state: MemoryState) => boolean): Promise<MemoryState> {
  for await (const state of memory) if (condition(state)) return state;
  throw new Error('the session has ended');
}

describe("a session's memory", () => {
  it('has an exact peak of what was made and destroyed between two resets, without a wait for each', async () => {
    const { memory, buffer } = await program({ host: (await host()).url });
    const kept = buffer(3);
    const before = memory.resetPeak();
    const [first, second] = [buffer(20), buffer(10)];
    first.destroy();
    buffer(15).destroy();
    second.destroy();
    const run = memory.resetPeak();
    buffer(1).destroy();
    const after = memory.resetPeak();
    kept.destroy();
    expect(await Promise.all([before, run, after])).toEqual([
      { peak: 3 * MIB, used: 3 * MIB },
      { peak: 33 * MIB, used: 3 * MIB },
      { peak: 4 * MIB, used: 3 * MIB },
    ]);
    expect(await memory.read()).toMatchObject({ peak: 3 * MIB, used: 0, reserved: 0, queue: 0 });
  });

  it('counts textures with their mip levels', async () => {
    const { memory, device } = await program({ host: (await host()).url });
    device.createTexture({ size: [256, 256], format: 'rgba8unorm', usage: 4, mipLevelCount: 2 });
    expect((await memory.resetPeak()).used).toBe(256 * 256 * 4 + 128 * 128 * 4);
  });

  it('is told of by its device, too', async () => {
    const { device, buffer } = await program({ host: (await host()).url });
    buffer(2);
    expect(await gpuMemory(device).read()).toMatchObject({ used: 2 * MIB });
    expect(() => gpuMemory({} as GPU)).toThrow(TypeError);
  });

  it('can be asked for before anything else, and opens the session', async () => {
    const gpu = create({ host: (await host({ gpuCapacity: 100 * MIB })).url });
    cleanups.push(() => close(gpu));
    expect(await gpuMemory(gpu).read()).toMatchObject({ limit: 100 * MIB, available: 100 * MIB, used: 0 });
  });

  it('has no limit on a host whose owner sets none', async () => {
    const { memory, fits } = await program({ host: (await host({ gpuCapacity: 0, executorBytes: 0 })).url });
    expect(await memory.read()).toMatchObject({ limit: undefined, available: undefined });
    await expect(memory.reserve(1)).rejects.toMatchObject({
      name: 'OperationError',
      message: expect.stringMatching(/--gpu-capacity/),
    });
    expect(await fits(250)).toBe(true);
  });
});

describe('a reservation', () => {
  it('is kept from the other sessions of the tenant until it is released', async () => {
    const { url } = await host({ tenantLimits: { gpuMemory: 200 * MIB } });
    const [first, second] = [await program({ host: url }), await program({ host: url })];
    // It is named below, so that it is not collected before.
    const kept = first.buffer(10);
    const reservation = await first.memory.reserve(100 * MIB);
    expect(reservation?.bytes).toBe(100 * MIB);
    expect(await second.fits(91)).toBe(false);
    expect(await second.fits(90)).toBe(true);
    expect(await second.memory.reserve(91 * MIB)).toBeNull();
    const drawn = first.buffer(70);
    expect(await told(first.memory, ({ available }) => available === 90 * MIB)).toMatchObject({
      used: 80 * MIB,
      reserved: 30 * MIB,
    });
    expect(await second.fits(91)).toBe(false);
    drawn.destroy();
    expect(await first.memory.read()).toMatchObject({ used: 10 * MIB, reserved: 100 * MIB });
    reservation?.release();
    reservation?.release();
    expect(await told(first.memory, ({ available }) => available === 190 * MIB)).toMatchObject({
      reserved: 0,
    });
    expect(await second.fits(190)).toBe(true);
    kept.destroy();
  });

  it('is had at once or not at all, and leaves nothing behind where it does not fit', async () => {
    const { url } = await host({ tenantLimits: { gpuMemory: 200 * MIB } });
    const [first, second] = [await program({ host: url }), await program({ host: url })];
    const kept = first.buffer(150);
    await first.memory.read();
    expect(await second.memory.reserve(51 * MIB)).toBeNull();
    expect(await second.memory.read()).toMatchObject({ reserved: 0 });
    kept.destroy();
    await first.memory.read();
    const reservation = await second.memory.reserve(200 * MIB);
    expect(reservation?.bytes).toBe(200 * MIB);
    expect(await first.memory.reserve(1)).toBeNull();
  });

  it('ends with its session', async () => {
    const daemon = await host({ tenantLimits: { gpuMemory: 100 * MIB } });
    const [first, second] = [await program({ host: daemon.url }), await program({ host: daemon.url })];
    const reservation = await first.memory.reserve(100 * MIB);
    expect(await second.fits(1)).toBe(false);
    close(first.gpu);
    reservation?.release();
    await told(second.memory, ({ available }) => available === 100 * MIB);
    expect(await second.fits(100)).toBe(true);
  });

  it('keeps its session within the limit where that makes more than it reserved', async () => {
    const { url } = await host({ tenantLimits: { gpuMemory: 100 * MIB } });
    const { memory, buffer, fits } = await program({ host: url });
    await memory.reserve(60 * MIB);
    buffer(60);
    buffer(30);
    expect(await fits(11)).toBe(false);
    expect(await fits(10)).toBe(true);
    expect(await memory.resetPeak()).toEqual({ peak: 100 * MIB, used: 90 * MIB });
  });

  it.each([0, -1, 1.5, 2 ** 53, Number.NaN, '7'])(
    'a reservation of %s bytes is refused with a RangeError',
    async (bytes) => {
      const { memory } = await program({ host: (await host()).url });
      await expect(memory.reserve(bytes as number)).rejects.toThrow(RangeError);
    },
  );

  it('a reservation of the largest possible number of bytes is refused without harm', async () => {
    const { memory, fits } = await program({ host: (await host({ gpuCapacity: 100 * MIB })).url });
    expect(await memory.reserve(Number.MAX_SAFE_INTEGER)).toBeNull();
    expect(await fits(100)).toBe(true);
  });
});

describe('what a session could have', () => {
  it('is told when another session of the tenant takes it, and gives it back', async () => {
    const { url } = await host({ tenantLimits: { gpuMemory: 100 * MIB } });
    const [first, second] = [await program({ host: url }), await program({ host: url })];
    const states = first.memory[Symbol.asyncIterator]();
    expect((await states.next()).value).toMatchObject({ limit: 100 * MIB, available: 100 * MIB });
    const taken = told(first.memory, ({ available }) => available === 30 * MIB);
    const buffer = second.buffer(70);
    await second.memory.read();
    expect(await taken).toMatchObject({ limit: 100 * MIB, used: 0 });
    const free = told(first.memory, ({ available }) => available === 100 * MIB);
    buffer.destroy();
    await second.memory.read();
    await free;
    await states.return?.();
    expect(await states.next()).toEqual({ done: true, value: undefined });
  });

  it('shows no use of another tenant that leaves a tenant its own share, and is bounded by all use together', async () => {
    const hosts = secureHosts();
    cleanups.push(() => hosts.close());
    const { invite } = await hosts.start({
      adapter: 'null',
      executorEntry: EXECUTOR,
      gpuCapacity: 200 * MIB,
      tenantLimits: { gpuMemory: 150 * MIB },
    });
    const alice = await program({ host: invite('alice').url });
    const bob = await program({ host: invite('bob').url });
    expect(await alice.memory.read()).toMatchObject({ limit: 150 * MIB, available: 150 * MIB });
    const within = bob.buffer(50);
    await bob.memory.read();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await alice.memory.read()).toMatchObject({ limit: 150 * MIB, available: 150 * MIB });
    within.destroy();
    bob.buffer(150);
    await bob.memory.read();
    expect(await told(alice.memory, ({ limit }) => limit === 50 * MIB)).toMatchObject({
      available: 50 * MIB,
    });
    expect(await alice.fits(51)).toBe(false);
    expect(await alice.fits(50)).toBe(true);
    expect(await alice.memory.reserve(51 * MIB)).toBeNull();
    expect((await alice.memory.reserve(50 * MIB))?.bytes).toBe(50 * MIB);
  });

  it('is told no more when the session ends: the reader gets the reason', async () => {
    const daemon = await host();
    const { memory, gpu } = await program({ host: daemon.url });
    const states = memory[Symbol.asyncIterator]();
    await states.next();
    const next = states.next();
    close(gpu);
    await expect(next).rejects.toMatchObject({ name: 'FarlightError', code: 'DISCONNECTED' });
    await expect(states.next()).rejects.toMatchObject({ code: 'DISCONNECTED' });
  });
});

/** What each way to a host is tested for. */
async function worksOver(options: Parameters<typeof create>[0], interrupt: () => void = () => {}) {
  const { memory, buffer } = await program(options);
  const { limit } = await memory.read();
  expect(limit).toBeGreaterThan(0);
  const reservation = await memory.reserve(20 * MIB);
  expect(reservation).not.toBeNull();
  const full = told(memory, ({ reserved }) => reserved === 10 * MIB);
  interrupt();
  const drawn = buffer(10);
  const peak = memory.resetPeak();
  expect(await peak).toEqual({ peak: 10 * MIB, used: 10 * MIB });
  expect(await full).toMatchObject({ used: 10 * MIB, limit });
  interrupt();
  drawn.destroy();
  expect(await memory.read()).toMatchObject({ used: 0, reserved: 20 * MIB, peak: 10 * MIB });
  reservation?.release();
  expect(await memory.read()).toMatchObject({ used: 0, reserved: 0, limit });
}

describe('the memory of a session', () => {
  it.each([GRPC, WEB_SOCKET])('is told over $name, also when its connection was cut', async (carrier) => {
    const carried = await carrier.start({ adapter: 'null', executorEntry: EXECUTOR, gpuCapacity: 500 * MIB });
    cleanups.push(() => carried.close());
    await worksOver({ transport: carried.transport() }, () => carried.cutter.cut());
    expect(carried.cutter.cuts).toBe(2);
  });

  it('is told over a unix socket', async () => {
    const temporary = folders();
    cleanups.push(() => temporary.remove());
    const { url } = await host({ listen: `unix:${join(temporary.make(), 'host')}` });
    await worksOver({ host: url });
  });

  it('is told by a private host, which has what the GPU has', () => worksOver({ adapter: 'null' }));

  it('is told by a host in this process', async () => {
    const inside = await testHost({ adapter: 'null', transport: 'memory' });
    cleanups.push(() => inside.close());
    await worksOver({ transport: inside.transport });
  });

  it('is not asked of a host of an older version, and the program is told so', async () => {
    const inside = await testHost({ adapter: 'null', transport: 'memory' });
    cleanups.push(() => inside.close());
    const older: Transport = {
      target: 'memory',
      open: (hello, events) =>
        inside.transport.open(hello, {
          ...events,
          onWelcome: ({ memory: _, ...welcome }) => events.onWelcome({ ...welcome, version: '0.0.9' }),
        }),
    };
    const { memory, device } = await program({ transport: older });
    const refused = {
      code: 'VERSION_MISMATCH',
      message: expect.stringMatching(/0\.0\.9.*install the same version/),
    };
    await expect(memory.read()).rejects.toMatchObject(refused);
    await expect(memory.reserve(1)).rejects.toMatchObject(refused);
    const states = memory[Symbol.asyncIterator]();
    const both = await Promise.allSettled([states.next(), states.next()]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await device.queue.onSubmittedWorkDone();
  });
});
