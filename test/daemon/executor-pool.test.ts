import { execFileSync } from 'node:child_process';
import { describe, expect, it, vi } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { PACKET } from '#farlight/proto/wire/packet.js';
import type { Daemon } from '#farlight/server/daemon.js';
import { RawClient } from '../support/clients/raw-client.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { fakeHosts, pidOf } from '../support/hosts/fake-hosts.js';
import { executorsOf, isAlive, until } from '../support/machine/processes.js';

const HOUR_MS = 3_600_000;

const start = fakeHosts();

const open = (daemon: Daemon, hello = HELLO) => new SessionClient(remoteHost(daemon.url), hello);

describe('sessions', () => {
  it('leave no executor behind where none stays warm, whether the client closes or vanishes', async () => {
    const daemon = await start({ warm: 0, resumeMs: 200 });
    const [closing, vanishing] = [open(daemon), new RawClient(daemon.url)];
    const pid = await pidOf(closing);
    closing.link.close();
    expect(await closing.closed).toBeUndefined();
    vanishing.hello().frame(Uint8Array.of(ACTION.pid));
    const other = Number(Buffer.from(await vanishing.next(PACKET.data)).toString());
    vanishing.socket.destroy();
    await until(() => !isAlive(pid) && !isAlive(other));
    expect(daemon.counters.sessionsActive).toBe(0);
  });

  it('leave a warm executor to the next session of the same program, and to no other', async () => {
    const daemon = await start({ warm: 1, spares: 0 });
    const sessionOf = async (program: string) => {
      const client = open(daemon, { ...HELLO, program });
      const pid = await pidOf(client);
      client.link.close();
      await client.closed;
      return pid;
    };
    const first = await sessionOf('a.mjs');
    await until(() => daemon.counters.executorsWarmed === 1);
    const other = await sessionOf('b.mjs');
    expect(other).not.toBe(first);
    // One executor stays warm, so the older one ends.
    await until(() => !isAlive(first));
    expect(await sessionOf('b.mjs')).toBe(other);
  });

  it.runIf(process.platform === 'linux')(
    'end with a sentence if their executor has no descriptor left for the connection of the client',
    async () => {
      const daemon = await start({ spares: 1 });
      const [pid] = await executorsOf(process.pid);
      execFileSync('prlimit', [`--pid=${pid}`, '--nofile=1:']);
      expect(await open(daemon).closed).toMatchObject({
        code: 'BUSY',
        message: expect.stringMatching(/too many files are open there.*ulimit -n/),
      });
      // The executor says so after its client knows.
      await until(() => daemon.counters.sessionsActive === 0);
    },
  );

  it('end an executor that does not clear up after its session in time', async () => {
    const daemon = await start({ warm: 1, spares: 0, busyMs: 1000 });
    const client = open(daemon);
    const pid = await pidOf(client);
    client.link.send(Uint8Array.of(ACTION.hang));
    client.link.close();
    await client.closed;
    expect(await pidOf(open(daemon))).not.toBe(pid);
    await until(() => !isAlive(pid));
  });

  it("survive a change of the machine's clock", async () => {
    const daemon = await start({ busyMs: 400 });
    const client = open(daemon);
    const pid = await pidOf(client);
    const right = Date.now;
    vi.spyOn(Date, 'now').mockImplementation(() => right() + HOUR_MS);
    // The host checks for busy executors every 50 ms.
    await new Promise((passed) => setTimeout(passed, 300));
    vi.restoreAllMocks();
    expect(await pidOf(client)).toBe(pid);
  });

  it('see nothing that a reused executor still sends to its last session', async () => {
    const daemon = await start({ warm: 1, spares: 0 });
    const before = open(daemon);
    const pid = await pidOf(before);
    before.link.send(Uint8Array.of(ACTION.flood));
    before.link.close();
    await before.closed;
    await until(() => daemon.counters.executorsWarmed === 1);
    const after = open(daemon);
    expect(await pidOf(after)).toBe(pid);
    expect([...(await after.ask(ACTION.echo, 9))]).toEqual([ACTION.echo, 9]);
    expect(after.log).toEqual(['welcome', 'frame', 'frame']);
  });
});

describe('an executor that does not open its GPU', () => {
  /** A GPU that opens when this file is there. */
  const STUCK = { adapter: 'once:/none/of/these', startMs: 200 };
  const problem = {
    code: 'NO_ADAPTER',
    message: expect.stringMatching(/has not opened its GPU within 0.2 seconds, and was ended; see /),
  };

  it('ends the start of its host, which says why', async () => {
    await expect(start(STUCK)).rejects.toMatchObject(problem);
  });

  it('ends its session, which says why', async () => {
    const daemon = await start({ ...STUCK, withoutGpu: true });
    expect(await open(daemon).closed).toMatchObject(problem);
  });
});

describe('spare executors', () => {
  it('are replaced after one is used', async () => {
    const daemon = await start({ spares: 1 });
    const pids = new Set<number>();
    for (let i = 0; i < 3; i++) pids.add(await pidOf(open(daemon)));
    expect(pids.size).toBe(3);
  });

  it('are replaced when one exits before it is used', async () => {
    const daemon = await start();
    const before = await executorsOf(process.pid);
    expect(before).toHaveLength(1);
    process.kill(before[0] ?? 0, 'SIGKILL');
    let after = before;
    while (after.length === 0 || after[0] === before[0]) after = await executorsOf(process.pid);
    expect([...(await open(daemon).ask(ACTION.echo, 4))]).toEqual([ACTION.echo, 4]);
  });

  it('are optional: without any a session waits for its own executor', async () => {
    const daemon = await start({ spares: 0 });
    await Promise.all([open(daemon).welcome, open(daemon).welcome]);
  });
});
