import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { networkHost } from '#farlight/client/transport/network-host.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { ProxiedHosts } from '../support/lines/proxied-hosts.js';
import { HAPROXY, NGINX, type ProxyKind, type ProxySetting } from '../support/lines/proxies.js';
import { until } from '../support/machine/processes.js';
import { countExactly } from '../support/programs/lossy-programs.js';
import { FAKE_EXECUTOR } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

/** MiB that go up and come down; `npm run proxies` has them at 256. */
const MIB = Number(process.env.FARLIGHT_PROXY_MIB ?? 16);
/**
 * How long a session rests, in seconds, longer than the proxy bears silence: `npm run proxies` has the limit that the
 * documentation names, and the pings of every program.
 */
const REST_SECONDS = Number(process.env.FARLIGHT_PROXY_REST ?? 4);
const [REST_LIMIT, REST_PINGS] = REST_SECONDS > 60 ? ['60s'] : ['2s', { pingMs: 500, deadMs: 30_000 }];

const temporary = folders();
let hosts: ProxiedHosts;
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  hosts = new ProxiedHosts();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await hosts.close();
  temporary.remove();
});

/** A host of fake executors, unless told otherwise, with a proxy in front of it. */
async function start(kind: ProxyKind, { idle, ...options }: DaemonOptions & { idle?: string } = {}) {
  const { daemon, notes, port } = await hosts.startHost({ executorEntry: FAKE_EXECUTOR, ...options });
  const proxy = await hosts.startProxy(kind, { hosts: [port], idle });
  return { daemon, proxy, notes, url: hosts.urlAt(proxy.port), stranger: hosts.strangerAt(proxy.port) };
}

/** Hosts with a proxy in front of them, and what cuts clients off from that. */
async function startSeveral(kind: ProxyKind, choice: ProxySetting['choice']) {
  const started = [];
  for (let at = 0; at < 2; at += 1) started.push(await hosts.startHost({ executorEntry: FAKE_EXECUTOR }));
  const proxy = await hosts.startProxy(kind, { hosts: started.map(({ port }) => port), choice });
  const cutter = await CuttingProxy.start(hosts.strangerAt(proxy.port));
  cleanups.push(() => cutter.close());
  return { cutter, url: hosts.urlAt(cutter.port), daemons: started.map(({ daemon }) => daemon) };
}

function open(url: string, silence?: { pingMs: number; deadMs: number }): SessionClient {
  const client = new SessionClient(networkHost(url, { compression: 'off', silence }), HELLO);
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
    ).rejects.toMatchObject({ code: 'BAD_OPTION', message: expect.stringMatching(/write HOST:PORT/) });
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
      const { url, notes } = await start(kind, { idle: REST_LIMIT });
      const client = open(url, REST_PINGS);
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

    it('carries a session to a host that speaks TLS itself, as one on another machine does', async () => {
      const { port } = await hosts.startSecureHost({ executorEntry: FAKE_EXECUTOR });
      const proxy = await hosts.startProxy(kind, { hosts: [port], secure: true });
      const client = open(hosts.urlAt(proxy.port));
      expect([...(await client.ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
    });

    it('leads a session that comes back to its own host, of several, where it chooses by session', async () => {
      const { cutter, url, daemons } = await startSeveral(kind, 'session');
      const clients: SessionClient[] = [];
      while (clients.length < 4 || daemons.some(({ counters }) => counters.sessionsOpened === 0)) {
        const client = open(url);
        await client.welcome;
        clients.push(client);
      }
      for (let round = 0; round < 3; round += 1) {
        cutter.cut();
        for (const client of clients)
          expect([...(await client.ask(ACTION.echo, round))]).toEqual([ACTION.echo, round]);
      }
      const opened = daemons.map(({ counters }) => counters.sessionsOpened);
      expect(opened.reduce((sum, each) => sum + each)).toBe(clients.length);
    }, 60_000);

    it('ends a session with one sentence where it leads that to a host that does not have it', async () => {
      const { cutter, url } = await startSeveral(kind, 'turns');
      const client = open(url);
      await client.welcome;
      cutter.cut();
      expect(await client.closed).toMatchObject({
        code: 'DISCONNECTED',
        message: expect.stringMatching(
          /does not know the session: .*a proxy in front of several hosts chose another one/,
        ),
      });
    }, 60_000);
  });
}
