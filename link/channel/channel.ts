import { invariant, ProtocolError } from '../../proto/errors.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { spareFrame } from '../../proto/wire/memory.js';
import { countBody, decodeCount, NOTHING, PACKET, type PacketKind } from '../../proto/wire/packet.js';
import { Credit } from './credit.js';

/** A connection that carries a channel's packets to the peer. */
export interface ChannelConnection {
  /**
   * Takes a packet; a frame is the body of a `data` packet. Returns false where the channel should wait for `drained`:
   * then the bytes of a frame are read until that is called.
   */
  send(kind: PacketKind, body: Uint8Array): boolean;
  /**
   * Whether the frame that was sent last lies where the peer takes it from: nobody needs its bytes here any more, and no
   * other connection goes on behind this one.
   */
  readonly isPlaced?: boolean;
  /** Whether long frames do not cross it: nobody measures it by when they are acknowledged. */
  readonly isShared?: boolean;
}

export interface ChannelEvents {
  /**
   * A frame of the peer's, once and in order. It is the receiver's; where that returns true it needs the bytes no more, and
   * their memory may serve again.
   */
  onFrame(frame: Uint8Array): unknown;
  /**
   * The peer has taken frames of so many bytes: these, whose memory nobody reads any more, and others. Some were
   * placed; and a peer may say that it has taken what still waits to be written.
   */
  onTaken?: ((bytes: number, frames: readonly Uint8Array[]) => void) | undefined;
  /** There is room again after `send` has returned false. */
  onRoom?: (() => void) | undefined;
}

/** A frame whose bytes nobody needs here any more, and which the peer has not taken. */
class Placed {
  readonly length: number;

  constructor(length: number) {
    this.length = length;
  }
}

/** The bytes that a channel counts with; a test has smaller ones. */
export interface ChannelBounds {
  /** At most so many bytes are under way to the peer, until `windowBytes` says otherwise. */
  windowBytes: number;
  /** Who makes frames is to wait at so many bytes. Default: CREDIT_BYTES. */
  creditBytes?: number | undefined;
  /** At most so many bytes of the peer's wait here. Default: as many as are under way to it. */
  waitingBytes?: number;
  /** The peer is told how much was taken when it was so much. */
  ackBytes: number;
}

const BOUNDS = { windowBytes: LIMITS.windowBytes, ackBytes: 64 << 10 } as const satisfies ChannelBounds;

/**
 * The bounds of an end that takes at most `waitingBytes` of its peer's before they are executed, and has at most
 * `creditBytes` of its own wait for the peer.
 */
export function boundsOf(waitingBytes: number, creditBytes?: number): ChannelBounds {
  return { ...BOUNDS, waitingBytes, creditBytes };
}

/**
 * One end of a session's conversation: delivers frames whole, once and in order, over connections that may
 * come and go. Every frame is kept until the peer says that it has taken it, or its connection has placed it; a new
 * connection goes on with the first that the peer has not. At most a window's bytes are under way, so a peer that takes
 * frames slowly slows this side down, and neither side keeps more than that for the other.
 *
 * It does no I/O and has no clock: who owns it gives it connections and packets.
 */
export class Channel {
  readonly #events: ChannelEvents;
  readonly #bounds: ChannelBounds;
  #connection: ChannelConnection | undefined;
  /** The connection takes no more until `drained`. */
  #full = false;
  /** Frames that the peer has not taken, from `#first` on; `#next` is the first that is not under way. */
  readonly #kept: (Uint8Array | Placed)[] = [];
  #first = 0;
  #next = 0;
  /** Of everything kept, and of what was given to this connection. */
  readonly #credit: Credit;
  readonly #window: Credit;
  /** How many of this side's frames no connection reads any more, since it has written them or is gone. */
  #written = 0;
  /** How many of the peer's frames were taken, and what it was told of that. */
  #taken = 0;
  #told = 0;
  #untoldBytes = 0;
  /** While held, frames wait here, and are not taken. */
  #held = false;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #whenSent: (() => void) | undefined;
  /** Frames are being handed on: those that come meanwhile wait for their turn. */
  #delivering = false;
  #isDeaf = false;

  constructor(events: ChannelEvents, bounds: ChannelBounds = BOUNDS) {
    this.#events = events;
    this.#bounds = bounds;
    this.#credit = new Credit(bounds.creditBytes);
    this.#window = new Credit(bounds.windowBytes);
  }

  /** From now on so many bytes may be under way to the peer. */
  set windowBytes(bytes: number) {
    this.#window.limit = bytes;
    this.#pump();
  }

  /** The bytes of the frames that the peer has not taken. */
  get keptBytes(): number {
    return this.#credit.underWay;
  }

  /** How many of the peer's frames were taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Whether there is a connection. */
  get attached(): boolean {
    return this.#connection !== undefined;
  }

  /** How many of this side's frames the peer has taken, as far as it has said. */
  get acknowledged(): number {
    return this.#first;
  }

  /** How many of this side's frames were given to connections: with the one that is being given, its number. */
  get sent(): number {
    return this.#next;
  }

  /** Whether the peer does not know yet of everything that was taken. */
  get owesAck(): boolean {
    return this.#taken > this.#told;
  }

  /** Whether who makes frames may go on. */
  get hasRoom(): boolean {
    return this.#credit.hasRoom;
  }

  /** Sends a frame of at least one byte, which is the channel's from now on. Returns false where to wait for `onRoom`. */
  send(frame: Uint8Array): boolean {
    this.#kept.push(frame);
    const more = this.#credit.sent(frame.length);
    this.#pump();
    return more;
  }

