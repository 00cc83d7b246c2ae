import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import { Channel } from '#farlight/link/channel/channel.js';
import { Connection } from '#farlight/link/channel/connection.js';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import { type NearCarrier, nearCarrier } from '#farlight/link/near/near-carrier.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { hasFrameMemory, spareFrame } from '#farlight/proto/wire/memory.js';
import { encodeCount, encodePacket, PACKET, PACKET_LIMIT } from '#farlight/proto/wire/packet.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

/** A carrier of the program's own thread, and the other end of its connection. */
async function pair(): Promise<{ near: NearCarrier; peer: Socket }> {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-memory-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const { promise, resolve } = deferred<Socket>();
  const server = createServer({ pauseOnConnect: true }, resolve);
  cleanups.push(() => server.close());
  const path = join(folder, 's');
  await once(server.listen(path), 'listening');
  const socket = connect(path);
  await once(socket, 'connect');
  const near = nearCarrier(socket) as NearCarrier;
  const peer = await promise;
  cleanups.push(() => near.abort());
  cleanups.push(() => peer.destroy());
  return { near, peer };
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

const BYTES = Uint8Array.from({ length: LIMITS.frameBytes + 10_000 }, (_, at) => at * 31 + (at >> 8) * 7);
/** Of no two frames the same. */
const content = (length: number, seed: number) => BYTES.slice(seed * 997, seed * 997 + length);

/** Has a carrier hand on the frames that it reads, and counts the bytes that it has read. */
function reader(near: NearCarrier, onFrame: (frame: Uint8Array) => void) {
  const read = { bytes: 0 };
  const push = near.push.bind(near);
  near.push = (piece) => {
    read.bytes += piece.length;
    push(piece);
  };
  near.start({
    onPacket: (_, frame) => onFrame(frame),
    onDrain: () => {},
    onBroken: (error) => {
      throw error;
    },
    onGone: () => {},
  });
  return read;
}

/** What the system takes at once, in bytes. */
const MOST_CUT = 48 << 10;

interface Cut {
  /** How much the peer writes. */
  bytes: number;
  /** Whether the program's thread reads it in a turn of its own, or the event loop. */
  byTurn: boolean;
}

/** Has a stream of bytes come in these pieces, over and over. */
async function deliver(
  { near, peer }: { near: NearCarrier; peer: Socket },
  read: { bytes: number },
  stream: Uint8Array,
  cuts: readonly Cut[],
): Promise<void> {
  const before = read.bytes;
  for (let at = 0, next = 0; at < stream.length; next += 1) {
    const { bytes, byTurn } = cuts[next % cuts.length] as Cut;
    peer.write(stream.subarray(at, at + bytes));
    at = Math.min(at + bytes, stream.length);
    while (read.bytes - before < at) {
      if (!byTurn) await nextTurn();
      else expect(near.turn()).toBeDefined();
    }
  }
}

const framed = (frames: readonly Uint8Array[]) =>
  Buffer.concat(frames.map((frame) => encodePacket(PACKET.data, frame)));

it('a frame that the event loop began and a turn completed has memory of its own', async () => {
  const ends = await pair();
  const frames: Uint8Array[] = [];
  const read = reader(ends.near, (frame) => frames.push(frame));
  const sent = [content(100_000, 1), content(30_000, 2), content(70_000, 3)];
  const stream = framed(sent);
  const half = [
    { bytes: 40_000, byTurn: false },
    { bytes: 40_000, byTurn: false },
    { bytes: 30_000, byTurn: true },
    { bytes: 10_000, byTurn: false },
  ];
  await deliver(ends, read, stream, half);
  expect(frames.map((frame, at) => Buffer.compare(frame, sent[at] as Uint8Array))).toEqual([0, 0, 0]);
});

it('frames are right and stay unchanged, for any cuts of their bytes between the event loop and turns', async () => {
  const ends = await pair();
  const expected: Uint8Array[] = [];
  const kept: [Uint8Array, Uint8Array][] = [];
  let poisons = false;
  const read = reader(ends.near, (frame) => {
    const sent = expected.shift() as Uint8Array;
    // Check the frame before its memory is overwritten.
    expect(Buffer.compare(frame, sent)).toBe(0);
    if (poisons && hasFrameMemory(frame)) {
      frame.fill(0xee);
      // The next long frame is read into this memory.
      spareFrame(frame);
    } else {
      kept.push([frame, sent]);
    }
  });
  const length = fc.oneof(
    fc.integer({ min: 1, max: 5000 }),
    fc.integer({ min: 15_000, max: 150_000 }),
    fc.integer({ min: LIMITS.frameBytes / 2, max: LIMITS.frameBytes }),
  );
  const cut = fc.record({ bytes: fc.integer({ min: 1000, max: MOST_CUT }), byTurn: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(length, { minLength: 1, maxLength: 5 }),
      fc.array(cut, { minLength: 1, maxLength: 40 }),
      fc.boolean(),
      async (lengths, cuts, poison) => {
        poisons = poison;
        kept.length = 0;
        const sent = lengths.map((each, seed) => content(each, seed));
        expected.push(...sent);
        await deliver(ends, read, framed(sent), cuts);
        expect(expected).toEqual([]);
        for (const [frame, right] of kept) expect(Buffer.compare(frame, right)).toBe(0);
      },
    ),
    { numRuns: 30, endOnFailure: true },
  );
});

it('the memory of a frame that still waits to be written is not reused, even if the peer acknowledges the frame', async () => {
  const { near, peer } = await pair();
  const taken: number[][] = [];
  const channel = new Channel({
    onFrame: () => {},
    onTaken: (bytes, frames) => taken.push([bytes, frames.length]),
  });
  const lengths = [LIMITS.frameBytes, LIMITS.frameBytes - 1];
  const connection = new Connection(near, {
    channel,
    events: { onPacket: () => {}, onBroken: () => {}, onGone: () => {} },
  });
  channel.attach(connection, 0);
  for (const [seed, each] of lengths.entries()) channel.send(content(each, seed));
  // It has read nothing.
  peer.write(encodeCount(PACKET.ack, 1));
  while (taken.length === 0) await nextTurn();
  expect(taken).toEqual([[lengths[0], 0]]);
  // What it reads is what was sent.
  const frames: Uint8Array[] = [];
  const decoder = new PacketDecoder((packet) => frames.push(packet.slice(1)), PACKET_LIMIT);
  peer.on('data', (piece) => decoder.push(piece));
  peer.resume();
  while (frames.length < lengths.length) await nextTurn();
  expect(frames.map((frame, seed) => Buffer.compare(frame, content(lengths[seed] as number, seed)))).toEqual([
    0, 0,
  ]);
  peer.write(encodeCount(PACKET.ack, 2));
  while (taken.length === 1) await nextTurn();
  expect(taken[1]).toEqual([lengths[1], 1]);
});
