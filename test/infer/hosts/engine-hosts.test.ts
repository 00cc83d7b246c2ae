import { afterEach, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { type GpuHost, gpuHost } from '#farlight/infer/hosts/engine-hosts.js';
import type { Lane } from '#farlight/infer/lanes/lane.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { secureHosts } from '../../support/hosts/secure-host.js';
import { until } from '../../support/machine/processes.js';
import '../../support/programs/liftoff.js';

const MIB = 2 ** 20;
const COPY_DST = 8;
const EXECUTOR = new URL('../../../dist/server/executor/main.js', import.meta.url);

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function start(options: DaemonOptions): Promise<Daemon> {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', ...options });
  cleanups.push(() => daemon.close());
  return daemon;
}

const hostAt = (url: string, memory?: number): Promise<GpuHost> =>
  gpuHost({ name: 'the host', host: url, lanes: 1, memory });

async function openLane(host: GpuHost): Promise<Lane> {
  const lane = await host.openLane('a lane');
  cleanups.push(() => lane.close());
  return lane;
}

/** A program of a tenant with a buffer of so many MiB. */
async function program(url: string, mib: number) {
  const gpu = create({ host: url });
  cleanups.push(() => close(gpu));
  const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
  const buffer = device.createBuffer({ size: mib * MIB, usage: COPY_DST });
  await device.queue.onSubmittedWorkDone();
  return {
    async end() {
      buffer.destroy();
      await device.queue.onSubmittedWorkDone();
    },
  };
}

describe('a GPU host of the engine', { timeout: 60_000 }, () => {
  it("before a lane is open, a GPU host has the memory that it reports, or less by the user's wish", async () => {
    const { url } = await start({ gpuCapacity: 64 * MIB });
    const host = await hostAt(url);
    const { bytes, limit } = host.memory.capacity;
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(64 * MIB);
    expect(limit).toBe(bytes);
    expect(host.adapter).not.toBe('');
    expect((await hostAt(url, 10 * MIB)).memory.capacity).toEqual({ bytes: 10 * MIB, limit: 10 * MIB });
  });

  it("a GPU host of the engine takes no session and no executor beside its lanes'", async () => {
    const daemon = await start({ gpuCapacity: 64 * MIB });
    const host = await hostAt(daemon.url);
    await until(() => daemon.counters.executorsWarmed === 1);
    expect(daemon.describe().sessions).toBe(0);
    await openLane(host);
    expect(daemon.describe().sessions).toBe(1);
    // A lane gets the executor that told of the host's memory.
    expect(daemon.counters.executorsReused).toBe(1);
  });

  it('a GPU host has less memory while another tenant, or another program of its tenant, has some', async () => {
    const hosts = secureHosts();
    cleanups.push(() => hosts.close());
    const secure = await hosts.start({ adapter: 'null', executorEntry: EXECUTOR, gpuCapacity: 64 * MIB });
    const alice = secure.invite('alice').url;
    const { memory, ...host } = await hostAt(alice);
    await openLane({ memory, ...host });
    const { bytes } = memory.capacity;
    for (const url of [secure.invite('bob').url, alice]) {
      const other = await program(url, 20);
      await expect
        .poll(() => memory.capacity, { timeout: 10_000 })
        .toEqual({ bytes: bytes - 20 * MIB, limit: bytes });
      await other.end();
      await expect.poll(() => memory.capacity, { timeout: 10_000 }).toEqual({ bytes, limit: bytes });
    }
  });

  it('after a restart, a GPU host has its new memory once a lane is open', async () => {
    const before = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', gpuCapacity: 64 * MIB });
    const host = await hostAt(before.url);
    const lane = await openLane(host);
    const { bytes } = host.memory.capacity;
    await before.close();
    await lane.lost;
    await expect(host.openLane('a lane')).rejects.toThrow(/127\.0\.0\.1/);
    expect(host.memory.capacity).toEqual({ bytes, limit: bytes });
    await start({ listen: new URL(before.url.replace('grpc:', 'http:')).host, gpuCapacity: 32 * MIB });
    await openLane(host);
    expect(host.memory.capacity.bytes).toBeLessThan(bytes);
    expect(host.memory.capacity.limit).toBe(bytes);
  });

  it('a GPU host is refused if its memory is unknown, or if nobody answers', async () => {
    const daemon = await start({ gpuCapacity: 0, executorBytes: 0 });
    const unknown = { code: 'BAD_OPTION', message: expect.stringMatching(/^the host cannot .*--gpu-memory/) };
    await expect(hostAt(daemon.url)).rejects.toMatchObject(unknown);
    expect((await hostAt(daemon.url, 10 * MIB)).memory.capacity.bytes).toBe(10 * MIB);
    await daemon.close();
    await expect(hostAt(daemon.url)).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });
});
