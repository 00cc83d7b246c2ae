import type { Duplex } from 'node:stream';
import type { CompressionMode } from '../proto/compression.js';
import { ProtocolError } from '../proto/errors.js';
import type { Silence } from '../proto/handshake.js';
import type { Channel, ChannelConnection } from '../proto/wire/channel.js';
import { FrameDecoder } from '../proto/wire/framing.js';
import {
  dataHeader,
  decodeCount,
  encodePacket,
  PACKET,
  PACKET_LIMIT,
  PREFACE,
} from '../proto/wire/packet.js';
import { DirectSocket } from './direct-socket.js';
import { FramePacker } from './frame-packer.js';
import { unpackFrame } from './packed-frame.js';

export interface ChannelSocketEvents {
  /** The peer's preface has come. */
  onPreface?(): void;
  /** A packet that is not the channel's own. */
  onPacket(kind: number | undefined, body: Uint8Array): void;
  /** The peer has broken the protocol; nothing more is read. */
  onBroken(error: ProtocolError): void;
  /** The connection is gone, and the channel detached from it. Comes once, last; not after `release`. */
  onGone(why: Error | undefined): void;
  /** A frame travelled packed, and so many bytes less did. */
  onSaved?(bytes: number, way: 'sent' | 'received'): void;
}

export interface ChannelSocketOptions {
  channel: Channel;
  events: ChannelSocketEvents;
  /** Whether the peer has still to send its preface on this connection. */
  preface?: boolean;
  /** When a peer that says nothing is taken for gone. Absent on a pipe. */
  silence?: Silence | undefined;
}

/** The peer hears soon what was taken, also when nothing of ours goes there; in milliseconds. */
const ACK_DELAY_MS = 100;

/** How long the first long frame may take to be acknowledged before the next goes all the same, in milliseconds. */
const FIRST_WAIT_MS = 100;

/** A shorter frame is written in one piece with what goes in front of it. */
const JOINED_BYTES = 4096;

/** Carries a channel's packets over a socket, a TLS connection or a pipe, which it owns. */
export class ChannelSocket implements ChannelConnection {
  readonly #socket: Duplex;
  readonly #channel: Channel;
  readonly #events: ChannelSocketEvents;
  readonly #decoder: FrameDecoder;
  #prefaceLeft: number;
  #error: Error | undefined;
  #broken = false;
  #gone = false;
  #ackTimer: NodeJS.Timeout | undefined;
  #pingTimer: NodeJS.Timeout | undefined;
  #heardAt = Date.now();
  #lookedAt = Date.now();
  #packer: FramePacker | undefined;
  /** The first long frame's acknowledgement is waited for. */
  #waitTimer: NodeJS.Timeout | undefined;

