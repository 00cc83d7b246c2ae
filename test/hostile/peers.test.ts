import { describe, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { encodeCount, encodeObject, PACKET, PREFACE } from '#farlight/proto/wire/packet.js';
import type { Daemon } from '#farlight/server/daemon.js';
import { RawClient } from '../support/clients/raw-client.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { fakeHosts } from '../support/hosts/fake-hosts.js';
import { until } from '../support/machine/processes.js';

const start = fakeHosts();

/** Resumes a session on another connection. */
function resume(daemon: Daemon, sessionId: unknown, taken: number, attempt = 1): RawClient {
  const client = new RawClient(daemon.url);
  client.socket.write(PREFACE);
  return client.say(PACKET.resume, { sessionId, taken, attempt });
}

/** A session with `answers` replies, of which the client has acknowledged `taken`. */
async function session(daemon: Daemon, answers: number, taken: number): Promise<[RawClient, unknown]> {
  const client = new RawClient(daemon.url).hello();
  const { sessionId } = await client.object(PACKET.welcome);
  for (let number = 0; number < answers; number++) {
    client.frame(Uint8Array.of(ACTION.echo, number));
    await client.next(PACKET.data);
  }
  if (taken > 0) {
    client.socket.write(encodeCount(PACKET.ack, taken));
    client.frame(Uint8Array.of(ACTION.echo, 99));
    await client.next(PACKET.data);
  }
  return [client, sessionId];
}

describe('a client that resumes its session', () => {
  it.each([
    ['more than was sent', 9],
    ['less than it had said before', 1],
    ['less than nothing', -1],
  ])(
    'a client that acknowledges %s loses its session, learns why, and no other notices',
    async (_what, count) => {
      const daemon = await start();
      const other = new SessionClient(remoteHost(daemon.url));
      await other.welcome;
      const [client, sessionId] = await session(daemon, 3, 2);
      client.socket.destroy();
      const next = resume(daemon, sessionId, count);
      const end = await next.object(PACKET.end);
      expect(end).toMatchObject({
        code: 'PROTOCOL_ERROR',
        message: expect.stringMatching(/does not allow: -?\d+ frames were taken of 2 to 4/),
      });
      expect([...next.packets.map(([kind]) => kind)]).not.toContain(PACKET.data);
      await next.closed;
      await until(() => daemon.counters.sessionsActive === 1);
      expect(await resume(daemon, sessionId, 3, 2).object(PACKET.end)).toEqual(end);
      expect([...(await other.ask(ACTION.echo, 5))]).toEqual([ACTION.echo, 5]);
      expect([...(await new SessionClient(remoteHost(daemon.url)).ask(ACTION.echo, 6))]).toEqual([
        ACTION.echo,
        6,
      ]);
    },
  );

  it('ignores its own late attempt that has older acknowledgements', async () => {
    const daemon = await start();
    const [client, sessionId] = await session(daemon, 3, 0);
    client.socket.destroy();
    const newer = resume(daemon, sessionId, 3, 2);
    await newer.next(PACKET.resumed);
    newer.socket.write(encodeCount(PACKET.ack, 3));
    newer.frame(Uint8Array.of(ACTION.echo, 4));
    expect([...(await newer.next(PACKET.data))]).toEqual([ACTION.echo, 4]);
    await resume(daemon, sessionId, 0, 1).closed;
    newer.frame(Uint8Array.of(ACTION.echo, 5));
    expect([...(await newer.next(PACKET.data))]).toEqual([ACTION.echo, 5]);
  });

  it('a client learns that its session does not exist, even if it guesses an id', async () => {
    const daemon = await start();
    for (const id of ['', 'x', 'A'.repeat(24)]) {
      expect(await resume(daemon, id, 0).object(PACKET.end)).toMatchObject({ code: 'DISCONNECTED' });
    }
  });
});

describe('a client that does not read', () => {
  it('a client that does not read and breaks the protocol still loses its session and its executor', async () => {
    const daemon = await start({ warm: 0 });
    const [client] = await session(daemon, 1, 0);
    client.socket.pause();
    client.frame(Uint8Array.of(ACTION.flood));
    client.socket.write(encodeObject(PACKET.hello, HELLO));
    await until(() => daemon.counters.sessionsActive === 0);
    client.socket.destroy();
  });

  it('a client that does not read and ends its session leaves its executor to the next session', async () => {
    const daemon = await start({ warm: 1, spares: 0 });
    const [client] = await session(daemon, 1, 0);
    client.socket.pause();
    client.frame(Uint8Array.of(ACTION.flood));
    client.say(PACKET.bye, {});
    await until(() => daemon.counters.executorsWarmed === 1);
    expect([...(await new SessionClient(remoteHost(daemon.url)).ask(ACTION.echo, 6))]).toEqual([
      ACTION.echo,
      6,
    ]);
    client.socket.destroy();
  });
});
