import { describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { PACKET } from '#farlight/proto/wire/packet.js';
import { Places } from '#farlight/server/daemon/sessions/places.js';
import { RawClient } from '../support/clients/raw-client.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { fakeHosts, pidOf } from '../support/hosts/fake-hosts.js';
import { executorsOf, until } from '../support/machine/processes.js';

const start = fakeHosts();

describe('a place for a process', () => {
  /** Places, so many for each tenant; `taken` lists the tenants that have one. */
  function placesOf(most: number, waitMs = 60_000) {
    const taken: string[] = [];
    const done: string[] = [];
    const places = new Places({
      hasRoom: (tenant) => taken.filter((each) => each === tenant).length < most,
      waitMs,
    });
    const want = (tenant: string, name: string) =>
      places.want(
        tenant,
        () => {
          taken.push(tenant);
          done.push(name);
        },
        () => done.push(`${name} is late`),
      );
    const free = (tenant: string) => {
      taken.splice(taken.indexOf(tenant), 1);
      places.look();
    };
    return { want, free, done };
  }

  it('goes to a session at once where one is free, and else to the waiting ones in turn', () => {
    const { want, free, done } = placesOf(1);
    const first = want('alice', 'a1');
    const second = want('alice', 'a2');
    const third = want('alice', 'a3');
    want('bob', 'b1');
    expect(done).toEqual(['a1', 'b1']);
    second();
    free('bob');
    expect(done).toEqual(['a1', 'b1']);
    free('alice');
    free('alice');
    expect(done).toEqual(['a1', 'b1', 'a3']);
    first();
    third();
  });

  it('is refused to a session that has waited too long', async () => {
    const { want, free, done } = placesOf(1, 1);
    want('alice', 'a1');
    want('alice', 'a2');
    await until(() => done.length === 2);
    free('alice');
    expect(done).toEqual(['a1', 'a2 is late']);
  });
});

describe('a tenant', () => {
  it('has one process where it may have one session, however often its client reconnects before the host answers', async () => {
    const daemon = await start({ tenantLimits: { sessions: 1 }, spares: 0, warm: 0 });
    let most = 0;
    let last: RawClient | undefined;
    for (let time = 0; time < 12; time += 1) {
      last = new RawClient(daemon.url).hello({ key: 'the same key of a client' });
      most = Math.max(most, (await executorsOf(process.pid)).length);
    }
    await last?.next(PACKET.welcome);
    expect(most).toBe(1);
  });

  it.each([
    ['it may have one session', { tenantLimits: { sessions: 1 } }],
    ['the host takes one session of all', { maxSessions: 1 }],
  ])('waits with the next one until the process of the last has ended, where %s', async (_, limits) => {
    const daemon = await start({ ...limits, spares: 0, warm: 0 });
    const first = new SessionClient(remoteHost(daemon.url));
    const pid = await pidOf(first);
    first.link.send(Uint8Array.of(ACTION.linger));
    first.link.close();
    await until(() => daemon.counters.sessionsActive === 0);
    const second = new RawClient(daemon.url).hello();
    await until(() => daemon.counters.sessionsActive === 1);
    expect(await executorsOf(process.pid)).toEqual([pid]);
    // A client that disconnects while it waits leaves nothing behind.
    second.socket.destroy();
    await until(() => daemon.counters.sessionsActive === 0);
    const third = new SessionClient(remoteHost(daemon.url));
    process.kill(pid, 'SIGKILL');
    const other = await pidOf(third);
    expect(other).not.toBe(pid);
    expect(await executorsOf(process.pid)).toEqual([other]);
  });
});