  constructor(given: Duplex, { channel, events, preface, silence }: ChannelSocketOptions) {
    this.#socket = DirectSocket.over(given);
    const socket = this.#socket;
    this.#channel = channel;
    this.#events = events;
    this.#prefaceLeft = preface ? PREFACE.length : 0;
    this.#decoder = new FrameDecoder((packet) => this.#receive(packet), PACKET_LIMIT);
    socket.on('drain', () => this.#drained());
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('end', () => this.#finish());
    socket.on('close', () => this.#finish());
    if (socket instanceof DirectSocket) {
      socket.deliver({ room: () => this.#decoder.room(), push: (piece) => this.push(piece) });
      socket.resume();
    } else {
      socket.on('data', (piece: Buffer) => this.push(piece));
    }
    if (silence) this.#pingTimer = setInterval(() => this.#look(silence), silence.pingMs).unref();
  }

  write(packet: Uint8Array, body?: Uint8Array): boolean {
    if (this.#gone || !this.#socket.writable) return true;
    if (!body) return this.#socket.write(packet);
    return this.#packer ? this.#writeFrame(body, this.#packer) : this.#writeTwo(packet, body);
  }

  /** From now on frames may travel packed, both ways. */
  compress(mode: CompressionMode): void {
    this.#packer ??= new FramePacker(mode);
  }

  #writeFrame(frame: Uint8Array, packer: FramePacker): boolean {
    if (packer.wantsProbe(frame.length)) this.#ping();
    const packed = packer.pack(frame);
    const body = packed ?? frame;
    const header = dataHeader(body.length, packed ? PACKET.packed : PACKET.data);
    const more = this.#writeTwo(header, body);
    packer.sent(header.length + body.length, !more);
    if (packed) this.#events.onSaved?.(frame.length - packed.length, 'sent');
    if (!packer.wantsWait) return more;
    this.#waitTimer = setTimeout(() => this.#waited(), FIRST_WAIT_MS);
    return false;
  }

  #waited(): void {
    if (!this.#waitTimer) return;
    clearTimeout(this.#waitTimer);
    this.#waitTimer = undefined;
    if (!this.#socket.writableNeedDrain) this.#drained();
  }

  #drained(): void {
    if (this.#waitTimer) return;
    this.#packer?.drained();
    this.#channel.drained();
  }

  #writeTwo(packet: Uint8Array, body: Uint8Array): boolean {
    if (body.length < JOINED_BYTES) {
      // A copy is cheaper than a second write, which takes the stream's slow path.
      const joined = Buffer.allocUnsafe(packet.length + body.length);
      joined.set(packet);
      joined.set(body, packet.length);
      return this.#socket.write(joined);
    }
    this.#socket.cork();
    this.#socket.write(packet);
    const more = this.#socket.write(body);
    this.#socket.uncork();
    return more;
  }

  /** Takes bytes that were read from the socket: by this, or by who had it before. */
  push(piece: Uint8Array): void {
    if (this.#gone || this.#broken) return;
    this.#heardAt = Date.now();
    try {
      this.#decoder.push(this.#prefaceLeft > 0 ? this.#takePreface(piece) : piece);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#broken = true;
      this.#events.onBroken(error);
      return;
    }
    if (this.#channel.owesAck) {
      this.#ackTimer ??= setTimeout(() => {
        this.#ackTimer = undefined;
        this.#channel.acknowledge();
      }, ACK_DELAY_MS).unref();
    }
  }

  /**
   * Closes the connection when everything that was written has left, and calls back then: also where that could
   * not leave, at the latest `withinMs` milliseconds from now, if given.
   */
  end(then?: () => void, withinMs?: number): void {
    this.release();
    let waiting = then;
    const left = () => {
      const call = waiting;
      waiting = undefined;
      call?.();
    };
    const timer = withinMs && setTimeout(() => this.#socket.destroy(), withinMs).unref();
    this.#socket.once('close', () => {
      clearTimeout(timer);
      left();
    });
    this.#socket.end(left);
  }

  /** Calls back once when the connection is closed on both sides. */
  whenClosed(then: () => void): void {
    this.#socket.once('close', then);
  }

  /** Closes the connection now. */
  destroy(): void {
    this.#socket.destroy();
    this.#finish();
  }

  /** Nothing more is heard of the connection; the channel may go on with another one. */
  release(): void {
    this.#gone = true;
    clearTimeout(this.#ackTimer);
    clearTimeout(this.#waitTimer);
    clearInterval(this.#pingTimer);
    // Read on all the same: a socket with unread bytes is reset when it closes, and what was written is lost.
    this.#socket.resume();
  }

  #receive(packet: Uint8Array): void {
    if (this.#gone || this.#broken) return;
    const kind = packet[0];
    const body = packet.subarray(1);
    if (this.#packer) this.#receivePacked(kind, body, this.#packer);
    else if (!this.#channel.receive(kind, body)) this.#events.onPacket(kind, body);
  }

  #receivePacked(kind: number | undefined, body: Uint8Array, packer: FramePacker): void {
    if (kind === PACKET.packed) {
      const frame = unpackFrame(body);
      this.#events.onSaved?.(frame.length - body.length, 'received');
      this.#channel.receive(PACKET.data, frame);
      return;
    }
    if (kind === PACKET.pong) packer.ponged();
    // Told before the channel sends what there is room for now.
    if (kind === PACKET.ack) packer.acknowledged(Math.max(decodeCount(body) - this.#channel.acknowledged, 0));
    if (!this.#channel.receive(kind, body)) this.#events.onPacket(kind, body);
    if (kind === PACKET.ack) this.#waited();
  }

  #ping(): void {
    this.#packer?.pinged();
    this.write(encodePacket(PACKET.ping));
  }

  #takePreface(piece: Uint8Array): Uint8Array {
    const from = PREFACE.length - this.#prefaceLeft;
    const part = piece.subarray(0, this.#prefaceLeft);
    if (part.some((byte, at) => byte !== PREFACE[from + at])) throw new ProtocolError('no preface');
    this.#prefaceLeft -= part.length;
    if (this.#prefaceLeft === 0) this.#events.onPreface?.();
    return piece.subarray(part.length);
  }

  #look({ pingMs, deadMs }: Silence): void {
    const now = Date.now();
    // This process has not run: what the peer said meanwhile is still to be read.
    if (now - this.#lookedAt > 2 * pingMs) this.#heardAt = now;
    this.#lookedAt = now;
    const silent = now - this.#heardAt;
    if (silent >= deadMs) {
      this.#error ??= new Error(`it said nothing for ${Math.round(silent / 1000)} seconds`);
      this.destroy();
    } else if (silent >= pingMs / 2) {
      this.#ping();
    }
  }

  #finish(): void {
    if (this.#gone) return;
    this.release();
    this.#socket.destroy();
    this.#channel.detach();
    this.#events.onGone(this.#error);
  }
}
