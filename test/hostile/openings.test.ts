import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { PACKET } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { grpcLine, RawClient } from '../support/clients/raw-client.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { memoryLog } from '../support/hosts/memory-log.js';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { until } from '../support/machine/processes.js';
import { FAKE_EXECUTOR } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

const open: { close(): Promise<void> }[] = [];
const temporary = folders();
afterAll(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  temporary.remove();
});

async function start(options: DaemonOptions = {}) {
  const notes = memoryLog();
  const daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    executorEntry: FAKE_EXECUTOR,
    log: notes.log,
    ...options,
  });
  open.push(daemon);
  return { daemon, notes };
}

/** Checks a session from its client: each frame comes back once, in order. */
async function check(client: SessionClient): Promise<void> {
  for (let number = 0; number < 5; number += 1)
    expect([...(await client.ask(ACTION.echo, number))]).toEqual([ACTION.echo, number]);
}

// Each has a host of its own, and some wait for ten seconds.
describe.concurrent('a client that disconnects while its session opens', () => {
  it('leaves no session behind, after a reset or a normal close, and frees its place', async () => {
    const there = join(temporary.make(), 'gpu');
    writeFileSync(there, '');
    const options = { adapter: `once:${there}`, tenantLimits: { sessions: 2 }, spares: 0 };
    const { daemon, notes } = await start(options);
    // Takes the spare executor, so that others must wait for theirs.
    const first = new SessionClient(remoteHost(daemon.url));
    await first.welcome;
    rmSync(there);
    for (const how of ['reset', 'end']) {
      const client = new RawClient(grpcLine(daemon.url)).hello();
      await until(() => daemon.counters.sessionsActive === 2);
      if (how === 'reset') client.socket.destroy();
      else client.socket.end();
      await until(() => daemon.counters.sessionsActive === 1);
    }
    expect(notes.of('session ended').map(({ code, why }) => [code, why])).toEqual([
      ['DISCONNECTED', 'the client disconnected before the session began'],
      ['DISCONNECTED', 'the client disconnected before the session began'],
    ]);
    writeFileSync(there, '');
    await check(new SessionClient(remoteHost(daemon.url)));
  });

  it('takes its place for five seconds where it has not confirmed the answer of the host', async () => {
    const { daemon, notes } = await start();
    const client = new RawClient(grpcLine(daemon.url)).hello();
    await client.next(PACKET.welcome);
    client.socket.destroy();
    const from = performance.now();
    await until(() => daemon.counters.sessionsActive === 0);
    expect(performance.now() - from).toBeGreaterThan(4500);
    expect(notes.of('session ended')[0]).toMatchObject({
      code: 'DISCONNECTED',
      why: expect.stringMatching(/did not come back within 5 seconds/),
    });
  });
});

describe.concurrent('a client that loses its connection before the host answers', () => {
  it('opens another session unseen: no frame is lost, and none comes twice', async () => {
    const { daemon } = await start({ tenantLimits: { sessions: 1 } });
    const proxy = await CuttingProxy.start(daemon.url);
    open.push(proxy);
    // At the start, inside the preface, right behind it, inside Welcome, and near Welcome's end.
    for (const bytes of [0, 4, 8, 9, 20, 100, 200]) {
      proxy.cutAfter(bytes, 'down');
      const { cuts } = proxy;
      const client = new SessionClient(remoteHost(proxy.url, { compression: 'off' }));
      for (let number = 0; number < 5; number += 1) client.link.send(Uint8Array.of(ACTION.echo, number));
      for (let number = 0; number < 5; number += 1)
        expect([...(await client.next())]).toEqual([ACTION.echo, number]);
      expect(proxy.cuts).toBe(cuts + 1);
      await check(client);
      client.link.close();
      await client.closed;
      // The tenant may have one session: the first one has made room.
      await until(() => daemon.counters.sessionsActive === 0);
    }
    expect(daemon.counters.sessionsRefused).toBe(0);
  }, 90_000);

  it('gives up with one sentence where the host does not come back', async () => {
    const { daemon } = await start();
    const proxy = await CuttingProxy.start(daemon.url);
    // After the host's preface, and before Welcome.
    proxy.cutAfter(200, 'down');
    const client = new SessionClient(remoteHost(proxy.url));
    await until(() => proxy.cuts === 1);
    await proxy.close();
    expect(await client.closed).toMatchObject({
      code: 'DISCONNECTED',
      message: expect.stringMatching(/was lost .* not to be had again within 10 seconds/),
    });
  });

  it('cannot end the session of another client: neither with another key, nor with none', async () => {
    const { daemon } = await start();
    const first = new RawClient(daemon.url).hello({ key: 'a'.repeat(24) });
    await first.next(PACKET.welcome);
    for (const more of [{ key: 'b'.repeat(24) }, {}]) {
      const other = new RawClient(daemon.url).hello(more);
      await other.next(PACKET.welcome);
    }
    expect(daemon.counters.sessionsActive).toBe(3);
    const same = new RawClient(daemon.url).hello({ key: 'a'.repeat(24) });
    await same.next(PACKET.welcome);
    await until(() => daemon.counters.sessionsActive === 3);
    expect(await first.object(PACKET.end)).toMatchObject({ code: 'DISCONNECTED' });
  });
});

describe.concurrent('the window of a client', () => {
  it('is set by the host, and a client that sends more loses its session', async () => {
    const inFlight = 4 << 20;
    const { daemon } = await start({ tenantLimits: { inFlight } });
    const client = new RawClient(daemon.url).hello();
    const { windowBytes } = await client.object(PACKET.welcome);
    expect(windowBytes).toBe(LIMITS.leastWindowBytes);
    // The executor reads nothing meanwhile.
    client.frame(Uint8Array.of(ACTION.flood));
    for (let count = 0; count < 3; count += 1)
      client.frame(new Uint8Array(LIMITS.frameBytes).fill(ACTION.echo));
    expect(await client.object(PACKET.end)).toMatchObject({
      code: 'PROTOCOL_ERROR',
      message: expect.stringMatching(/more than 1048576 bytes are under way/),
    });
  });

  it('is enough for any upload of a client that respects it', async () => {
    const { daemon } = await start({ tenantLimits: { inFlight: 2 << 20 } });
    const client = new SessionClient(remoteHost(daemon.url, { compression: 'off' }));
    const length = LIMITS.frameBytes;
    for (let count = 0; count < 24; count += 1) await client.send(new Uint8Array(length).fill(ACTION.echo));
    for (let count = 0; count < 24; count += 1) expect((await client.next()).length).toBe(length);
    const second = await new SessionClient(remoteHost(daemon.url)).closed;
    expect(second).toMatchObject({ code: 'BUSY', message: expect.stringMatching(/--in-flight/) });
  });
});
