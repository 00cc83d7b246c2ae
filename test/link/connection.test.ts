import { describe, expect, it, vi } from 'vitest';
import type { Carrier, CarrierEvents } from '#farlight/link/channel/carrier.js';
import { Channel } from '#farlight/link/channel/channel.js';
import { Connection, type ConnectionOptions, type FrameForm } from '#farlight/link/channel/connection.js';
import { SharedFrames } from '#farlight/link/near/shared-frames.js';
import { NOTHING, objectBody, PACKET, type PacketKind } from '#farlight/proto/wire/packet.js';

/** How far the clock is ahead of the timers, in milliseconds. Farlight takes both when it is loaded. */
const ahead = await vi.hoisted(async () => {
  (await import('../support/time/fake-timers.js')).fakeTimers();
  const { performance } = globalThis;
  const timersNow = performance.now.bind(performance);
  const ahead = { ms: 0 };
  performance.now = () => timersNow() + ahead.ms;
  return ahead;
});

/** A carrier whose other end is the test: it records sent packets, and delivers the test's packets. */
class Wire implements Carrier {
  readonly kinds: PacketKind[] = [];
  events!: CarrierEvents;
  aborted = 0;
  left: (() => void) | undefined;

  start(events: CarrierEvents): void {
    this.events = events;
  }

  send(kind: PacketKind): boolean {
    this.kinds.push(kind);
    return true;
  }

  end(left?: () => void): void {
    this.left = left;
  }

  abort(): void {
    this.aborted += 1;
  }

  /** Delivers a packet, as a carrier does. */
  bring(kind: PacketKind, body: Uint8Array = NOTHING): void {
    try {
      this.events.onPacket(kind, body);
    } catch (error) {
      this.events.onBroken(error as Error);
    }
  }
}

function make(options: Partial<ConnectionOptions> = {}) {
  const wire = new Wire();
  const log: string[] = [];
  const frames: number[] = [];
  const channel = new Channel({ onFrame: ([first]) => frames.push(first ?? -1) });
  const connection = new Connection(wire, {
    channel,
    events: {
      onReached: () => log.push('reached'),
      onPacket: (kind) => log.push(`packet ${kind}`),
      onBroken: ({ message }) => log.push(`broken: ${message}`),
      onGone: (why) => log.push(`gone: ${why?.message ?? 'closed'}`),
    },
    ...options,
  });
  channel.attach(connection, 0);
  return { wire, log, frames, channel, connection };
}

const frame = (first: number) => Uint8Array.of(first);

it('gives its packets to the channel, and other packets to its owner', () => {
  const { wire, log, frames } = make();
  wire.events.onReached?.();
  wire.bring(PACKET.data, frame(7));
  wire.bring(PACKET.welcome);
  wire.bring(PACKET.ping);
  expect([log, frames, wire.kinds]).toEqual([['reached', `packet ${PACKET.welcome}`], [7], [PACKET.pong]]);
});

it('reports a frame that cannot be handled, and ignores the packets after it', () => {
  const channel = new Channel({
    onFrame: () => {
      throw new RangeError('there is no memory');
    },
  });
  const { wire, log } = make({ channel });
  wire.bring(PACKET.data, frame(1));
  wire.bring(PACKET.data, frame(2));
  expect(log).toEqual(['broken: there is no memory']);
});

