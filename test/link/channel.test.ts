import { describe, expect, it } from 'vitest';
import { Channel, type ChannelBounds, type ChannelConnection } from '#farlight/link/channel/channel.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { frameMemory } from '#farlight/proto/wire/memory.js';
import { decodeCount, encodeCount, PACKET, type PacketKind } from '#farlight/proto/wire/packet.js';

/** A connection that writes down what it is given, and says that it is full when told to. */
class Wire implements ChannelConnection {
  readonly packets: { kind: number | undefined; body: Uint8Array }[] = [];
  full = false;
  isPlaced = false;

  send(kind: PacketKind, body: Uint8Array): boolean {
    this.packets.push({ kind, body: body.slice() });
    return !this.full;
  }

  /** The first bytes of the frames that were sent. */
  get frames(): (number | undefined)[] {
    return this.packets.filter(({ kind }) => kind === PACKET.data).map(({ body }) => body[0]);
  }

  get acks(): number[] {
    return this.packets.filter(({ kind }) => kind === PACKET.ack).map(({ body }) => decodeCount(body));
  }
}

interface Made {
  channel: Channel;
  frames: number[];
  taken: number[];
}

function make(bounds?: ChannelBounds): Made {
  const frames: number[] = [];
  const taken: number[] = [];
  const channel = new Channel(
    { onFrame: (frame) => frames.push(frame[0] ?? -1), onTaken: (bytes) => taken.push(bytes) },
    bounds,
  );
  return { channel, frames, taken };
}

const SMALL: ChannelBounds = { windowBytes: 100, ackBytes: 40 };
const frame = (first: number, length = 30) => new Uint8Array(length).fill(first);
const count = (value: number) => encodeCount(PACKET.ack, value).subarray(5);

describe('sending', () => {
  it('keeps frames before the first connection, and then sends them in order', () => {
    const { channel } = make();
    for (const first of [1, 2, 3]) channel.send(frame(first));
    const wire = new Wire();
    channel.attach(wire, 0);
    channel.send(frame(4));
    expect(wire.frames).toEqual([1, 2, 3, 4]);
  });

  it('stops at the window, and goes on when the peer has taken some frames', () => {
    const { channel, taken } = make(SMALL);
    const wire = new Wire();
    channel.attach(wire, 0);
    for (const first of [1, 2, 3, 4, 5]) channel.send(frame(first));
    expect(wire.frames).toEqual([1, 2, 3]);
    expect(channel.keptBytes).toBe(150);
    channel.receive(PACKET.ack, count(2));
    expect(wire.frames).toEqual([1, 2, 3, 4, 5]);
    expect(channel.keptBytes).toBe(90);
    expect(taken).toEqual([60]);
  });

  it('gives back frames that the peer has taken, but no frame that the connection may still write', () => {
    const given: (number | undefined)[][] = [];
    const channel = new Channel({
      onFrame: () => {},
      onTaken: (_bytes, frames) => given.push(frames.map(([first]) => first)),
    });
    const wire = new Wire();
    channel.attach(wire, 0);
    channel.send(frame(1));
    wire.full = true;
    channel.send(frame(2));
    channel.receive(PACKET.ack, count(2));
    expect(given).toEqual([[1]]);
    wire.full = false;
    channel.drained();
    wire.full = true;
    channel.send(frame(3));
    channel.drained();
    channel.receive(PACKET.ack, count(3));
    expect(given).toEqual([[1], [3]]);
    channel.send(frame(4));
    // A connection that is gone writes nothing.
    channel.detach();
    channel.attach(new Wire(), 4);
    expect(given).toEqual([[1], [3], [4]]);
  });

  it('sends a frame that is longer than the window alone', () => {
    const { channel } = make(SMALL);
    const wire = new Wire();
    channel.attach(wire, 0);
    for (const first of [1, 2]) channel.send(frame(first, 150));
    expect(wire.frames).toEqual([1]);
    channel.receive(PACKET.ack, count(1));
    expect(wire.frames).toEqual([1, 2]);
  });

  it('waits while the connection is full', () => {
    const { channel } = make();
    const wire = new Wire();
    wire.full = true;
    channel.attach(wire, 0);
    for (const first of [1, 2]) channel.send(frame(first));
    expect(wire.frames).toEqual([1]);
    wire.full = false;
    channel.drained();
    expect(wire.frames).toEqual([1, 2]);
  });

  it('reports once that the connection has all frames', () => {
    const { channel } = make(SMALL);
    let said = 0;
    for (const first of [1, 2, 3, 4]) channel.send(frame(first));
    channel.whenSent(() => said++);
    expect(said).toBe(0);
    channel.attach(new Wire(), 0);
    expect(said).toBe(0);
    channel.receive(PACKET.ack, count(1));
    expect(said).toBe(1);
    channel.send(frame(5));
    expect(said).toBe(1);
  });

  it('keeps no frame once the peer has taken all of them', () => {
    const { channel } = make();
    channel.attach(new Wire(), 0);
    for (const first of [1, 2, 3]) channel.send(frame(first));
    channel.receive(PACKET.ack, count(3));
    expect(channel.keptBytes).toBe(0);
  });
});

