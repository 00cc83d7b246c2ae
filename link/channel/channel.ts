import { invariant, ProtocolError } from '../../proto/errors.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { spareFrame } from '../../proto/wire/memory.js';
import { countBody, decodeCount, NOTHING, PACKET, type PacketKind } from '../../proto/wire/packet.js';
import { Credit } from './credit.js';

/** A connection that carries a channel's packets to the peer. */
export interface ChannelConnection {
  /**
   * Takes a packet. A frame is the body of a `data` packet. Returns false if the channel must wait for `drained`; until
   * that call the connection reads the frame's bytes.
   */
  send(kind: PacketKind, body: Uint8Array): boolean;
  /**
   * Whether the last frame lies in shared memory, where the peer reads it. Then its bytes are no longer needed here,
   * and no other connection can continue after this one.
   */
  readonly isPlaced?: boolean;
  /** Whether long frames lie in shared memory. Then acknowledgements may be rare: they measure no line. */
  readonly isShared?: boolean;
  /**
   * The bytes of a placed frame that the peer has not acknowledged, when the connection is lost. Undefined if they are
   * gone. `number` is the frame's, from 1 on.
   */
  recover?(number: number, length: number): Uint8Array | undefined;
}

export interface ChannelEvents {
  /**
   * A frame of the peer, once and in order. The receiver owns it. If it returns true, it no longer needs the bytes, and
   * their memory may be used again.
   */
  onFrame(frame: Uint8Array): unknown;
  /**
   * The peer has acknowledged this many bytes of frames. Nobody reads the memory of the given frames any more. Others are
   * not given: placed frames, and frames that a peer acknowledges before they are written.
   */
  onTaken?: ((bytes: number, frames: readonly Uint8Array[]) => void) | undefined;
  /** There is room again, after `send` returned false. */
  onRoom?: (() => void) | undefined;
}

/** Stands for a frame that is placed, and not acknowledged. */
class Placed {
  readonly length: number;

  constructor(length: number) {
    this.length = length;
  }
}

/** The limits of a channel, in bytes. Tests have smaller ones. */
export interface ChannelBounds {
  /** The most bytes under way to the peer, until `windowBytes` is set. */
  windowBytes: number;
  /** The limit of the sender's credit. Default: CREDIT_BYTES. */
  creditBytes?: number | undefined;
  /** The most bytes of the peer that wait here. Default: `windowBytes`. */
  waitingBytes?: number;
  /** An acknowledgement is sent after this many bytes. */
  ackBytes: number;
}

/** How many of the peer's frames were taken, and how many of this end's frames the peer has acknowledged. */
export interface ChannelCounts {
  readonly taken: number;
  readonly acknowledged: number;
}

const BOUNDS = { windowBytes: LIMITS.windowBytes, ackBytes: 64 << 10 } as const satisfies ChannelBounds;

/**
 * The bounds of an end that accepts at most `waitingBytes` before they are executed, and keeps about `creditBytes` for its
 * peer.
 */
export function boundsOf(waitingBytes: number, creditBytes?: number): ChannelBounds {
  return { ...BOUNDS, waitingBytes, creditBytes };
}

/**
 * One end of a session. It delivers frames whole, once and in order, over one connection after another. It keeps each
 * frame until the peer acknowledges it, or its connection has placed it. A new connection continues with the first frame
 * that the peer has not. At most a window of bytes is under way, so a slow peer slows this side down, and neither side
 * keeps more for the other.
 *
 * It does no I/O and has no clock: its owner gives it connections and packets.
 */
export class Channel {
  readonly #events: ChannelEvents;
  readonly #bounds: ChannelBounds;
  #connection: ChannelConnection | undefined;
  /** The connection takes no frames until `drained`. */
  #full = false;
  /** Frames that the peer has not acknowledged, from number `#first` on. `#next` is the first that is not under way. */
  readonly #kept: (Uint8Array | Placed)[] = [];
  #first = 0;
  #next = 0;
  /** The credit of all kept frames, and of the frames given to this connection. */
  readonly #credit: Credit;
  readonly #window: Credit;
  /** No connection reads the frames before this number any more: they are written, or it is gone. */
  #written = 0;
  /** How many frames of the peer were taken, and how many of those were acknowledged. */
  #taken = 0;
  #told = 0;
  #untoldBytes = 0;
  /** While held, arriving frames wait here. */
  #held = false;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #whenSent: (() => void) | undefined;
  /** Frames are being delivered. Frames that arrive meanwhile wait. */
  #delivering = false;
  #isDeaf = false;

