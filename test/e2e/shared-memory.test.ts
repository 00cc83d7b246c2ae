import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { close, create, globals } from '#farlight/client/index.js';
import { SharedFile } from '#farlight/link/near/shared-file.js';
import { Daemon } from '#farlight/server/daemon.js';
import { emulateLink, type TestHost, type TestHostOptions, testHost } from '#farlight/testing/index.js';
import { executorsOf, until } from '../support/machine/processes.js';

const { GPUBufferUsage, GPUMapMode } = globals;
const MIB = 1 << 20;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** The shared files that a process has open. */
function filesOf(pid: number | 'self'): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder)
    .map((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`);
      } catch {
        return '';
      }
    })
    .filter((path) => path.startsWith('/dev/shm/farlight-'));
}

/** Writes 5 MiB and reads them back, several times, with different contents each time. */
async function roundTrips(gpu: GPU): Promise<void> {
  const device = await (await gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('there is no adapter');
  const { COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const size = 5 * MIB + 12;
  const buffer = device.createBuffer({ size, usage: COPY_SRC | COPY_DST });
  const staging = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  for (let round = 0; round < 6; round += 1) {
    const data = Uint8Array.from({ length: size }, (_, at) => (at >> 8) + at * (round + 3));
    device.queue.writeBuffer(buffer, 0, data);
    // Later changes to the array no longer reach the buffer.
    const sent = data.slice();
    data.fill(0);
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    expect(Buffer.compare(new Uint8Array(staging.getMappedRange()), sent)).toBe(0);
    staging.unmap();
  }
}

async function host(options: TestHostOptions = {}): Promise<TestHost> {
  const started = await testHost({ spares: 1, ...options });
  cleanups.push(() => started.close());
  return started;
}

describe.runIf(existsSync('/dev/shm'))('a session on one machine', () => {
  it.each(['a host on loopback', 'a private host'])(
    'a session with %s passes long frames in a file without a name, correctly each time, and closes it',
    async (which) => {
      const options = which === 'a private host' ? { adapter: 'software' } : { host: (await host()).url };
      const gpu = create(options);
      cleanups.push(() => close(gpu));
      await roundTrips(gpu);
      expect(filesOf('self')).toEqual([expect.stringMatching(/^\/dev\/shm\/farlight-\w{32} \(deleted\)$/)]);
      const executors = await executorsOf(process.pid);
      expect(executors.flatMap((pid) => filesOf(pid))).toHaveLength(1);
      close(gpu);
      await until(() => filesOf('self').length === 0);
    },
  );

  it.each(['a host on loopback', 'a private host'])(
    'a session with %s takes everything that a program writes at once, and needs no memory for it',
    async (which) => {
      const options =
        which === 'a private host' ? { adapter: 'null' } : { host: (await host({ adapter: 'null' })).url };
      const gpu = create(options);
      cleanups.push(() => close(gpu));
      const device = await (await gpu.requestAdapter())?.requestDevice();
      if (!device) throw new Error('there is no adapter');
      const buffer = device.createBuffer({ size: 16 * MIB, usage: GPUBufferUsage.COPY_DST });
      const data = new Uint8Array(16 * MIB);
      const write = (mib: number) => {
        for (let written = 0; written < mib; written += 16) device.queue.writeBuffer(buffer, 0, data);
      };
      write(64);
      const before = process.memoryUsage().rss;
      write(1024);
      expect((process.memoryUsage().rss - before) / MIB).toBeLessThan(64);
      await device.queue.onSubmittedWorkDone();
    },
  );

  it.each([
    ['at a port, which shares memory', '127.0.0.1:0', true],
    ['at a socket, which shares memory', 'socket', true],
    ['at a socket, which shares none', 'socket', false],
  ])(
    'a session %s survives a program that computes longer than a connection may be silent',
    async (_, at, shares) => {
      const silence = { pingMs: 100, deadMs: 300 };
      const folder = mkdtempSync(join(tmpdir(), 'farlight-silent-'));
      cleanups.push(() => rmSync(folder, { recursive: true }));
      const listen = at === 'socket' ? `unix:${folder}/socket` : at;
      const daemon = await Daemon.start({ listen, adapter: 'null', silence, resumeMs: 100 });
      cleanups.push(() => daemon.close());
      if (!shares) {
        const make = vi.spyOn(SharedFile, 'make').mockReturnValue(undefined);
        cleanups.push(() => make.mockRestore());
      }
      const gpu = create({ host: daemon.url });
      cleanups.push(() => close(gpu));
      const device = await (await gpu.requestAdapter())?.requestDevice();
      await device?.queue.onSubmittedWorkDone();
      expect(filesOf('self')).toHaveLength(shares ? 1 : 0);
      // The executor's process goes on meanwhile.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
      device?.pushErrorScope('validation');
      device?.createBuffer({ size: 4, usage: 0 });
      // A lost device has no error.
      expect(await device?.popErrorScope()).toMatchObject({ message: expect.stringMatching(/usage/i) });
    },
  );

  it('a host behind an emulated line counts as far away: every byte goes over the line', async () => {
    const { url } = await host();
    const link = await emulateLink({ target: url, rttMs: 1 });
    cleanups.push(() => link.close());
    const gpu = create({ host: link.url });
    cleanups.push(() => close(gpu));
    await roundTrips(gpu);
    expect(filesOf('self')).toEqual([]);
  });

  it('deletes leftover files of others, but no recent ones', async () => {
    const [old, young] = ['a', 'b'].map((digit) => `/dev/shm/farlight-${digit.repeat(32)}`) as [
      string,
      string,
    ];
    for (const path of [old, young]) writeFileSync(path, '', { mode: 0o600 });
    cleanups.push(() => rmSync(young));
    const before = Date.now() / 1000 - 90;
    utimesSync(old, before, before);
    const gpu = create({ adapter: 'null' });
    cleanups.push(() => close(gpu));
    await gpu.requestAdapter();
    await until(() => filesOf('self').length === 1);
    expect([existsSync(old), existsSync(young)]).toEqual([false, true]);
  });
});
