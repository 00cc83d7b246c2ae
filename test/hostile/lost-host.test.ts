import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { close, create, globals } from '#farlight/client/index.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { Daemon } from '#farlight/server/daemon.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { executorsOf, until } from '../support/machine/processes.js';
import { seeded } from '../support/random/seeded.js';
import { FAKE_EXECUTOR, REPOSITORY } from '../support/repository.js';

const { GPUBufferUsage, GPUMapMode } = globals;

it('a program whose host stays away for too long sees its device lost once, and exits by itself', async () => {
  // Long enough that a loaded machine brings a pong in time.
  const silence = { pingMs: 200, deadMs: 1500 };
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', resumeMs: 400, silence });
  const proxy = await CuttingProxy.start(daemon.url);
  const program = spawn(
    process.execPath,
    [`${REPOSITORY}test/support/programs/lost-program.mjs`, proxy.url],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  let text = '';
  program.stdout.on('data', (piece) => {
    text += piece;
  });
  const code = new Promise((resolve) => program.on('close', resolve));
  await until(() => text.includes('ready'));
  proxy.freeze();
  program.stdin.write('go\n');
  expect(await code).toBe(0);
  expect(JSON.parse(text.split('\n')[1] ?? '')).toEqual({
    lost: [{ reason: 'unknown', message: expect.stringMatching(/was lost .* start the program again/) }],
    uncaptured: 0,
    mapped: 'AbortError',
    scope: null,
  });
  await until(() => daemon.counters.sessionsActive === 0);
  await proxy.close();
  await daemon.close();
});

it('a client that comes back to an ending executor learns at once how its session ended, each time', async () => {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR, spares: 2 });
  // A client that forgot a connection would wait for ever: it takes no host for gone.
  const silence = { pingMs: 600_000, deadMs: 600_000 };
  for (let time = 0; time < 40; time++) {
    const client = new SessionClient(remoteHost(daemon.url, { silence }));
    client.link.send(Uint8Array.of(time % 2 ? ACTION.exit : ACTION.throw));
    expect(await client.closed).toMatchObject({ code: 'EXECUTOR_LOST' });
  }
  await daemon.close();
}, 120_000);

/** How often an executor is killed; FARLIGHT_KILLS sets more: `npm run kills`. */
const kills = Number(process.env.FARLIGHT_KILLS ?? 8);

it(
  `each of ${kills} executors that are killed at random ends its own session with a reason, and no other`,
  async () => {
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', spares: 0, warm: 0 });
    const random = seeded(3);
    const bystander = create({ host: daemon.url });
    const device = await (await bystander.requestAdapter())?.requestDevice();
    if (!device) throw new Error('no device');
    let disturbed: unknown;
    void device.lost.then((info) => {
      disturbed = info.message;
    });
    const others = await executorsOf(process.pid);
    let killed = 0;

    for (let kill = 0; kill < kills; kill++) {
      const gpu = create({ host: daemon.url });
      let why: string | undefined;
      const ended = useUntilLost(gpu).then((message) => {
        why = message;
      });
      // If it is killed before Welcome, the client opens another session, with another executor.
      while (why === undefined) {
        const victims = (await executorsOf(process.pid)).filter((pid) => !others.includes(pid));
        if (victims.length === 0) continue;
        await new Promise((resolve) => setTimeout(resolve, random() * 500));
        for (const pid of victims) killed += killIfThere(pid);
        await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 2000))]);
      }
      expect(why).toMatch(/(SIGKILL|the connection to .+ was lost).*start the program again/);
      await device.queue.onSubmittedWorkDone();
      close(gpu);
    }
    // An executor that is killed before its GPU is open ends no session.
    expect(daemon.counters.executorsLost).toBeGreaterThan(0);
    expect(daemon.counters.executorsLost).toBeLessThanOrEqual(killed);
    expect(disturbed).toBeUndefined();
    await until(() => daemon.counters.sessionsActive === 1);
    close(bystander);
    await daemon.close();
  },
  60_000 + kills * 5000,
);

/** Kills processes; returns how many, including those that were dying already. */
function killIfThere(pid: number): number {
  try {
    process.kill(pid, 'SIGKILL');
    return 1;
  } catch {
    return 0;
  }
}

/** Maps a buffer again and again; resolves to the error that ends it. */
async function useUntilLost(gpu: GPU): Promise<string> {
  try {
    const device = await (await gpu.requestAdapter())?.requestDevice();
    if (!device) throw new Error('no device');
    const buffer = device.createBuffer({
      size: 16,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    let lost = '';
    void device.lost.then(({ message }) => {
      lost = message;
    });
    while (lost === '') {
      await buffer.mapAsync(GPUMapMode.READ).then(
        () => buffer.unmap(),
        () => {},
      );
    }
    return lost;
  } catch (error) {
    return (error as Error).message;
  }
}