  /** Calls back once when every frame has been given to a connection: now, if that is so. */
  whenSent(then: () => void): void {
    this.#whenSent = then;
    this.#pump();
  }

  /**
   * Goes on over another connection, to a peer that has taken `peerTook` of this side's frames.
   *
   * @throws ProtocolError on a count that cannot be, or where a frame that the peer has not taken was placed.
   */
  attach(connection: ChannelConnection, peerTook: number): void {
    this.#forget(peerTook, this.#first + this.#kept.length);
    if (this.#kept.some((frame) => frame instanceof Placed))
      throw new ProtocolError('what was placed is gone with its connection');
    this.#connection = connection;
    this.#full = false;
    this.#next = this.#first;
    this.#written = this.#first;
    this.#window.reset();
    this.#told = this.#taken;
    this.#untoldBytes = 0;
    this.#dropWaiting();
    this.#pump();
  }

  /** The connection is gone. What is taken does not grow until there is another: the peer may be told of it. */
  detach(): void {
    this.#connection = undefined;
    this.#written = this.#first + this.#kept.length;
    this.#dropWaiting();
  }

  /** The connection takes packets at full speed again. */
  drained(): void {
    this.#full = false;
    this.#written = this.#next;
    this.#pump();
  }

  /**
   * Takes a packet of the kinds that a channel has; for another kind it returns false.
   *
   * @throws ProtocolError on one that cannot come now.
   */
  receive(kind: number | undefined, body: Uint8Array): boolean {
    if (kind === PACKET.data) {
      if (body.length === 0) throw new ProtocolError('a frame is empty');
      this.#waitingBytes += body.length;
      const { waitingBytes = this.#bounds.windowBytes } = this.#bounds;
      if (this.#waitingBytes > waitingBytes) {
        throw new ProtocolError(`more than ${waitingBytes} bytes are under way`);
      }
      this.#waiting.push(body);
      this.#deliver();
    } else if (kind === PACKET.ack) {
      this.#forget(decodeCount(body), this.#next);
      this.#pump();
    } else if (kind === PACKET.ping) {
      this.#connection?.send(PACKET.pong, NOTHING);
    } else if (kind !== PACKET.pong) {
      return false;
    }
    return true;
  }

  /** While it is held, the channel hands no frame on, and soon the peer sends none. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held) this.#deliver();
  }

  /** From now on the peer's frames are dropped, and nobody is told of room: what was sent still leaves. */
  deafen(): void {
    this.#isDeaf = true;
  }

  /** Tells the peer what was taken. */
  acknowledge(): void {
    if (!this.#connection || !this.owesAck) return;
    this.#told = this.#taken;
    this.#untoldBytes = 0;
    this.#connection.send(PACKET.ack, countBody(this.#taken));
  }

  /** What arrived on a connection and was not taken comes again on the next. */
  #dropWaiting(): void {
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      while (!this.#held) {
        const frame = this.#waiting.shift();
        if (!frame) break;
        this.#waitingBytes -= frame.length;
        this.#taken += 1;
        this.#untoldBytes += frame.length;
        if (this.#isDeaf || this.#events.onFrame(frame) === true) spareFrame(frame);
      }
    } finally {
      this.#delivering = false;
    }
    if (this.#untoldBytes >= this.#ackBytes) this.acknowledge();
  }

  get #ackBytes(): number {
    const { ackBytes, windowBytes, waitingBytes = windowBytes } = this.#bounds;
    // Long before the peer has to wait, and not for each frame of a long upload.
    return this.#connection?.isShared ? Math.max(ackBytes, waitingBytes / 8) : ackBytes;
  }

  #pump(): void {
    while (this.#connection && !this.#full) {
      const at = this.#next - this.#first;
      const frame = this.#kept[at];
      if (!frame) {
        this.#allSent();
        return;
      }
      invariant(!(frame instanceof Placed), 'what was placed is not sent again');
      if (!this.#window.allows(frame.length)) return;
      this.#next += 1;
      this.#window.sent(frame.length);
      const connection = this.#connection;
      this.#full = !connection.send(PACKET.data, frame);
      if (!this.#full) this.#written = this.#next;
      if (!connection.isPlaced) continue;
      this.#kept[at] = new Placed(frame.length);
      // Soon again, while it is still near to the processor.
      spareFrame(frame);
    }
  }

  #allSent(): void {
    const then = this.#whenSent;
    this.#whenSent = undefined;
    then?.();
  }

  /** The peer has taken `count` frames, which cannot be more than `most`. */
  #forget(count: number, most: number): void {
    if (count < this.#first || count > most) {
      throw new ProtocolError(`${count} frames were taken of ${this.#first} to ${most}`);
    }
    if (count === this.#first) return;
    let bytes = 0;
    const frames: Uint8Array[] = [];
    for (const [at, frame] of this.#kept.splice(0, count - this.#first).entries()) {
      bytes += frame.length;
      if (!(frame instanceof Placed) && this.#first + at < this.#written) frames.push(frame);
    }
    this.#first = count;
    this.#next = Math.max(this.#next, count);
    this.#window.taken(Math.min(bytes, this.#window.underWay));
    const hasRoom = this.#credit.taken(bytes);
    this.#events.onTaken?.(bytes, frames);
    if (hasRoom && !this.#isDeaf) this.#events.onRoom?.();
  }
}