  constructor(events: ChannelEvents, bounds: ChannelBounds = BOUNDS) {
    this.#events = events;
    this.#bounds = bounds;
    this.#credit = new Credit(bounds.creditBytes);
    this.#window = new Credit(bounds.windowBytes);
  }

  /** Sets how many bytes may be under way to the peer. */
  set windowBytes(bytes: number) {
    this.#window.limit = bytes;
    this.#pump();
  }

  /** The bytes of frames that the peer has not acknowledged. */
  get keptBytes(): number {
    return this.#credit.underWay;
  }

  /** How many frames of the peer were taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Whether frames of the peer wait here. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Continues the channel of another process, which had no unacknowledged frames. Call it before anything else. */
  restore({ taken, acknowledged }: ChannelCounts): void {
    this.#taken = taken;
    this.#told = taken;
    this.#first = acknowledged;
    this.#next = acknowledged;
    this.#written = acknowledged;
  }

  /** Whether there is a connection. */
  get attached(): boolean {
    return this.#connection !== undefined;
  }

  /** How many frames the peer has acknowledged. */
  get acknowledged(): number {
    return this.#first;
  }

  /** How many frames were given to connections. During a `send` this is the number of its frame. */
  get sent(): number {
    return this.#next;
  }

  /** Whether taken frames are not acknowledged yet. */
  get owesAck(): boolean {
    return this.#taken > this.#told;
  }

  /** Whether a paused sender may resume. */
  get hasRoom(): boolean {
    return this.#credit.hasRoom;
  }

  /** Sends a frame of at least one byte, which the channel owns from now on. Returns false if the sender must wait for `onRoom`. */
  send(frame: Uint8Array): boolean {
    this.#kept.push(frame);
    const more = this.#credit.sent(frame.length);
    this.#pump();
    return more;
  }

  /** Calls back once, when all frames have been given to a connection. That may be now. */
  whenSent(then: () => void): void {
    this.#whenSent = then;
    this.#pump();
  }

  /**
   * Continues on another connection, to a peer that has taken `peerTook` frames.
   *
   * @throws ProtocolError if that count is impossible, or if a frame was placed that the peer has not taken.
   */
  attach(connection: ChannelConnection, peerTook: number): void {
    this.#forget(peerTook, this.#first + this.#kept.length);
    if (this.#kept.some((frame) => frame instanceof Placed))
      throw new ProtocolError('a placed frame is gone with its connection');
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

  /** The connection is lost. The channel takes no more frames before the next connection, whose peer gets their number. */
  detach(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    for (const [at, frame] of this.#kept.entries())
      if (frame instanceof Placed)
        this.#kept[at] = connection?.recover?.(this.#first + at + 1, frame.length) ?? frame;
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
   * Takes a packet. Returns false for a kind that does not belong to the channel.
   *
   * @throws ProtocolError if the packet is not allowed now.
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

  /** While it is held, the channel delivers no frames, and soon the peer sends none. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held) this.#deliver();
  }

  /** From now on the peer's frames are dropped, and `onRoom` is not called. Frames that were sent still leave. */
  deafen(): void {
    this.#isDeaf = true;
  }

  /** Acknowledges the frames that were taken. */
  acknowledge(): void {
    if (!this.#connection || !this.owesAck) return;
    this.#told = this.#taken;
    this.#untoldBytes = 0;
    this.#connection.send(PACKET.ack, countBody(this.#taken));
  }

  /** Frames that were not taken will arrive again on the next connection. */
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
    // Long before the peer must wait, but not for each frame of a long upload.
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
      invariant(!(frame instanceof Placed), 'a placed frame is not sent again');
      if (!this.#window.allows(frame.length)) return;
      this.#next += 1;
      this.#window.sent(frame.length);
      const connection = this.#connection;
      this.#full = !connection.send(PACKET.data, frame);
      if (!this.#full) this.#written = this.#next;
      if (!connection.isPlaced) continue;
      this.#kept[at] = new Placed(frame.length);
      // Use the memory again soon, while it is in the processor's cache.
      spareFrame(frame);
    }
  }

  #allSent(): void {
    const then = this.#whenSent;
    this.#whenSent = undefined;
    then?.();
  }

  /** The peer has taken `count` frames, of `most` at most. */
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
