import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { NearLink } from '#farlight/client/transport/near-link.js';
import { nearHost, remoteHost } from '#farlight/client/transport/open.js';
import { findNear, isPrivate, nearAddress } from '#farlight/link/address/near-address.js';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import { NearSocket } from '#farlight/server/daemon/door/near-socket.js';
import { Daemon } from '#farlight/server/daemon.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { FAKE_EXECUTOR } from '../support/repository.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

const pathOf = (host: string, port: number) => nearAddress(host, port)?.path as string;

/** A listener on loopback, and the bytes that it has received. */
async function listen(port = 0): Promise<{ port: number; server: Server; heard: string[] }> {
  const heard: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', (piece) => heard.push(piece.toString('latin1')));
  }).listen(port, '127.0.0.1');
  cleanups.push(() => server.close());
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, server, heard };
}

async function host(): Promise<{ daemon: Daemon; port: number }> {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR });
  cleanups.push(() => daemon.close());
  return { daemon, port: Number(new URL(daemon.url).port) };
}

/** Leaves a socket without a listener, as a killed host does. */
async function leave(path: string): Promise<void> {
  const server = createServer().listen(`${path}-left`);
  await once(server, 'listening');
  renameSync(`${path}-left`, path);
  await once(server.close(), 'close');
  cleanups.push(() => rmSync(path, { force: true }));
}

async function echo(client: SessionClient): Promise<void> {
  expect([...(await client.ask(ACTION.echo, 7))]).toEqual([ACTION.echo, 7]);
  client.link.close();
  await client.closed;
}

/** The folder is in memory, on Linux alone; a container may have none. */
describe.runIf(existsSync('/dev/shm'))('a host on loopback', () => {
  it('has a unix socket for its own user while it listens', async () => {
    const { daemon, port } = await host();
    expect(findNear('127.0.0.1', port)).toBe(pathOf('127.0.0.1', port));
    expect(findNear('localhost', port)).toBe(pathOf('127.0.0.1', port));
    expect(findNear('127.0.0.2', port)).toBeUndefined();
    await daemon.close();
    expect(findNear('127.0.0.1', port)).toBeUndefined();
  });

  it('is not mistaken for another listener at the port of a killed host that has left a socket', async () => {
    const { port, server } = await listen();
    const path = pathOf('127.0.0.1', port);
    mkdirSync(dirname(path), { mode: 0o700, recursive: true });
    await leave(path);
    expect(findNear('127.0.0.1', port)).toBe(path);
    await once(server.close(), 'close');
    expect(findNear('127.0.0.1', port)).toBeUndefined();
    const { heard } = await listen(port);
    expect(findNear('127.0.0.1', port)).toBeUndefined();
    // A tunnel may listen there, so the connection is in another thread.
    const client = new SessionClient(remoteHost(`grpc://127.0.0.1:${port}`));
    expect(client.link).not.toBeInstanceOf(NearLink);
    await expect.poll(() => heard.join('')).toMatch(/^PRI \* HTTP/);
    client.link.close();
    await client.closed;
  });

  it('is reached from the thread of the program, except through a proxy', async () => {
    const { daemon } = await host();
    const near = new SessionClient(remoteHost(daemon.url));
    expect(near.link).toBeInstanceOf(NearLink);
    await echo(near);
    const proxy = await CuttingProxy.start(daemon.url);
    cleanups.push(() => proxy.close());
    const far = new SessionClient(remoteHost(proxy.url));
    expect(far.link).not.toBeInstanceOf(NearLink);
    await echo(far);
  });

  it('counts as unreachable where its socket does not answer', async () => {
    const { daemon } = await host();
    const folder = mkdtempSync(join(tmpdir(), 'farlight-left-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    await leave(join(folder, 'socket'));
    for (const path of [join(folder, 'socket'), join(folder, 'none'), undefined])
      expect(
        await new SessionClient(nearHost(parseHostAddress(daemon.url), () => path)).closed,
      ).toMatchObject({
        code: 'UNREACHABLE',
      });
  });

  it('removes the sockets of killed hosts, and nothing else', async () => {
    const { port } = await host();
    const { port: another } = await listen();
    const path = pathOf('127.0.0.1', another);
    const [left, file] = [`${path}-killed`, `${path}-file`];
    await leave(left);
    writeFileSync(file, '');
    cleanups.push(() => rmSync(file));
    let came = 0;
    const door = await NearSocket.open({ address: '127.0.0.1', port: another, family: 'IPv4' }, () => {
      came += 1;
    });
    cleanups.push(() => door?.close());
    const there = [left, file, path, pathOf('127.0.0.1', port)].map((each) => existsSync(each));
    expect(there).toEqual([false, true, true, true]);
    const socket = connect(path);
    cleanups.push(() => socket.destroy());
    await expect.poll(() => came).toBe(1);
  });

  it('has no socket where it does not listen', async () => {
    const { port, server } = await listen();
    await once(server.close(), 'close');
    expect(nearAddress('127.0.0.1', port)).toBeUndefined();
    expect(await NearSocket.open({ address: '127.0.0.1', port, family: 'IPv4' }, () => {})).toBeUndefined();
  });

  it('is found at its IPv6 address too', async () => {
    const daemon = await Daemon.start({ listen: '[::1]:0', executorEntry: FAKE_EXECUTOR });
    cleanups.push(() => daemon.close());
    const port = Number(new URL(daemon.url).port);
    expect(findNear('::1', port)).toBe(pathOf('::1', port));
    expect(findNear('localhost', port)).toBe(pathOf('::1', port));
    const client = new SessionClient(remoteHost(daemon.url));
    expect(client.link).toBeInstanceOf(NearLink);
    await echo(client);
  });
});

it('a folder is private if it is a folder that no other user may read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-private-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const link = join(folder, 'link');
  symlinkSync(folder, link);
  expect([folder, link, join(folder, 'none')].map(isPrivate)).toEqual([true, false, false]);
  chmodSync(folder, 0o750);
  expect(isPrivate(folder)).toBe(false);
});