describe('a frame that a connection has placed', () => {
  it('a placed frame gives its memory back at once, and counts until the peer has taken it', () => {
    const { channel, taken } = make({ windowBytes: 3 * LIMITS.frameBytes, ackBytes: 40 });
    const wire = new Wire();
    channel.attach(wire, 0);
    wire.isPlaced = true;
    const [first, second] = [frameMemory(LIMITS.frameBytes), frameMemory(LIMITS.frameBytes)];
    channel.send(first.fill(1));
    expect(frameMemory(LIMITS.frameBytes).buffer).toBe(first.buffer);
    wire.isPlaced = false;
    channel.send(second.fill(2));
    expect(frameMemory(LIMITS.frameBytes).buffer).not.toBe(second.buffer);
    expect([channel.keptBytes, wire.frames]).toEqual([2 * LIMITS.frameBytes, [1, 2]]);
    channel.receive(PACKET.ack, count(2));
    expect([channel.keptBytes, taken]).toEqual([0, [2 * LIMITS.frameBytes]]);
  });

  it('a placed frame cannot be sent again: no other connection goes on before the peer has taken it', () => {
    for (const [peerTook, isRefused] of [
      [0, true],
      [1, true],
      [2, false],
    ] as const) {
      const { channel } = make();
      const wire = new Wire();
      channel.attach(wire, 0);
      channel.send(frame(1));
      wire.isPlaced = true;
      channel.send(frame(2));
      channel.detach();
      const attach = () => channel.attach(new Wire(), peerTook);
      if (isRefused) expect(attach).toThrow('a placed frame is gone with its connection');
      else attach();
    }
  });
});

describe('a placed frame that its connection can still give back', () => {
  it('a placed frame that can be read back is sent again on the next connection', () => {
    const { channel } = make();
    const wire = new Wire();
    channel.attach(wire, 0);
    wire.isPlaced = true;
    channel.send(frame(1));
    channel.send(frame(2));
    const recovered: [number, number][] = [];
    Object.assign(wire, {
      recover: (number: number, length: number) => {
        recovered.push([number, length]);
        return frame(number);
      },
    });
    channel.detach();
    const next = new Wire();
    channel.attach(next, 1);
    expect(recovered.map(([number]) => number)).toEqual([1, 2]);
    expect(next.frames).toEqual([2]);
  });
});

describe('resuming over another connection', () => {
  it('sends exactly the frames again that the peer has not taken', () => {
    const { channel } = make();
    channel.attach(new Wire(), 0);
    for (const first of [1, 2, 3]) channel.send(frame(first));
    channel.detach();
    channel.send(frame(4));
    const next = new Wire();
    channel.attach(next, 2);
    expect(next.frames).toEqual([3, 4]);
  });

  it('forgets frames that arrived and were not taken, since they come again', () => {
    const { channel, frames } = make();
    channel.attach(new Wire(), 0);
    channel.receive(PACKET.data, frame(1));
    channel.hold(true);
    channel.receive(PACKET.data, frame(2));
    channel.attach(new Wire(), 0);
    expect(channel.taken).toBe(1);
    channel.receive(PACKET.data, frame(2));
    channel.hold(false);
    expect(frames).toEqual([1, 2]);
  });

  it('resuming with an impossible count is refused: more than was sent, or less than was acknowledged', () => {
    for (const impossible of [-1, 0, 4, 2 ** 40]) {
      const { channel } = make();
      channel.attach(new Wire(), 0);
      for (const first of [1, 2, 3]) channel.send(frame(first));
      channel.receive(PACKET.ack, count(1));
      channel.detach();
      expect(() => channel.attach(new Wire(), impossible)).toThrow(ProtocolError);
    }
  });
});

