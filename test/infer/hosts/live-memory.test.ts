import { afterEach, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { LiveMemory } from '#farlight/infer/hosts/live-memory.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { secureHosts } from '../../support/hosts/secure-host.js';

const MIB = 2 ** 20;
const COPY_DST = 8;
const EXECUTOR = new URL('../../../dist/server/executor/main.js', import.meta.url);

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function host(options: DaemonOptions): Promise<Daemon> {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', ...options });
  cleanups.push(() => daemon.close());
  return daemon;
}

async function memoryOf(url: string, most?: number): Promise<LiveMemory> {
  const memory = await LiveMemory.open('the host', { host: url }, most);
  cleanups.push(() => memory.close());
  return memory;
}

describe('the memory of a host', () => {
  it('is what the host tells, or less where its user wants less', async () => {
    const { url } = await host({ gpuCapacity: 64 * MIB });
    const all = (await memoryOf(url)).capacity;
    expect(all.bytes).toBeGreaterThan(0);
    expect(all.bytes).toBeLessThanOrEqual(64 * MIB);
    expect(all.limit).toBe(all.bytes);
    expect((await memoryOf(url, 10 * MIB)).capacity).toEqual({ bytes: 10 * MIB, limit: 10 * MIB });
  });

  it('falls while another tenant has some of it, and what it can ever be stays', async () => {
    const hosts = secureHosts();
    cleanups.push(() => hosts.close());
    const secure = await hosts.start({ adapter: 'null', executorEntry: EXECUTOR, gpuCapacity: 64 * MIB });
    const memory = await memoryOf(secure.invite('alice').url);
    const { bytes } = memory.capacity;
    let changes = 0;
    memory.onChange(() => {
      changes += 1;
    });
    const gpu = create({ host: secure.invite('bob').url });
    cleanups.push(() => close(gpu));
    const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
    const buffer = device.createBuffer({ size: 20 * MIB, usage: COPY_DST });
    await device.queue.onSubmittedWorkDone();
    await expect.poll(() => memory.capacity).toEqual({ bytes: bytes - 20 * MIB, limit: bytes });
    buffer.destroy();
    await device.queue.onSubmittedWorkDone();
    await expect.poll(() => memory.capacity).toEqual({ bytes, limit: bytes });
    expect(changes).toBe(2);
  });

  it('is asked again of a host that has restarted', async () => {
    const before = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', gpuCapacity: 64 * MIB });
    const memory = await memoryOf(before.url);
    const { bytes } = memory.capacity;
    await before.close();
    await host({ listen: new URL(before.url.replace('grpc:', 'http:')).host, gpuCapacity: 32 * MIB });
    await expect.poll(() => memory.capacity.bytes).toBeLessThan(bytes);
    expect(memory.capacity.limit).toBe(bytes);
  });
});
