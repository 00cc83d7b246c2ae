import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { afterEach, expect, it } from 'vitest';
import type { ByteStream } from '#farlight/link/channel/byte-stream.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import { NearStream } from '#farlight/link/near/near-stream.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

/** A stream and the other end of its connection, which reads nothing before it is told to. */
async function pair(): Promise<{ near: NearStream; peer: Socket; came: Uint8Array[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-near-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const { promise, resolve } = deferred<Socket>();
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, resolve);
  cleanups.push(() => server.close());
  await once(server.listen(join(folder, 's')), 'listening');
  const socket = connect(join(folder, 's'));
  await once(socket, 'connect');
  const near = NearStream.over(socket) as NearStream;
  const peer = await promise;
  cleanups.push(() => near.destroy());
  cleanups.push(() => peer.destroy());
  const came: Uint8Array[] = [];
  near.deliver({
    room: () => new Uint8Array(1 << 16),
    push: (piece) => {
      came.push(piece.slice());
    },
  });
  return { near, peer, came };
}

/** Bytes of which no two pieces are alike. */
const bytes = (length: number) => Uint8Array.from({ length }, (_, at) => at * 7 + (at >> 8) * 3);

/** All that the peer reads until the other end closes. */
async function readAll(peer: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  peer.on('data', (piece) => pieces.push(piece));
  await once(peer.resume(), 'end');
  return Buffer.concat(pieces);
}

it('writes at once what the system takes, and the rest, in order, when the peer has read', async () => {
  const { near, peer } = await pair();
  const sent = bytes(3_000_000);
  let more = true;
  for (let at = 0; at < sent.length; at += 30_000) more = near.write(sent.subarray(at, at + 30_000));
  expect([more, near.writableNeedDrain]).toEqual([false, true]);
  const drained = new Promise<void>((resolve) => near.on('drain', () => resolve()));
  const left = new Promise<void>((resolve) => near.end(resolve));
  expect(near.writable).toBe(false);
  const read = await readAll(peer);
  expect(Buffer.compare(read, sent)).toBe(0);
  await Promise.all([drained, left]);
  expect(near.writableNeedDrain).toBe(false);
});

it('writes corked pieces as one', async () => {
  const { near, peer } = await pair();
  const pieces: number[] = [];
  peer.on('data', ({ length }) => pieces.push(length));
  peer.resume();
  near.cork();
  near.write(bytes(10));
  near.write(bytes(5000));
  near.uncork();
  near.write(bytes(7));
  await expect.poll(() => pieces.reduce((sum, each) => sum + each, 0)).toBe(5017);
  expect(pieces[0]).toBeGreaterThanOrEqual(5010);
});

it('can be turned without the event loop: it writes what waits, and hands on what has come', async () => {
  const { near, peer, came } = await pair();
  expect(near.turn()).toBe(false);
  peer.write('hello');
  // The event loop does not run: the peer's end has written at once.
  expect([near.turn(), near.turn()]).toEqual([true, false]);
  expect(came.map((piece) => Buffer.from(piece).toString())).toEqual(['hello']);
});

it('cannot be turned while it hands on what has come, nor when it is over', async () => {
  const { near, peer } = await pair();
  const turns: (boolean | undefined)[] = [];
  near.deliver({ room: () => new Uint8Array(100), push: () => turns.push(near.turn()) });
  peer.write('hello');
  turns.push(near.turn());
  expect(turns).toEqual([undefined, true]);
  peer.end();
  await expect.poll(() => near.turn()).toBe(undefined);
  near.destroy();
  expect([near.turn(), near.write(bytes(3)), near.writable]).toEqual([undefined, true, false]);
});

it('whose peer is gone closes, and writes no more into what its descriptor was', async () => {
  const { near, peer } = await pair();
  const closed = new Promise<void>((resolve) => near.once('close', resolve));
  peer.destroy();
  await once(peer, 'close');
  near.write(bytes(100));
  near.write(bytes(100));
  expect(near.writable).toBe(false);
  near.resume();
  await closed;
});

it('is of sockets alone', () => {
  const other: ByteStream = new Duplex();
  expect(NearStream.over(other)).toBe(other);
});
