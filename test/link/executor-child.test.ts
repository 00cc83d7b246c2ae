import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import { ExecutorChild } from '#farlight/link/executor/executor-child.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import { encodePacket, NOTHING, PACKET } from '#farlight/proto/wire/packet.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { FAKE_EXECUTOR } from '../support/repository.js';

it('closes a connection on its way to a dying executor, so that the client comes back', async () => {
  const server = createServer({ pauseOnConnect: true });
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as { port: number }).port, '127.0.0.1').on('error', () => {});
  const closed = new Promise((resolve) => client.resume().once('close', resolve));
  const socket = await accepted;
  const [ready, exited] = [deferred<void>(), deferred<unknown>()];
  const child = new ExecutorChild(
    { adapter: 'null', entry: FAKE_EXECUTOR },
    { onReady: () => ready.resolve(), onStuck: () => {}, onExit: exited.resolve },
  );
  await ready.promise;
  // It reads nothing any more, and has not exited yet.
  process.kill(child.pid ?? 0, 'SIGSTOP');
  child.resume({ taken: 0, attempt: 1 }, socket, NOTHING);
  await new Promise((resolve) => setImmediate(resolve));
  process.kill(child.pid ?? 0, 'SIGKILL');
  expect(await exited.promise).toMatchObject({ code: 'EXECUTOR_LOST' });
  await closed;
  // The server does not wait for a connection that it has handed over.
  await new Promise((resolve) => server.close(resolve));
});

/** A client's connection, with its other end as a daemon has it. */
async function connection(): Promise<{ client: Socket; socket: Socket; close(): void }> {
  const server = createServer({ pauseOnConnect: true });
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  return {
    client,
    socket: await accepted,
    close() {
      client.destroy();
      server.close();
    },
  };
}

const WELCOME = { protocol: 3, version: 'test', sessionId: 'test', resumeMs: 10_000 };

it.runIf(process.platform === 'linux').each([
  ['connection', false],
  ['near connection', true],
])(
  'closes a %s that the executor has no descriptor for, so that its client tries again, and hands the next one over',
  async (_, isNear) => {
    const [first, second] = [await connection(), await connection()];
    const [ready, exited] = [deferred<void>(), deferred<unknown>()];
    const child = new ExecutorChild(
      { adapter: 'auto', entry: FAKE_EXECUTOR },
      { onReady: () => ready.resolve(), onStuck: () => {}, onExit: exited.resolve },
    );
    await ready.promise;
    const limit = (most: string) => execFileSync('prlimit', [`--pid=${child.pid}`, `--nofile=${most}:`]);
    limit('1');
    child.resume({ taken: 0, attempt: 1 }, first.socket, NOTHING, isNear);
    await once(first.client.resume(), 'close');
    limit('1024');
    child.hand(
      { type: 'begin', session: { program: 'test', welcome: WELCOME }, head: NOTHING },
      second.socket,
    );
    const [welcome] = await once(second.client, 'data');
    expect(String(welcome)).toContain('"sessionId":"test"');
    child.kill();
    await exited.promise;
    for (const each of [first, second]) each.close();
  },
);

it('loses no bytes that a client sends while its executor still opens devices ahead', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-test-'));
  const opened = join(folder, 'opened');
  const { client, socket, close } = await connection();
  const [ready, exited] = [deferred<void>(), deferred<unknown>()];
  const alive: (() => void)[] = [];
  const child = new ExecutorChild(
    { adapter: 'auto', entry: FAKE_EXECUTOR },
    {
      onReady: () => ready.resolve(),
      onAlive: () => alive.shift()?.(),
      onStuck: () => {},
      onExit: exited.resolve,
    },
  );
  await ready.promise;
  child.tell({ type: 'compileAhead', program: `once:${opened}`, folder: { path: folder, maxBytes: 1 } });
  child.hand({ type: 'begin', session: { program: 'test', welcome: WELCOME }, head: NOTHING }, socket);
  const beat = () =>
    new Promise<void>((resolve) => {
      alive.push(resolve);
      child.tell({ type: 'ping' });
    });
  await beat();
  // The process has the connection, and its event loop would read what comes.
  client.write(encodePacket(PACKET.data, Uint8Array.of(ACTION.echo, 42)));
  for (let time = 0; time < 3; time += 1) await beat();
  writeFileSync(opened, '');
  const packets: Uint8Array[] = [];
  const decoder = new PacketDecoder((packet) => packets.push(packet));
  client.on('data', (piece) => decoder.push(piece));
  await expect.poll(() => packets.map(([kind]) => kind)).toContain(PACKET.data);
  child.kill();
  await exited.promise;
  close();
  rmSync(folder, { recursive: true });
});

