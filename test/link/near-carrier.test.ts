import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { deferred } from '#farlight/link/machine/deferred.js';
import { type NearCarrier, nearCarrier } from '#farlight/link/near/near-carrier.js';
import { encodePacket, PACKET, PREFACE } from '#farlight/proto/wire/packet.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

interface Pair {
  near: NearCarrier;
  peer: Socket;
  /** The carrier's events, and the bodies of its packets. */
  log: string[];
  bodies: Uint8Array[];
}

/** A carrier, and the other end of its connection, which does not read by itself. */
async function pair({ greets = false, onPacket = (_near: NearCarrier) => {} } = {}): Promise<Pair> {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-near-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const { promise, resolve } = deferred<Socket>();
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, resolve);
  cleanups.push(() => server.close());
  await once(server.listen(join(folder, 's')), 'listening');
  const socket = connect(join(folder, 's'));
  await once(socket, 'connect');
  const near = nearCarrier(socket, { greets }) as NearCarrier;
  const peer = await promise;
  cleanups.push(() => near.abort());
  cleanups.push(() => peer.destroy());
  const log: string[] = [];
  const bodies: Uint8Array[] = [];
  near.start({
    onReached: () => log.push('reached'),
    onPacket: (kind, body) => {
      log.push(`packet ${kind}`);
      bodies.push(body);
      onPacket(near);
    },
    onDrain: () => log.push('drain'),
    onBroken: ({ message }) => log.push(`broken: ${message}`),
    onGone: (why) => log.push(`gone: ${why?.message}`),
  });
  return { near, peer, log, bodies };
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

it('writes all bytes in order, also those that the system does not take at once', async () => {
  const { near, peer, log } = await pair();
  const sent = Array.from({ length: 100 }, (_, at) => bytes(30_000 + at));
  let more = true;
  for (const body of sent) more = near.send(PACKET.data, body);
  expect([more, log]).toEqual([false, []]);
  const left = new Promise<void>((resolve) => near.end(resolve));
  const read = await readAll(peer);
  expect(Buffer.compare(read, Buffer.concat(sent.map((body) => encodePacket(PACKET.data, body))))).toBe(0);
  await left;
  expect(log[0]).toBe('drain');
});

it('sends a preface, and reports that of its peer', async () => {
  const { near, peer, log } = await pair({ greets: true });
  near.send(PACKET.ping, bytes(0));
  await once(peer, 'readable');
  expect(peer.read()).toEqual(Buffer.concat([PREFACE, encodePacket(PACKET.ping)]));
  peer.write(Buffer.concat([PREFACE, encodePacket(PACKET.pong)]));
  await expect.poll(() => log).toEqual(['reached', `packet ${PACKET.pong}`]);
});

it('writes waiting bytes and delivers arrived packets without the event loop', async () => {
  const { near, peer, bodies } = await pair();
  expect(near.turn()).toBe(false);
  peer.write(encodePacket(PACKET.data, bytes(100)));
  // The event loop does not run: the peer's end has written at once.
  expect([near.turn(), near.turn()]).toEqual([true, false]);
  expect(bodies).toEqual([bytes(100)]);
});

it('cannot be turned during a delivery, or after its end', async () => {
  const turns: (boolean | undefined)[] = [];
  const { near, peer } = await pair({ onPacket: (carrier) => turns.push(carrier.turn()) });
  peer.write(encodePacket(PACKET.data, bytes(5)));
  turns.push(near.turn());
  expect(turns).toEqual([undefined, true]);
  peer.end();
  await expect.poll(() => near.turn()).toBe(undefined);
  near.abort();
  expect([near.turn(), near.send(PACKET.data, bytes(3))]).toEqual([undefined, true]);
});

it('closes once if its peer is gone, and does not write to the old descriptor', async () => {
  const { near, peer, log } = await pair();
  peer.destroy();
  await once(peer, 'close');
  for (let count = 0; count < 2; count += 1) expect(near.send(PACKET.data, bytes(100))).toBe(true);
  await expect.poll(() => log).toEqual(['gone: undefined']);
});

it('reads no more after a malformed packet, and can still send', async () => {
  const { near, peer, log } = await pair();
  peer.write(Uint8Array.of(255, 255, 255, 255));
  await expect.poll(() => log).toEqual([expect.stringMatching(/^broken: a packet of 4294967295 bytes/)]);
  peer.write(encodePacket(PACKET.ping));
  near.send(PACKET.end, bytes(7));
  await once(peer, 'readable');
  expect(peer.read()).toEqual(Buffer.from(encodePacket(PACKET.end, bytes(7))));
  expect(log).toHaveLength(1);
});
