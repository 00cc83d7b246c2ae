import { expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { close, create, globals } from '#farlight/client/index.js';
import { PACKET } from '#farlight/proto/wire/packet.js';
import { grpcLine, RawClient } from '../support/clients/raw-client.js';
import { DaemonProcess } from '../support/hosts/daemon-process.js';
import { executorsOf } from '../support/machine/processes.js';
import { seeded } from '../support/random/seeded.js';

/** How many clients connect and leave; FARLIGHT_COMINGS sets more. */
const count = Number(process.env.FARLIGHT_COMINGS ?? 100);
const { GPUBufferUsage, GPUMapMode } = globals;

/** One client: it leaves with or without a Bye, before, during or after its session. */
async function comeAndGo(url: string, number: number, random: () => number): Promise<void> {
  if (number % 4 === 0) {
    const gpu = create({ host: url });
    const device = await (await gpu.requestAdapter())?.requestDevice();
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const mapped = device?.createBuffer({ size: 1 << 16, usage }).mapAsync(GPUMapMode.READ);
    if (random() < 0.5) await mapped;
    close(gpu);
    await mapped?.catch(() => {});
    return;
  }
  // Over gRPC, or over the host's unix socket for its own machine.
  const client = new RawClient(random() < 0.5 ? grpcLine(url) : url).hello();
  if (number % 4 === 1) await client.next(PACKET.welcome);
  if (number % 4 === 2) await new Promise((resolve) => setTimeout(resolve, random() * 10));
  if (random() < 0.5) client.socket.destroy();
  else client.socket.end();
}

it(
  `${count} clients that connect and leave, some without a Bye, leave no executor, descriptor or memory behind`,
  async () => {
    const options = { adapter: 'null', resumeMs: 50, warm: 2, spares: 1 };
    const [daemon, url] = await DaemonProcess.start(options);
    const random = seeded(11);
    /** Resolves when every session has ended, and only spare and warm executors are left. */
    const calm = async () => {
      for (;;) {
        const { sessionsActive } = await daemon.counters();
        const executors = await executorsOf(daemon.pid);
        if (sessionsActive === 0 && executors.length <= options.warm + options.spares) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    // The first clients make the daemon load what it keeps for ever.
    for (let number = 0; number < 40; number++) await comeAndGo(url, number, random);
    await calm();
    const before = { descriptors: daemon.descriptors, memory: daemon.memory };
    const from = performance.now();
    for (let number = 0; number < count; number++) await comeAndGo(url, number, random);
    await calm();
    const after = { descriptors: daemon.descriptors, memory: daemon.memory };
    const executors = (await executorsOf(daemon.pid)).length;
    const seconds = ((performance.now() - from) / 1000).toFixed(0);
    const facts = `${seconds} s, ${executors} executors, descriptors ${before.descriptors} to ${after.descriptors}`;
    console.log(`${facts}, memory ${before.memory.toFixed(0)} to ${after.memory.toFixed(0)} MiB`);
    // Each executor has a handful of descriptors.
    expect(Math.abs(after.descriptors - before.descriptors)).toBeLessThan(20);
    expect(after.memory - before.memory).toBeLessThan(64);
    expect(executors).toBeLessThanOrEqual(options.warm + options.spares);
    await daemon.close();
  },
  60_000 + count * 1000,
);
