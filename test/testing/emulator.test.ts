import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { create } from '#farlight/client/index.js';
import {
  type EmulatedLink,
  type EmulatedLinkOptions,
  emulateLink,
  testHost,
} from '#farlight/testing/index.js';
import { until } from '../support/machine/processes.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A server on loopback or a unix socket that handles each connection like this. Resolves to its address. */
async function serve(handle: (socket: Socket) => void, path?: string): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    handle(socket);
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(path ?? { port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  return path ? `unix:${path}` : `grpc://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function emulate(
  target: string,
  options: Omit<EmulatedLinkOptions, 'target'> = {},
): Promise<EmulatedLink> {
  const link = await emulateLink({ target, ...options });
  cleanups.push(() => link.close());
  return link;
}

const echo = (socket: Socket) => socket.pipe(socket);

/** A connection through the link, with the bytes that came and how it ended. */
function client({ url }: EmulatedLink) {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', noDelay: true });
  cleanups.push(() => socket.destroy());
  const seen = { text: '', bytes: 0, error: '', ended: false, closed: false };
  socket.on('data', (bytes) => {
    seen.bytes += bytes.length;
    if (seen.bytes < 1000) seen.text += bytes;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    seen.error = error.code ?? '';
  });
  socket.on('end', () => {
    seen.ended = true;
  });
  socket.on('close', () => {
    seen.closed = true;
  });
  return { socket, seen };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('an emulated link', () => {
  it('a message there and back takes a round trip, not less', async () => {
    for (const rttMs of [1, 20]) {
      const link = await emulate(await serve(echo), { rttMs });
      const { socket } = client(link);
      const trips: number[] = [];
      // With a simulated clock, link-schedule.test.ts shows that it takes little more.
      while (trips.length < 30) {
        const start = performance.now();
        socket.write('x');
        await once(socket, 'data');
        trips.push(performance.now() - start);
      }
      // The first trip begins when TCP would have connected, which takes a second round trip.
      expect(trips[0]).toBeGreaterThan(2 * rttMs - 0.5);
      expect(Math.min(...trips)).toBeGreaterThan(rttMs - 0.3);
    }
  });

  it('a link carries no more than its bandwidth, in either direction', async () => {
    const link = await emulate(await serve(echo), { mbit: 40 });
    const { socket, seen } = client(link);
    const bytes = 2_500_000;
    const start = performance.now();
    socket.write(Buffer.alloc(bytes));
    await until(() => seen.bytes === bytes);
    expect(performance.now() - start).toBeGreaterThan(500);
    expect(link).toMatchObject({ bytesUp: bytes, bytesDown: bytes, heldBytes: 0, connections: 1 });
  });

  it('a link keeps every byte, in order, with jitter and pieces of all sizes', async () => {
    const link = await emulate(await serve(echo), { rttMs: 4, jitterMs: 3, mbit: 200 });
    const { socket } = client(link);
    const [sent, came] = [createHash('sha256'), createHash('sha256')];
    let missing = 0;
    socket.on('data', (bytes) => {
      came.update(bytes);
      missing -= bytes.length;
    });
    for (let write = 0; write < 200; write += 1) {
      const bytes = randomBytes(1 + ((write * 7919) % 20_000));
      sent.update(bytes);
      missing += bytes.length;
      socket.write(bytes);
      if (write % 20 === 0) await pause(1);
    }
    await until(() => missing === 0);
    expect(came.digest('hex')).toBe(sent.digest('hex'));
  });

  it('a link shares its bandwidth between connections', async () => {
    const link = await emulate(await serve((socket) => socket.write(Buffer.alloc(20_000_000))), { mbit: 40 });
    const clients = [client(link), client(link), client(link)];
    await until(() => clients.every(({ seen }) => seen.bytes > 200_000));
    const before = clients.map(({ seen }) => seen.bytes);
    await until(() => link.bytesDown > 6_000_000);
    const bytes = clients.map(({ seen }, index) => seen.bytes - (before[index] ?? 0));
    expect(Math.min(...bytes) / Math.max(...bytes)).toBeGreaterThan(0.8);
  });

  it('a link holds no more than its line and 50 ms of it, whatever is sent and read', async () => {
    const link = await emulate(await serve((socket) => socket.pause()), { rttMs: 20, mbit: 80 });
    const { socket } = client(link);
    socket.write(Buffer.alloc(64 << 20));
    const window = 10_000 * (10 + 50);
    await until(() => link.heldBytes >= window);
    await pause(200);
    // One read of a socket gives 64 KiB.
    expect(link.mostHeldBytes).toBeLessThan(window + (64 << 10));
  });

  it('a link passes on the end of a stream after its bytes, in each direction', async () => {
    const link = await emulate(
      await serve((socket) => socket.on('end', () => socket.end('answer')).resume()),
      { rttMs: 4 },
    );
    const { socket, seen } = client(link);
    socket.end('question');
    await until(() => seen.closed);
    expect(seen).toMatchObject({ text: 'answer', ended: true, error: '' });
    await until(() => link.connections === 0);
    expect(link).toMatchObject({ bytesUp: 8, bytesDown: 6 });
  });

  it('a link passes on a reset', async () => {
    const hosts: Socket[] = [];
    const link = await emulate(await serve((socket) => hosts.push(socket.resume())), { rttMs: 4 });
    const { seen } = client(link);
    await until(() => hosts.length === 1);
    hosts[0]?.resetAndDestroy();
    await until(() => seen.closed);
    expect(seen.error).toBe('ECONNRESET');
  });

  it('a link resets a connection to a missing host', async () => {
    const { seen } = client(await emulate('grpc://127.0.0.1:1', { rttMs: 2 }));
    await until(() => seen.closed);
    expect(seen.error).toBe('ECONNRESET');
  });

  it('a link reaches a host on a unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'farlight-link-'));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const { socket, seen } = client(await emulate(await serve(echo, join(folder, 'host')), { rttMs: 2 }));
    socket.write('hello');
    await until(() => seen.text === 'hello');
  });

  it('a program reaches a host over a link', async () => {
    const host = await testHost({ adapter: 'null' });
    cleanups.push(() => host.close());
    const link = await emulate(host.url, { rttMs: 10, mbit: 100 });
    const adapter = await create({ host: link.url }).requestAdapter();
    expect(adapter).not.toBeNull();
    expect(Math.min(link.bytesUp, link.bytesDown)).toBeGreaterThan(0);
  });

  it('rejects options out of range, in a sentence', async () => {
    const wrong = { target: 'grpc://127.0.0.1:1' };
    await expect(emulateLink({ ...wrong, rttMs: -1 })).rejects.toThrow(/rtt .* from 0 to 60000, not -1/);
    await expect(emulateLink({ ...wrong, jitterMs: Number.NaN })).rejects.toThrow(/jitter .* not NaN/);
    await expect(emulateLink({ ...wrong, mbit: 0 })).rejects.toThrow(/megabits a second .* not 0/);
    await expect(emulateLink({ target: 'http://x' })).rejects.toMatchObject({ code: 'BAD_URL' });
  });
});

describe('failures of a link', () => {
  it('cut ends all connections at once, and new ones are accepted', async () => {
    const hosts: Socket[] = [];
    // A byte shows that a connection is whole: a half of it that is cut while it connects ends without a reset.
    const target = await serve((socket) => socket.resume().once('data', () => hosts.push(socket)));
    const link = await emulate(target, { rttMs: 2 });
    const connected = () => {
      const made = client(link);
      made.socket.write('x');
      return made;
    };
    const [first, second] = [connected(), connected()];
    await until(() => hosts.length === 2);
    await link.cut();
    await until(() => first.seen.closed && second.seen.closed && hosts.every(({ destroyed }) => destroyed));
    expect([first.seen.error, second.seen.error]).toEqual(['ECONNRESET', 'ECONNRESET']);
    await until(() => link.connections === 0);
    connected();
    await until(() => hosts.length === 3);
  });

  it('cutAfter cuts exactly after the given number of bytes', async () => {
    for (const direction of ['up', 'down'] as const) {
      let came = 0;
      const link = await emulate(
        await serve((socket) =>
          socket.on('data', (bytes) => {
            came += bytes.length;
            if (direction === 'down') socket.write(bytes);
          }),
        ),
        { rttMs: 2, mbit: 100 },
      );
      await link.cutAfter(70_001, direction);
      const { socket, seen } = client(link);
      socket.write(Buffer.alloc(200_000));
      await until(() => seen.closed);
      expect(direction === 'up' ? came : seen.bytes).toBe(70_001);
      expect(direction === 'up' ? link.bytesUp : link.bytesDown).toBe(70_001);
      // That was one cut: the next connection stays.
      const next = client(link);
      next.socket.write(Buffer.alloc(100_000));
      await until(() => link.bytesUp >= (direction === 'up' ? 170_001 : 100_000));
    }
  });

  it('a frozen link passes nothing, and everything afterwards', async () => {
    const link = await emulate(await serve(echo), { rttMs: 10 });
    const { socket, seen } = client(link);
    socket.write('one ');
    await until(() => seen.text === 'one ');
    socket.write('two ');
    await pause(2);
    await link.freeze();
    const before = [link.bytesUp, link.bytesDown];
    // 'two ' is under way, unless this process was delayed.
    const passed = 'one two '.slice(0, link.bytesDown);
    socket.write('three ');
    const late = client(link);
    late.socket.write('late');
    await pause(150);
    expect([link.bytesUp, link.bytesDown]).toEqual(before);
    expect(seen).toMatchObject({ text: passed, closed: false });
    expect(late.seen.closed).toBe(false);
    await link.thaw();
    await until(() => seen.text === 'one two three ' && late.seen.text === 'late');
  });

  it('refuse rejects new connections, and keeps open ones', async () => {
    const link = await emulate(await serve(echo));
    const { socket, seen } = client(link);
    socket.write('before ');
    await until(() => seen.text === 'before ');
    await link.refuse();
    const refused = client(link);
    await until(() => refused.seen.closed);
    expect(refused.seen.error).toBe('ECONNREFUSED');
    socket.write('meanwhile');
    await until(() => seen.text === 'before meanwhile');
    await link.accept();
    const accepted = client(link);
    accepted.socket.write('after');
    await until(() => accepted.seen.text === 'after');
  });

  it('a closed link rejects orders, and says why', async () => {
    const link = await emulateLink({ target: 'grpc://127.0.0.1:1' });
    await link.close();
    await link.close();
    await expect(link.cut()).rejects.toThrow('closed');
  });
});

it('a link whose thread has ended rejects orders, says why, and can be closed', async () => {
  const made = new Promise<Worker>((resolve) => process.once('worker', resolve));
  const link = await emulateLink({ target: await serve(() => {}) });
  await (await made).terminate();
  await expect(link.cut()).rejects.toThrow('the emulated link is closed');
  await link.close();
});
