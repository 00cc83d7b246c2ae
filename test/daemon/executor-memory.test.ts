import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { close, create, gpuMemory } from '#farlight/client/index.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { processMemory, takenMemory } from '#farlight/server/daemon/executors/process-memory.js';
import { Daemon } from '#farlight/server/daemon.js';
import { COPY_DST, COPY_SRC } from '../conformance/support.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { FAKE_EXECUTOR } from '../support/repository.js';

const MIB = 2 ** 20;

let daemon: Daemon | undefined;
afterEach(() => daemon?.close());

async function newDevice(gpu: GPU): Promise<GPUDevice> {
  return (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
}

it("a session whose process has too much of the machine's memory ends with a reason, and no other notices", async () => {
  // An idle executor has some 100 MiB; the buffers of a software GPU are in its process's memory.
  daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    adapter: 'software',
    executorBytes: 400 * MIB,
    gpuCapacity: 0,
  });
  const [large, small] = [create({ host: daemon.url }), create({ host: daemon.url })];
  const [device, other] = await Promise.all([newDevice(large), newDevice(small)]);
  const kept: GPUBuffer[] = [];
  for (let each = 0; each < 12; each += 1) {
    const buffer = device.createBuffer({ size: 64 * MIB, usage: COPY_SRC | COPY_DST });
    device.queue.writeBuffer(buffer, 0, new Uint8Array(64 * MIB).fill(1));
    kept.push(buffer);
  }
  const { reason, message } = await device.lost;
  expect(reason).toBe('unknown');
  expect(message).toMatch(
    /^the GPU executor had \d+ MiB of the host's memory, more than the 400 MiB that it may have, and the host ended it; start the program again$/,
  );
  expect(kept).toHaveLength(12);
  await other.queue.onSubmittedWorkDone();
  close(large);
  close(small);
});

it('a session on a software GPU is out of memory before its process has too much, and goes on', async () => {
  daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'software', executorBytes: 600 * MIB });
  const gpu = create({ host: daemon.url });
  const device = await newDevice(gpu);
  device.pushErrorScope('out-of-memory');
  const make = () => device.createBuffer({ size: 64 * MIB, usage: COPY_SRC | COPY_DST });
  const [first] = Array.from({ length: 12 }, make);
  expect((await device.popErrorScope())?.message).toMatch(/GPU memory for this tenant's sessions/);
  first?.destroy();
  // The margin is 256 MiB.
  expect(await gpuMemory(gpu).read()).toMatchObject({ limit: 344 * MIB, used: 256 * MIB });
  close(gpu);
});

describe('the memory of a process', () => {
  /** Allocates so many MiB, private or in a file in memory, keeps them, and says so. */
  const TAKER = `
    const { openSync, unlinkSync, writeSync } = require('node:fs');
    const taken = [];
    process.on('message', ({ mib, file }) => {
      const bytes = Buffer.alloc(mib << 20, 1);
      if (file) writeSync(openSync(file, 'wx'), bytes);
      else taken.push(bytes);
      if (file) unlinkSync(file);
      process.send('taken');
    });`;
  let taker: ChildProcess;
  beforeEach(() => {
    taker = spawn(process.execPath, ['-e', TAKER], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  });
  afterEach(() => taker.kill('SIGKILL'));

  async function take(mib: number, file?: string): Promise<void> {
    taker.send({ mib, file });
    await once(taker, 'message');
  }

  it('is what the system counts, and unknown once the process has exited', async () => {
    await take(1);
    const before = [processMemory(taker.pid), takenMemory(taker.pid)] as number[];
    await take(64);
    const after = [processMemory(taker.pid), takenMemory(taker.pid)] as number[];
    for (const at of [0, 1]) expect((after[at] as number) - (before[at] as number)).toBeGreaterThan(48 * MIB);
    taker.kill('SIGKILL');
    await once(taker, 'exit');
    for (const of of [processMemory, takenMemory]) {
      expect(of(taker.pid)).toBeUndefined();
      expect(of(undefined)).toBeUndefined();
    }
  });

  it('includes open files in memory, named or unnamed', async () => {
    // To write the file takes as much private memory, which may or may not be free again.
    await take(64);
    const before = takenMemory(taker.pid) as number;
    await take(1, `/dev/shm/farlight-${randomBytes(16).toString('hex')}`);
    for (let time = 0; time < 4; time += 1) {
      await take(64, `/dev/shm/farlight-${randomBytes(16).toString('hex')}`);
    }
    expect((takenMemory(taker.pid) as number) - before).toBeGreaterThan(4 * 64 * MIB);
  });
});

it('where the sessions of a tenant exceed its memory together, the largest ends', async () => {
  daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    executorEntry: FAKE_EXECUTOR,
    tenantLimits: { memory: 400 * MIB },
  });
  const [large, small] = [
    new SessionClient(remoteHost(daemon.url)),
    new SessionClient(remoteHost(daemon.url)),
  ];
  await small.ask(ACTION.grow);
  for (let time = 0; time < 6; time += 1) large.link.send(Uint8Array.of(ACTION.grow));
  expect(await large.closed).toMatchObject({
    code: 'EXECUTOR_LOST',
    message: expect.stringMatching(
      /^the GPU executor was the largest of its tenant, whose executors had \d+ MiB of the host's memory together, more than the 400 MiB that they may have, and the host ended it/,
    ),
  });
  expect([...(await small.ask(ACTION.echo, 5))]).toEqual([ACTION.echo, 5]);
});

it('the system kills an executor before the host when memory runs out', async () => {
  daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR });
  const client = new SessionClient(remoteHost(daemon.url));
  const pid = Number(Buffer.from(await client.ask(ACTION.pid)).toString());
  const scoreOf = (of: number) => Number(readFileSync(`/proc/${of}/oom_score_adj`, 'utf8'));
  expect(scoreOf(pid)).toBeGreaterThanOrEqual(500);
  expect(scoreOf(process.pid)).toBeLessThan(500);
});