describe('a peer', () => {
  const silence = { pingMs: 100, deadMs: 300 };

  it('a silent peer gets pings, and then counts as gone', async () => {
    const { wire, log } = make({ silence });
    await vi.advanceTimersByTimeAsync(250);
    expect([wire.kinds, wire.aborted]).toEqual([[PACKET.ping, PACKET.ping], 0]);
    await vi.advanceTimersByTimeAsync(60);
    expect(wire.aborted).toBeGreaterThan(0);
    wire.events.onGone(undefined);
    expect(log).toEqual(['gone: it said nothing for 0 seconds']);
  });

  it('a peer that has made an offer may be silent, since the system reports its end', async () => {
    const near = make({ silence });
    const quiet = make({ silence });
    for (const { connection } of [near, quiet]) connection.use(SharedFrames.opening());
    near.wire.bring(PACKET.offer, objectBody({ name: '' }));
    await vi.advanceTimersByTimeAsync(5000);
    expect([near.wire.aborted, near.wire.kinds]).toEqual([0, [PACKET.offerReply]]);
    expect(quiet.wire.aborted).toBeGreaterThan(0);
  });

  it('a peer that answers pings is not gone', async () => {
    const { wire } = make({ silence });
    for (let time = 0; time < 2000; time += 100) {
      wire.bring(PACKET.pong);
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(wire.aborted).toBe(0);
  });

  it('a peer does not count as gone because this process did not run', async () => {
    const { wire } = make({ silence });
    await vi.advanceTimersByTimeAsync(100);
    ahead.ms += 10_000;
    await vi.advanceTimersByTimeAsync(100);
    expect(wire.aborted).toBe(0);
  });

  it('a peer gets an acknowledgement within 100 ms, once', async () => {
    const { wire } = make();
    wire.bring(PACKET.data, frame(1));
    wire.bring(PACKET.data, frame(2));
    expect(wire.kinds).toEqual([]);
    await vi.advanceTimersByTimeAsync(100);
    expect(wire.kinds).toEqual([PACKET.ack]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(wire.kinds).toEqual([PACKET.ack]);
  });

  it('a lost peer is reported once, and the channel is detached', () => {
    const { wire, log, channel, connection } = make();
    wire.events.onGone(new Error('reset'));
    wire.events.onGone(undefined);
    expect([log, channel.attached, connection.send(PACKET.ping, NOTHING), wire.kinds]).toEqual([
      ['gone: reset'],
      false,
      true,
      [],
    ]);
  });
});

it('reports nothing after release, and leaves the channel to the next connection', () => {
  const { wire, log, frames, channel, connection } = make();
  connection.release();
  channel.attach(make().connection, 0);
  wire.bring(PACKET.data, frame(1));
  wire.events.onGone(new Error('reset'));
  expect([log, frames, channel.attached, wire.aborted]).toEqual([[], [], true, 1]);
});

it('ignores packets once it ends, and reports that it is gone', () => {
  const { wire, log, frames, connection } = make();
  let left = 0;
  connection.end(() => left++);
  wire.bring(PACKET.data, frame(1));
  wire.left?.();
  wire.events.onGone(undefined);
  expect([left, frames, log]).toEqual([1, [], ['gone: closed']]);
});

describe('a form of frames', () => {
  /** A form that adds one byte to each frame, with room for `room` of them. */
  const form = (room: number) => {
    const log: string[] = [];
    const made: FrameForm = {
      kind: PACKET.packed,
      isPlaced: false,
      start: () => log.push('start'),
      encode: (body) => (body[0] === 0 ? undefined : Uint8Array.of(...body, 9)),
      decode: (body) => body.subarray(0, -1),
      sent: (bytes, more) => {
        log.push(`sent ${bytes} ${more}`);
        room -= 1;
        return more && room > 0;
      },
      drained: () => room > 0,
      hear: (kind) => kind === PACKET.offerReply,
      close: () => log.push('close'),
    };
    return { made, log };
  };

  it('a form of frames applies to frames in both directions, and to no other packets', () => {
    const { wire, frames, channel, connection, log } = make();
    const { made, log: said } = form(9);
    connection.use(made);
    channel.send(frame(1));
    channel.send(frame(0));
    connection.send(PACKET.ping, NOTHING);
    wire.bring(PACKET.packed, Uint8Array.of(5, 9));
    wire.bring(PACKET.data, frame(6));
    wire.bring(PACKET.offerReply);
    expect([wire.kinds, frames, log]).toEqual([[PACKET.packed, PACKET.data, PACKET.ping], [5, 6], []]);
    connection.release();
    expect(said).toEqual(['start', 'sent 2 true', 'sent 1 true', 'close']);
  });

  it('a form of frames stops and continues the channel', () => {
    const { wire, channel, connection } = make();
    connection.use(form(1).made);
    for (const first of [1, 2, 3]) channel.send(frame(first));
    expect(wire.kinds).toHaveLength(1);
    wire.events.onDrain();
    expect(wire.kinds).toHaveLength(1);
    connection.goOn();
    expect(wire.kinds).toHaveLength(2);
  });

  it('a form of frames is closed at once if its connection is gone', () => {
    const { connection } = make();
    connection.release();
    const { made, log } = form(1);
    connection.use(made);
    expect(log).toEqual(['close']);
  });
});
