import { createHook } from 'node:async_hooks';
import { once } from 'node:events';
import { chmodSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { HostClient } from '#farlight/client/transport/host/host-client.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { ownUser, userAhead, userBehind } from '#farlight/link/address/peer-user.js';
import { monotonicNow } from '#farlight/link/machine/clock.js';
import { SessionClient } from '../support/clients/session-client.js';
import { LISTENER, mayBeOther, OTHER, OTHERS, ofOtherUser } from '../support/machine/other-user.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  temporary.remove();
});

/** Another user's program that listens, at a free port or at a path. */
async function listens(...path: string[]) {
  const listener = ofOtherUser(LISTENER, ...path);
  cleanups.push(() => listener.end());
  const where = String(await listener.line());
  return {
    where,
    async heard(): Promise<number> {
      listener.go();
      return Number(await listener.line());
    },
  };
}

/** Why the client opens no session there. */
async function refusal(url: string) {
  const { code, message } = (await new SessionClient(remoteHost(url)).closed) ?? {};
  return { code, message };
}

describe.runIf(mayBeOther)(
  `a client that meets another user's program at a host's address (${OTHERS})`,
  () => {
    it('sends nothing to it, and names the other user', async () => {
      const { where, heard } = await listens();
      const url = `grpc://127.0.0.1:${where}`;
      const untrusted = {
        code: 'UNTRUSTED_HOST',
        message: expect.stringMatching(
          new RegExp(
            `^the program that listens at ${url} belongs to another user of this machine \\(${OTHER}\\), so nothing was sent`,
          ),
        ),
      };
      expect(await refusal(url)).toEqual(untrusted);
      expect(await refusal(`grpc://localhost:${where}`)).toMatchObject({ code: 'UNTRUSTED_HOST' });
      expect(await refusal(`${url}?uid=${OTHER - 1}`)).toMatchObject({ code: 'UNTRUSTED_HOST' });
      const client = new HostClient(url);
      cleanups.push(() => client.close());
      await expect(client.describe()).rejects.toMatchObject(untrusted);
      expect(await heard()).toBe(0);
    });

    it('sends nothing to it at a unix socket either', async () => {
      const folder = temporary.make();
      chmodSync(folder, 0o1777);
      const path = join(folder, 'socket');
      const { heard } = await listens(path);
      const untrusted = {
        code: 'UNTRUSTED_HOST',
        message: expect.stringMatching(
          new RegExp(`since ${path} belongs to another user \\(${OTHER}\\), so nothing was sent`),
        ),
      };
      expect(await refusal(`unix:${path}`)).toEqual(untrusted);
      const client = new HostClient(`unix:${path}`);
      cleanups.push(() => client.close());
      await expect(client.describe()).rejects.toMatchObject(untrusted);
      expect(await heard()).toBe(0);
    });

    it.each([`uid=${OTHER}`, 'uid=any'])('connects to it where the address says %s', async (user) => {
      const { where, heard } = await listens();
      const client = new SessionClient(remoteHost(`grpc://127.0.0.1:${where}?${user}`));
      await expect.poll(heard).toBeGreaterThan(0);
      client.link.close();
      await client.closed;
    });

    it('learns its user, whether it has accepted the connection or not', async () => {
      const { where } = await listens();
      const socket = connect(Number(where), '127.0.0.1');
      cleanups.push(() => socket.destroy());
      await once(socket, 'connect');
      for (let times = 0; times < 5; times += 1) expect(await userAhead(socket)).toBe(OTHER);
    });
  },
);

describe.runIf(process.platform === 'linux')('the ends of connections on this machine', () => {
  /** A server of this process, and both ends of connections to it. */
  async function lines(host: string, count: number, to = host) {
    const accepted: Socket[] = [];
    const server = createServer((socket) => accepted.push(socket)).listen(0, host);
    cleanups.push(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const made = Array.from({ length: count }, () => connect(port, to));
    cleanups.push(() => [...made, ...accepted].map((socket) => socket.destroy()));
    await Promise.all(made.map((socket) => once(socket, 'connect')));
    await expect.poll(() => accepted.length).toBe(count);
    return { made, accepted };
  }

  it('have known users, in IPv4 and IPv6, even for a hundred at once', async () => {
    for (const [host, to] of [
      ['127.0.0.1', '127.0.0.1'],
      ['::1', '::1'],
      ['::', '127.0.0.1'],
    ] as const) {
      const { made, accepted } = await lines(host, host === '127.0.0.1' ? 100 : 1, to);
      const users = await Promise.all([...made.map(userAhead), ...accepted.map(userBehind)]);
      expect(new Set(users)).toEqual(new Set([ownUser]));
    }
  });

  it('have users that are known after few turns of the event loop, among 300', async () => {
    const { accepted } = await lines('127.0.0.1', 300);
    let waits = 0;
    const hook = createHook({
      init(_id, type) {
        if (type.startsWith('FSREQ')) waits += 1;
      },
    }).enable();
    const seen: number[] = [];
    try {
      // A reading may miss a row while other processes close connections: a second one takes longer.
      for (const socket of accepted.slice(0, 5)) {
        waits = 0;
        expect(await userBehind(socket)).toBe(ownUser);
        seen.push(waits);
      }
    } finally {
      hook.disable();
    }
    // The table has the connections of all processes.
    const rows = readFileSync('/proc/net/tcp', 'latin1').split('\n').length;
    expect(Math.min(...seen)).toBeLessThan(3 + rows / 1000);
  });

  it('share a reading of the tables that began after they were accepted', async () => {
    const { accepted } = await lines('127.0.0.1', 2);
    const [first, second] = accepted as [Socket, Socket];
    let waits = 0;
    const hook = createHook({
      init(_id, type) {
        if (type.startsWith('FSREQ')) waits += 1;
      },
    }).enable();
    const waitsOf = async (find: () => Promise<unknown>): Promise<number> => {
      waits = 0;
      await find();
      return waits;
    };
    try {
      const beyondOne: number[] = [];
      // Other processes change the length of the tables, and a reading may miss a row meanwhile: one round is not enough.
      for (let round = 0; round < 5; round += 1) {
        const one = await waitsOf(() => userBehind(first));
        const both = await waitsOf(async () => {
          const since = monotonicNow();
          while (monotonicNow() === since);
          const found = userBehind(first, since);
          // The reading begins.
          for (let settled = 0; settled < 5; settled += 1) await undefined;
          expect([await userBehind(second, since), await found]).toEqual([ownUser, ownUser]);
        });
        beyondOne.push(both - one);
      }
      expect(beyondOne).toContain(0);
    } finally {
      hook.disable();
    }
  });

  it('are unknown once the other end has closed', async () => {
    const { made, accepted } = await lines('127.0.0.1', 1);
    const [here, there] = [made[0] as Socket, accepted[0] as Socket];
    const ends = { localAddress: there.localAddress, localPort: there.localPort };
    const peer = { remoteAddress: there.remoteAddress, remotePort: there.remotePort };
    here.destroy();
    await once(there.resume(), 'close');
    expect(await userBehind({ ...ends, ...peer } as Socket)).toBeUndefined();
    expect(await userBehind(there)).toBeUndefined();
  });
});
