import { afterEach, describe, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import type { HostOptions } from '#farlight/client/transport/host-link.js';
import type { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { GRPC, GRPC_THROUGH_NGINX, type TestCarrier, WEB_SOCKET } from '../support/clients/carriers.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import type { CuttingProxy, Direction } from '../support/lines/cutting-proxy.js';
import { until } from '../support/machine/processes.js';
import { logUniform, seeded } from '../support/random/seeded.js';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

interface Started {
  daemon: Daemon;
  proxy: CuttingProxy;
  client: SessionClient;
}

/** A session through a proxy, which the host has welcomed. */
async function start(
  carrier: TestCarrier,
  options: DaemonOptions = {},
  hostOptions: HostOptions = {},
): Promise<Started> {
  const host = await carrier.start(options);
  open.push(host);
  const client = new SessionClient(host.transport({ compression: 'off', ...hostOptions }));
  await client.welcome;
  return { daemon: host.daemon, proxy: host.cutter, client };
}

/** A frame that the executor sends back, with a number in it. */
function numbered(number: number, length: number): Uint8Array {
  const frame = new Uint8Array(Math.max(length, 5)).fill(number % 251);
  frame[0] = ACTION.echo;
  new DataView(frame.buffer).setUint32(1, number);
  return frame;
}

/** Sends frames of these lengths, and expects the same frames back. */
async function exchange(client: SessionClient, first: number, lengths: readonly number[]): Promise<number> {
  for (const [index, length] of lengths.entries()) client.link.send(numbered(first + index, length));
  for (const [index, length] of lengths.entries()) {
    const frame = await client.next();
    expect(Buffer.compare(frame, numbered(first + index, length))).toBe(0);
  }
  return first + lengths.length;
}

/** Nothing unexpected arrives. */
async function expectNothingMore(client: SessionClient): Promise<void> {
  const before = client.log.length;
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(client.log.length).toBe(before);
}

/** How many random cuts each carrier sees. FARLIGHT_CUTS sets more: `npm run cuts`. */
const CUTS = Number(process.env.FARLIGHT_CUTS ?? 20);

/** Node misses a reset of TLS now and then, while it writes: a silent connection is given up soon. */
const ALERT: HostOptions = { silence: { pingMs: 200, deadMs: 1000 } };

const CARRIERS = [GRPC, GRPC_THROUGH_NGINX, WEB_SOCKET].filter(({ missing }) => !missing);

describe.each(CARRIERS)('a cut connection over $name', { timeout: 120_000 + CUTS * 5000 }, (carrier) => {
  const LENGTHS = [5, 17, 5000, 9];
  /** The bytes in front of a frame: its length and its kind. */
  const HEADER = 5;
  const ends = LENGTHS.map((_, index) =>
    LENGTHS.slice(0, index + 1).reduce((sum, length) => sum + length + HEADER, 0),
  );
  /** Every byte of the short frames, and bytes near the ends and the middle of the long one. */
  const places = [
    ...Array.from({ length: 60 }, (_, index) => index + 1),
    1000,
    4096,
    ...ends.slice(2).flatMap((end) => [end - 1, end]),
  ];

  it.each<Direction>(['up', 'down'])(
    'a cut at any byte on the way %s loses no frame and repeats none',
    async (direction) => {
      const { proxy, client, daemon } = await start(carrier);
      let next = 0;
      for (const place of places) {
        const { cuts } = proxy;
        proxy.cutAfter(place, direction);
        next = await exchange(client, next, LENGTHS);
        // A cut after the last byte may come after the reply.
        await until(() => proxy.cuts > cuts);
      }
      await expectNothingMore(client);
      expect(proxy.cuts).toBe(places.length);
      expect(daemon.counters.sessionsOpened).toBe(1);
    },
  );

  it('cuts at random places, even in handshakes, lose no frame and repeat none', async () => {
    const { proxy, client } = await start(carrier, {}, ALERT);
    const random = seeded(20_260);
    const cutAgain = () => proxy.cutAfter(logUniform(random, 1, 60_000));
    proxy.onCut = cutAgain;
    cutAgain();
    let next = 0;
    while (proxy.cuts < CUTS) {
      const lengths = Array.from({ length: 8 }, () => logUniform(random, 5, 20_000));
      next = await exchange(client, next, lengths);
    }
    proxy.onCut = undefined;
    await exchange(client, next, [5]);
    await expectNothingMore(client);
  });

  it('a cut connection is replaced even if another was cut long before', async () => {
    const resumeMs = 1000;
    const { proxy, client } = await start(carrier, { resumeMs });
    let next = 0;
    for (let time = 0; time < 2; time++) {
      // When the host would have ended the session that was cut first.
      if (time > 0) await new Promise((resolve) => setTimeout(resolve, resumeMs + 100));
      proxy.cut();
      next = await exchange(client, next, [5, 17]);
    }
    expect(proxy.connections).toBe(3);
  });

  it('cuts while 64 MiB are on their way down lose no byte', async () => {
    const { proxy, client } = await start(carrier, {}, ALERT);
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

// Through nginx it takes longer to connect than these clients wait.
describe.each([GRPC, WEB_SOCKET])('a connection over $name that stops carrying bytes', (carrier) => {
  const BRIEF: HostOptions = { silence: { pingMs: 50, deadMs: 250 }, connectMs: 1000 };
  const SILENCE = { silence: { pingMs: 50, deadMs: 250 } };

  it('continues when it carries bytes again in time', async () => {
    const { proxy, client } = await start(carrier);
    proxy.freeze();
    const answer = exchange(client, 0, [5, 5000, 7]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    proxy.thaw();
    await answer;
    expect(proxy.connections).toBe(1);
  });

  it('is replaced by a new one, and its late bytes do no harm', async () => {
    const { proxy, client } = await start(carrier, SILENCE, BRIEF);
    let next = await exchange(client, 0, [5, 6]);
    proxy.freeze({ spareNew: true });
    next = await exchange(client, next, [5, 5000, 7]);
    expect(proxy.connections).toBeGreaterThan(1);
    proxy.thaw();
    await exchange(client, next, [5, 5000, 7]);
    await expectNothingMore(client);
  });

  it('loses nothing when the network comes back after many attempts', async () => {
    const { proxy, client } = await start(carrier, SILENCE, BRIEF);
    const next = await exchange(client, 0, [5, 6]);
    proxy.freeze();
    const answer = exchange(client, next, [5, 5000, 7]);
    await until(() => proxy.connections > 3);
    proxy.thaw();
    await exchange(client, await answer, [5, 5000, 7]);
    await expectNothingMore(client);
  });

  it('ends the session when it stays away for too long', async () => {
    const { proxy, client, daemon } = await start(carrier, { ...SILENCE, resumeMs: 400 }, BRIEF);
    proxy.freeze();
    expect(await client.closed).toMatchObject({
      code: 'DISCONNECTED',
      message: expect.stringMatching(/was lost \(.+\) and not to be had again.*start the program again/),
    });
    await until(() => daemon.counters.sessionsActive === 0);
  });
});

// Through nginx: test/e2e/proxies.test.ts, with two hosts behind it.
describe.each([GRPC, WEB_SOCKET])('a restarted host over $name', (carrier) => {
  it('says that it does not know the session, which ends at once without further attempts', async () => {
    const { proxy, client } = await start(carrier);
    const other = await carrier.start();
    open.push(other);
    proxy.redirect(other.target);
    proxy.cut();
    expect(await client.closed).toMatchObject({
      code: 'DISCONNECTED',
      message: expect.stringMatching(/does not know the session/),
    });
    // One more connection to ask, and another where a reset has lost the answer.
    expect(proxy.connections).toBeLessThanOrEqual(3);
  });
});
