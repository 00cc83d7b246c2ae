import { afterEach, describe, expect, it } from 'vitest';
import '../support/session-reasons.js';
import type { HostOptions } from '#farlight/client/transport/host-link.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { CuttingProxy, type Direction } from '../support/cutting-proxy.js';
import { ACTION } from '../support/fake-executor.mjs';
import { logUniform, seeded } from '../support/seeded.js';
import { FAKE_EXECUTOR, SessionClient, until } from '../support/session-client.js';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR, ...options });
  open.push(daemon);
  return daemon;
}

interface Started {
  daemon: Daemon;
  proxy: CuttingProxy;
  client: SessionClient;
}

/** A session through a proxy, which the host has welcomed. */
async function start(options: DaemonOptions = {}, hostOptions: HostOptions = {}): Promise<Started> {
  const daemon = await startDaemon(options);
  const proxy = await CuttingProxy.start(daemon.url);
  open.push(proxy);
  const client = new SessionClient(remoteHost(proxy.url, { compression: 'off', ...hostOptions }));
  await client.welcome;
  return { daemon, proxy, client };
}

/** A frame that the executor sends back, with a number in it. */
function numbered(number: number, length: number): Uint8Array {
  const frame = new Uint8Array(Math.max(length, 5)).fill(number % 251);
  frame[0] = ACTION.echo;
  new DataView(frame.buffer).setUint32(1, number);
  return frame;
}

/** Sends frames of these lengths and takes the answers, which have to be these frames. */
async function exchange(client: SessionClient, first: number, lengths: readonly number[]): Promise<number> {
  for (const [index, length] of lengths.entries()) client.link.send(numbered(first + index, length));
  for (const [index, length] of lengths.entries()) {
    const frame = await client.next();
    expect(Buffer.compare(frame, numbered(first + index, length))).toBe(0);
  }
  return first + lengths.length;
}

/** Nothing comes that was not asked for. */
async function expectNothingMore(client: SessionClient): Promise<void> {
  const before = client.log.length;
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(client.log.length).toBe(before);
}

describe('a cut connection', () => {
  const LENGTHS = [5, 17, 5000, 9];
  /** What goes in front of a frame: its length and its kind. */
  const HEADER = 5;
  const ends = LENGTHS.map((_, index) =>
    LENGTHS.slice(0, index + 1).reduce((sum, length) => sum + length + HEADER, 0),
  );
  /** Every byte of the short frames, and what lies around the ends and in the midst of the long one. */
  const places = [
    ...Array.from({ length: 60 }, (_, index) => index + 1),
    1000,
    4096,
    ...ends.slice(2).flatMap((end) => [end - 1, end]),
  ];

  it.each<Direction>(['up', 'down'])(
    'at any byte on the way %s loses no frame and repeats none',
    async (direction) => {
      const { proxy, client, daemon } = await start();
      let next = 0;
      for (const place of places) {
        const { cuts } = proxy;
        proxy.cutAfter(place, direction);
        next = await exchange(client, next, LENGTHS);
        // A cut behind the last byte may come behind the answer.
        await until(() => proxy.cuts > cuts);
      }
      await expectNothingMore(client);
      expect(proxy.cuts).toBe(places.length);
      expect(daemon.counters.sessionsOpened).toBe(1);
    },
  );

  it('at random again and again, even in handshakes, loses no frame and repeats none', async () => {
    const { proxy, client } = await start();
    const random = seeded(20_260);
    const cutAgain = () => proxy.cutAfter(logUniform(random, 1, 60_000));
    proxy.onCut = cutAgain;
    cutAgain();
    let next = 0;
    while (proxy.cuts < 100) {
      const lengths = Array.from({ length: 8 }, () => logUniform(random, 5, 20_000));
      next = await exchange(client, next, lengths);
    }
    proxy.onCut = undefined;
    await exchange(client, next, [5]);
    await expectNothingMore(client);
  });

  it('is replaced even if another was cut long before', async () => {
    const resumeMs = 1000;
    const { proxy, client } = await start({ resumeMs });
    let next = 0;
    for (let time = 0; time < 3; time++) {
      proxy.cut();
      next = await exchange(client, next, [5, 17]);
      await new Promise((resolve) => setTimeout(resolve, resumeMs + 100));
    }
    expect(proxy.connections).toBe(4);
  });

  it('while 64 MiB are on their way down loses none of them', async () => {
    const { proxy, client } = await start();
    const random = seeded(7);
    const cutAgain = () => proxy.cutAfter(logUniform(random, 2 << 20, 9 << 20));
    proxy.onCut = cutAgain;
    cutAgain();
    client.link.send(Uint8Array.of(ACTION.flood));
    for (let index = 0; index < 64; index++) {
      const frame = await client.next();
      expect([frame.length, frame[0], frame.at(-1)]).toEqual([1 << 20, index, index]);
    }
    expect(proxy.cuts).toBeGreaterThan(4);
  });
});

describe('a connection that stops carrying bytes without closing', () => {
  const BRIEF: HostOptions = { silence: { pingMs: 50, deadMs: 250 }, connectMs: 300 };
  const SILENCE = { silence: { pingMs: 50, deadMs: 250 } };

  it('continues when it carries bytes again in time', async () => {
    const { proxy, client } = await start();
    proxy.freeze();
    const answer = exchange(client, 0, [5, 5000, 7]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    proxy.thaw();
    await answer;
    expect(proxy.connections).toBe(1);
  });

  it('is replaced by a new one, and its late bytes do no harm', async () => {
    const { proxy, client } = await start(SILENCE, BRIEF);
    let next = await exchange(client, 0, [5, 6]);
    proxy.freeze({ spareNew: true });
    next = await exchange(client, next, [5, 5000, 7]);
    expect(proxy.connections).toBeGreaterThan(1);
    proxy.thaw();
    await exchange(client, next, [5, 5000, 7]);
    await expectNothingMore(client);
  });

  it('loses nothing when the network comes back after many attempts', async () => {
    const { proxy, client } = await start(SILENCE, BRIEF);
    const next = await exchange(client, 0, [5, 6]);
    proxy.freeze();
    const answer = exchange(client, next, [5, 5000, 7]);
    await until(() => proxy.connections > 3);
    proxy.thaw();
    await exchange(client, await answer, [5, 5000, 7]);
    await expectNothingMore(client);
  });

  it('ends the session when it stays away for too long', async () => {
    const { proxy, client, daemon } = await start({ ...SILENCE, resumeMs: 400 }, BRIEF);
    proxy.freeze();
    expect(await client.closed).toMatchObject({
      code: 'DISCONNECTED',
      message: expect.stringMatching(/was lost \(.+\) and not to be had again.*start the program again/),
    });
    await until(() => daemon.counters.sessionsActive === 0);
  });
});

describe('a restarted host', () => {
  it('says that it does not know the session, which ends at once without further attempts', async () => {
    const { proxy, client } = await start();
    const other = await startDaemon();
    proxy.redirect(other.url);
    proxy.cut();
    expect(await client.closed).toMatchObject({
      code: 'DISCONNECTED',
      message: expect.stringMatching(/does not know the session/),
    });
    // One more to ask it, and another where a reset took its answer along.
    expect(proxy.connections).toBeLessThanOrEqual(3);
  });
});