it('a parked session comes back if the connection breaks on its way to the executor, and its client resumes it', async () => {
  const [first, second] = [await connection(), await connection()];
  const heard: string[] = [];
  const [ready, exited] = [deferred<void>(), deferred<unknown>()];
  const child = new ExecutorChild(
    { adapter: 'auto', entry: FAKE_EXECUTOR },
    {
      onReady: () => ready.resolve(),
      onSessionEnded: ({ message }) => heard.push(message),
      onStuck: () => {},
      onExit: exited.resolve,
    },
  );
  await ready.promise;
  first.socket.destroy();
  const place = { path: '/nowhere', key: new Uint8Array(32) };
  const channel = { taken: 1, acknowledged: 1, attempt: 1 };
  const session = { program: 'test', welcome: WELCOME };
  child.hand({ type: 'unpark', session, place, channel, head: NOTHING }, first.socket);
  child.resume({ taken: 1, attempt: 2 }, second.socket, NOTHING);
  const [resumed] = await once(second.client, 'data');
  expect(resumed[4]).toBe(PACKET.resumed);
  expect(heard).toEqual([]);
  child.kill();
  await exited.promise;
  for (const each of [first, second]) each.close();
});

it('an executor leaves no record on the server whose connections it was given', async () => {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  for (let time = 0; time < 3; time += 1) {
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const client = connect(port, '127.0.0.1').on('error', () => {});
    const socket = await accepted;
    const exited = new Promise<void>((resolve) => {
      const child = new ExecutorChild(
        { adapter: 'auto', entry: FAKE_EXECUTOR },
        {
          onReady: () => {
            const welcome = { protocol: 3, version: 'test', sessionId: 'test', resumeMs: 0 };
            child.hand({ type: 'begin', session: { program: 'test', welcome }, head: NOTHING }, socket);
            client.once('data', () => child.kill());
          },
          onStuck: () => {},
          onExit: () => resolve(),
        },
      );
    });
    await exited;
    client.destroy();
  }
  // A record that net keeps for each process with one of the server's connections, while the server listens.
  expect((server as unknown as { _workers: unknown[] })._workers).toHaveLength(0);
  expect(await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
  server.close();
});

it('an executor whose session ends while it is brought back exits, and serves no other session', async () => {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  const socket = await accepted;
  const heard: unknown[] = [];
  const reason = await new Promise((resolve) => {
    const child = new ExecutorChild(
      { adapter: 'auto', entry: FAKE_EXECUTOR },
      {
        onReady: () => {
          const welcome = { protocol: 3, version: 'test', sessionId: 'test', resumeMs: 0 };
          const place = { path: '/nowhere', key: new Uint8Array(32) };
          const channel = { taken: 1, acknowledged: 1, attempt: 1 };
          const session = { program: 'test', welcome };
          child.hand({ type: 'unpark', session, place, channel, head: NOTHING }, socket);
          child.tell({ type: 'end', code: 'UNAUTHORIZED', message: 'the token was revoked' });
        },
        onSessionEnded: ({ code }) => heard.push(code),
        // It would be handed over to the next session.
        onIdle: () => {
          heard.push('idle');
          child.kill();
        },
        onStuck: () => {},
        onExit: resolve,
      },
    );
  });
  expect(heard).toEqual(['UNAUTHORIZED']);
  expect(reason).toMatchObject({ message: 'the parked session ended while it was brought back' });
  client.destroy();
  server.close();
});
