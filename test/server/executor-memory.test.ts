import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { Daemon } from '#farlight/server/daemon/daemon.js';
import { processMemory } from '#farlight/server/daemon/process-memory.js';
import { COPY_DST, COPY_SRC } from '../conformance/support.js';

const MIB = 2 ** 20;

let daemon: Daemon | undefined;
afterEach(() => daemon?.close());

async function newDevice(gpu: GPU): Promise<GPUDevice> {
  return (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
}

it("a session whose process has more of the host's memory than it may is told so, and no other notices", async () => {
  // An executor that does nothing has some 100 MiB; a software GPU's buffers are memory of its process.
  daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'software', executorBytes: 400 * MIB });
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
    /^the GPU executor had \d+ MiB of the host's memory, of 400 MiB that it may have, and was ended; start the program again$/,
  );
  expect(kept).toHaveLength(12);
  await other.queue.onSubmittedWorkDone();
  close(large);
  close(small);
});

/** Takes as many MiB as it is asked for, keeps them, and says so. In a process that has no garbage to give back. */
const TAKER = `
  const taken = [];
  process.on('message', (mib) => {
    taken.push(Buffer.alloc(mib << 20, 1));
    process.send('taken');
  });`;

it("a process's memory is what the system counts, and unknown for one that is gone", async () => {
  const taker = spawn(process.execPath, ['-e', TAKER], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const take = async (mib: number) => {
    taker.send(mib);
    await once(taker, 'message');
    return processMemory(taker.pid) as number;
  };
  const before = await take(1);
  expect((await take(64)) - before).toBeGreaterThan(48 * MIB);
  taker.kill('SIGKILL');
  await once(taker, 'exit');
  expect(processMemory(taker.pid)).toBeUndefined();
  expect(processMemory(undefined)).toBeUndefined();
});
