import { Duplex } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { Channel } from '#farlight/link/channel/channel.js';
import { ChannelSocket, type ChannelSocketOptions } from '#farlight/link/channel/channel-socket.js';
import { FrameDecoder } from '#farlight/link/channel/framing.js';
import type { ProtocolError } from '#farlight/proto/errors.js';
import {
  dataHeader,
  encodeObject,
  encodePacket,
  PACKET,
  PACKET_LIMIT,
  PREFACE,
} from '#farlight/proto/wire/packet.js';

/** How far the clock is ahead of the timers, in milliseconds. Farlight takes both when it is loaded. */
const ahead = await vi.hoisted(async () => {
  (await import('../support/fake-timers.js')).fakeTimers();
  const { performance } = globalThis;
  const timersNow = performance.now.bind(performance);
  const ahead = { ms: 0 };
  performance.now = () => timersNow() + ahead.ms;
  return ahead;
});

/** A connection whose other end is the test: what is written is kept, and it may never close by itself. */
class Pipe extends Duplex {
  readonly kinds: (number | undefined)[] = [];
  stuck = false;
  readonly #decoder = new FrameDecoder((packet) => this.kinds.push(packet[0]), PACKET_LIMIT);

  override _read(): void {}

  override _write(piece: Uint8Array, _encoding: string, done: () => void): void {
    this.#decoder.push(Uint8Array.from(piece));
    if (!this.stuck) done();
  }
}

function make(options: Partial<ChannelSocketOptions> = {}) {
  const pipe = new Pipe({ allowHalfOpen: false });
  const log: string[] = [];
  const frames: number[] = [];
  const channel = new Channel({ onFrame: ([first]) => frames.push(first ?? -1) });
  const socket = new ChannelSocket(pipe, {
    channel,
    events: {
      onPreface: () => log.push('preface'),
      onPacket: (kind) => log.push(`packet ${kind}`),
      onBroken: ({ message }: ProtocolError) => log.push(`broken: ${message}`),
      onGone: (why) => log.push(`gone: ${why?.message ?? 'closed'}`),
    },
    ...options,
  });
  channel.attach(socket, 0);
  return { pipe, log, frames, channel, socket };
}

const ping = encodePacket(PACKET.ping);
const data = (first: number) => Uint8Array.of(...dataHeader(1), first);
const settle = () => vi.advanceTimersByTimeAsync(0);

describe('the preface', () => {
  it('may come in any pieces, with packets behind it in the last', () => {
    for (let at = 1; at < PREFACE.length; at++) {
      const { socket, log, frames } = make({ preface: true });
      socket.push(PREFACE.slice(0, at));
      expect(log).toEqual([]);
      socket.push(Uint8Array.of(...PREFACE.slice(at), ...data(7)));
      expect([log, frames]).toEqual([['preface'], [7]]);
    }
  });

  it('that is none breaks the connection at its first wrong byte, and nothing more is read', () => {
    const { socket, log, frames } = make({ preface: true });
    socket.push(PREFACE.slice(0, 3));
    socket.push(Uint8Array.of(0));
    socket.push(PREFACE);
    socket.push(data(1));
    expect([log, frames]).toEqual([['broken: no preface'], []]);
  });
});

it('a frame that cannot be taken here breaks the connection, and nothing is thrown at its reader', () => {
  const short = new Channel({
    onFrame: () => {
      throw new RangeError('there is no memory');
    },
  });
  const { socket, log } = make({ channel: short });
  socket.push(data(1));
  socket.push(data(2));
  expect(log).toEqual(['broken: there is no memory']);
});