describe('receiving', () => {
  it('passes frames on in order, and keeps them while it is held', () => {
    const { channel, frames } = make();
    channel.receive(PACKET.data, frame(1));
    channel.hold(true);
    channel.receive(PACKET.data, frame(2));
    channel.receive(PACKET.data, frame(3));
    expect(frames).toEqual([1]);
    expect(channel.taken).toBe(1);
    channel.hold(false);
    expect(frames).toEqual([1, 2, 3]);
  });

  it('keeps the order if the receiver holds the channel, or another frame arrives, while it takes a frame', () => {
    const frames: number[] = [];
    const channel: Channel = new Channel({
      onFrame: ([first]) => {
        frames.push(first ?? -1);
        if (first === 1) channel.receive(PACKET.data, frame(2));
        if (first === 2) channel.hold(true);
        if (first === 1) expect(frames).toEqual([1]);
      },
    });
    channel.receive(PACKET.data, frame(1));
    channel.receive(PACKET.data, frame(3));
    expect(frames).toEqual([1, 2]);
    channel.hold(false);
    expect(frames).toEqual([1, 2, 3]);
  });

  it('acknowledges by itself after enough frames, and otherwise when asked', () => {
    const { channel } = make(SMALL);
    const wire = new Wire();
    channel.attach(wire, 0);
    channel.receive(PACKET.data, frame(1));
    expect(wire.acks).toEqual([]);
    expect(channel.owesAck).toBe(true);
    channel.receive(PACKET.data, frame(2));
    expect(wire.acks).toEqual([2]);
    channel.receive(PACKET.data, frame(3));
    channel.acknowledge();
    channel.acknowledge();
    expect(wire.acks).toEqual([2, 3]);
    expect(channel.owesAck).toBe(false);
  });

  it('acknowledges by itself after an eighth of the window at the latest if frames lie in shared memory', () => {
    const { channel } = make({ windowBytes: 800, ackBytes: 40 });
    const wire = Object.assign(new Wire(), { isShared: true });
    channel.attach(wire, 0);
    for (const first of [1, 2, 3]) channel.receive(PACKET.data, frame(first));
    expect(wire.acks).toEqual([]);
    channel.receive(PACKET.data, frame(4));
    expect(wire.acks).toEqual([4]);
  });

  it('answers a ping, and accepts a pong', () => {
    const { channel } = make();
    const wire = new Wire();
    channel.attach(wire, 0);
    expect(channel.receive(PACKET.ping, new Uint8Array(0))).toBe(true);
    expect(wire.packets.map(({ kind }) => kind)).toEqual([PACKET.pong]);
    expect(channel.receive(PACKET.pong, new Uint8Array(0))).toBe(true);
  });

  it('leaves packets of the session to others', () => {
    const { channel } = make();
    for (const kind of [PACKET.hello, PACKET.welcome, PACKET.end, PACKET.bye, 77, undefined]) {
      expect(channel.receive(kind, new Uint8Array(8))).toBe(false);
    }
  });

  it('refuses an empty frame, and an acknowledgement of unsent frames or of fewer than before', () => {
    const { channel } = make();
    channel.attach(new Wire(), 0);
    for (const first of [1, 2, 3]) channel.send(frame(first));
    channel.receive(PACKET.ack, count(2));
    expect(() => channel.receive(PACKET.data, new Uint8Array(0))).toThrow(ProtocolError);
    expect(() => channel.receive(PACKET.ack, count(4))).toThrow(ProtocolError);
    expect(() => channel.receive(PACKET.ack, count(1))).toThrow(ProtocolError);
    expect(() => channel.receive(PACKET.ack, new Uint8Array(3))).toThrow(ProtocolError);
  });

  it('refuses an acknowledgement of frames that wait for the window', () => {
    const { channel } = make(SMALL);
    channel.attach(new Wire(), 0);
    for (const first of [1, 2, 3, 4]) channel.send(frame(first));
    expect(() => channel.receive(PACKET.ack, count(4))).toThrow(ProtocolError);
  });

  it('keeps no more than the window from a peer that does not stop', () => {
    const { channel } = make();
    channel.hold(true);
    for (let sent = 0; sent < LIMITS.windowBytes; sent += LIMITS.frameBytes) {
      channel.receive(PACKET.data, new Uint8Array(LIMITS.frameBytes));
    }
    expect(() => channel.receive(PACKET.data, Uint8Array.of(1))).toThrow(/under way/);
  });
});
