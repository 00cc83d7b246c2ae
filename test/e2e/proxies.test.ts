import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { hostTransport } from '#farlight/client/transport/host-transport.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { ACTION } from '../support/fake-executor.mjs';
import { countExactly } from '../support/lossy-programs.js';
import { memoryLog } from '../support/memory-log.js';
import { HAPROXY, NGINX, type ProxyKind, RealProxy } from '../support/proxies.js';
import { FAKE_EXECUTOR, HELLO, SessionClient, until } from '../support/session-client.js';
import { folders, makePair } from '../support/trust.js';

/** MiB that go up and come down; `npm run proxies` has them at 256. */
const MIB = Number(process.env.FARLIGHT_PROXY_MIB ?? 16);
/** How long a session rests, in seconds, in front of a proxy that bears two of silence. */
const REST_SECONDS = Number(process.env.FARLIGHT_PROXY_REST ?? 4);

const temporary = folders();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => temporary.remove());

async function start(kind: ProxyKind, { idle, ...options }: DaemonOptions & { idle?: string } = {}) {
  const trustFolder = temporary.make();
  const notes = memoryLog();
  const daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    behindProxy: 'gpu.example',
    executorEntry: FAKE_EXECUTOR,
    trustFolder,
    log: notes.log,
    ...options,
  });
  cleanups.push(() => daemon.close());
  const pair = makePair();
  const proxy = await RealProxy.start(kind, temporary.make(), portOf(notes), pair, idle);
  cleanups.push(() => proxy.close());
  const { token } = new TokenStore(join(trustFolder, 'tokens')).add({ tenant: 'alice' });
  const at = `127.0.0.1:${proxy.port}?ca=${pair.pin}`;
  return { daemon, proxy, notes, url: `grpcs://${token}@${at}`, stranger: `grpcs://${at}` };
}

/** The port that the host itself listens at: its address is the proxy's. */
function portOf(notes: ReturnType<typeof memoryLog>): number {
  const [started] = notes.of('host started');
  return Number(/:(\d+)$/.exec(String(started?.listens))?.[1]);
}

function open(url: string, silence?: { pingMs: number; deadMs: number }): SessionClient {
  const client = new SessionClient(hostTransport(url, { compression: 'off', silence }), HELLO);
  cleanups.push(() => client.link.close());
  return client;
}

it('a host behind a proxy may be at a unix socket that another user opens, since tokens guard it', async () => {
  const path = join(temporary.make(), 'host.sock');
  const daemon = await Daemon.start({
    listen: `unix:${path}`,
    behindProxy: 'gpu.example',
    executorEntry: FAKE_EXECUTOR,
    trustFolder: temporary.make(),
  });
  cleanups.push(() => daemon.close());
  expect(statSync(path).mode & 0o777).toBe(0o666);
});

it.each(['gpu.example:0', 'https://gpu.example', 'a b', 'token@gpu.example'])(
  'a host is not behind a proxy at %s',
  async (behindProxy) => {
    await expect(
      Daemon.start({ listen: '127.0.0.1:0', behindProxy, executorEntry: FAKE_EXECUTOR }),
    ).rejects.toMatchObject({ code: 'BAD_OPTION', message: expect.stringMatching(/write its HOST:PORT/) });
  },
);

for (const kind of [NGINX, HAPROXY]) {
  describe.skipIf(!kind.program)(`a host behind ${kind.name} (needs: apt-get install ${kind.name})`, () => {
    it('says the address of the proxy, and lets nobody in without a token', async () => {
      const { daemon, stranger } = await start(kind);
      expect(daemon.url).toBe('grpcs://gpu.example:443');
      expect(await open(stranger).closed).toMatchObject({
        code: 'UNAUTHORIZED',
        message: expect.stringMatching(/^the host asks for a token/),
      });
    });

    it('computes for a program there as it does without the proxy', async () => {
      const { url } = await start(kind, { adapter: 'software', executorEntry: undefined });
      const gpus = [create({ host: url }), create({ adapter: 'software' })] as const;
      const [far, local] = await Promise.all(gpus.map((gpu) => countExactly(gpu, 20)));
      expect(far).toEqual(local);
      for (const gpu of gpus) close(gpu);
    }, 90_000);

    it(`carries ${MIB} MiB up and down, each byte once`, async () => {
      const { url } = await start(kind);
      const client = open(url);
      for (let i = 0; i < MIB; i += 1) {
        const frame = new Uint8Array((1 << 20) - 1).fill(i);
        frame[0] = ACTION.echo;
        client.link.send(frame);
      }
      for (let i = 0; i < MIB; i += 1) {
        const frame = await client.next();
        expect([frame.length, frame[0], frame[1], frame.at(-1)]).toEqual([
          (1 << 20) - 1,
          ACTION.echo,
          i % 256,
          i % 256,
        ]);
      }
    }, 300_000);

    it('keeps a session that rests for longer than the proxy bears silence, by its pings', async () => {
      const { url, notes } = await start(kind, { idle: '2s' });
      const client = open(url, { pingMs: 500, deadMs: 30_000 });
      await client.ask(ACTION.echo, 1);
      await new Promise((rested) => setTimeout(rested, REST_SECONDS * 1000));
      expect([...(await client.ask(ACTION.echo, 2))]).toEqual([ACTION.echo, 2]);
      expect(notes.of('session resumed')).toEqual([]);
    }, 120_000);

    it('goes on with a session whose connection the proxy has cut', async () => {
      const { url, notes } = await start(kind, { idle: '1s' });
      const client = open(url, { pingMs: 60_000, deadMs: 120_000 });
      await client.ask(ACTION.echo, 1);
      await until(() => notes.of('session resumed').length > 0);
      expect([...(await client.ask(ACTION.echo, 2))]).toEqual([ACTION.echo, 2]);
    }, 60_000);

    it('loses no frame and repeats none while the proxy reads its configuration again', async () => {
      const { url, proxy } = await start(kind);
      const client = open(url);
      for (let number = 0; number < 60; number += 1) {
        if (number % 20 === 10) proxy.reload(kind);
        expect([...(await client.ask(ACTION.echo, number))]).toEqual([ACTION.echo, number]);
      }
      expect([...(await open(url).ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
    }, 60_000);
  });
}