describe('a peer', () => {
  const silence = { pingMs: 100, deadMs: 300 };

  it('that says nothing is asked, and then taken for gone', async () => {
    const { pipe, log } = make({ silence });
    await vi.advanceTimersByTimeAsync(250);
    expect(pipe.kinds).toEqual([PACKET.ping, PACKET.ping]);
    expect(log).toEqual([]);
    await vi.advanceTimersByTimeAsync(60);
    expect(log).toEqual(['gone: it said nothing for 0 seconds']);
    expect(pipe.destroyed).toBe(true);
  });

  it('that has made an offer may be silent where the system tells of its end, and nowhere else', async () => {
    const offer = encodeObject(PACKET.offer, { name: '' });
    const near = make({ silence, openShared: () => undefined, mayBeSilent: true });
    const bridged = make({ silence, openShared: () => undefined, mayBeSilent: false });
    const quiet = make({ silence, openShared: () => undefined, mayBeSilent: true });
    for (const { socket } of [near, bridged]) socket.push(offer);
    await vi.advanceTimersByTimeAsync(5000);
    expect([near.log, near.pipe.kinds]).toEqual([[], [PACKET.answer]]);
    for (const { log } of [bridged, quiet]) expect(log).toEqual(['gone: it said nothing for 0 seconds']);
  });

  it('that answers is there for as long as it does', async () => {
    const { socket, log } = make({ silence });
    for (let time = 0; time < 2000; time += 100) {
      socket.push(encodePacket(PACKET.pong));
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(log).toEqual([]);
  });

  it('is not taken for gone because this process did not run', async () => {
    const { log } = make({ silence });
    await vi.advanceTimersByTimeAsync(100);
    ahead.ms += 10_000;
    await vi.advanceTimersByTimeAsync(100);
    expect(log).toEqual([]);
  });

  it('hears within 100 ms what was taken, and once', async () => {
    const { socket, pipe } = make();
    socket.push(data(1));
    socket.push(data(2));
    expect(pipe.kinds).toEqual([]);
    await vi.advanceTimersByTimeAsync(100);
    expect(pipe.kinds).toEqual([PACKET.ack]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(pipe.kinds).toEqual([PACKET.ack]);
  });

  it('that breaks the protocol is heard no more', () => {
    const { socket, log, frames } = make();
    socket.push(Uint8Array.of(...dataHeader(0), ...data(4)));
    socket.push(data(5));
    expect(log).toEqual(['broken: a frame is empty']);
    expect(frames).toEqual([]);
  });

  it('that closes, or whose connection fails, is gone once, and the channel without a connection', async () => {
    for (const [act, why] of [
      [(pipe: Pipe) => pipe.push(null), 'gone: closed'],
      [(pipe: Pipe) => pipe.destroy(new Error('reset')), 'gone: reset'],
      [(pipe: Pipe) => pipe.destroy(), 'gone: closed'],
    ] as const) {
      const { pipe, log, channel } = make();
      act(pipe);
      await settle();
      expect(log).toEqual([why]);
      expect(channel.attached).toBe(false);
    }
  });
});

describe('a connection', () => {
  it('that was released says nothing more, and leaves the channel to the next', async () => {
    const { pipe, socket, log, frames, channel } = make();
    socket.release();
    const next = make();
    channel.attach(next.socket, 0);
    socket.push(data(1));
    pipe.destroy(new Error('reset'));
    await settle();
    expect([log, frames, channel.attached]).toEqual([[], [], true]);
  });

  it('that was destroyed is gone at once', () => {
    const { socket, log, pipe } = make();
    socket.destroy();
    socket.destroy();
    expect(log).toEqual(['gone: closed']);
    expect(socket.write(ping)).toBe(true);
    expect(pipe.kinds).toEqual([]);
  });

  it('ends behind what was written', async () => {
    const { socket, pipe } = make();
    let ended = 0;
    socket.write(ping);
    socket.end(() => ended++);
    await settle();
    expect([pipe.kinds, ended]).toEqual([[PACKET.ping], 1]);
  });

  it('that cannot be ended, as the peer reads nothing, ends in the time that it is given', async () => {
    const { socket, pipe } = make();
    pipe.stuck = true;
    let ended = 0;
    socket.write(ping);
    socket.end(() => ended++, 500);
    await vi.advanceTimersByTimeAsync(499);
    expect(ended).toBe(0);
    await vi.advanceTimersByTimeAsync(2);
    expect([ended, pipe.destroyed]).toEqual([1, true]);
  });

  it('writes short frames in one piece and long ones in two, with the same bytes', async () => {
    const { socket, pipe } = make();
    for (const length of [1, 4095, 4096, 70_000]) socket.write(dataHeader(length), new Uint8Array(length));
    await settle();
    expect(pipe.kinds).toEqual([PACKET.data, PACKET.data, PACKET.data, PACKET.data]);
  });
});
