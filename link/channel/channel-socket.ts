import { ProtocolError } from '../../proto/errors.js';
import type { SharedFileOffer, Silence } from '../../proto/handshake.js';
import {
  dataHeader,
  decodeCount,
  decodeObject,
  decodePlace,
  encodeObject,
  encodePacket,
  encodePlace,
  PACKET,
  PACKET_LIMIT,
  PREFACE,
} from '../../proto/wire/packet.js';
import { clearInterval, clearTimeout, monotonicNow, setInterval, setTimeout } from '../machine/clock.js';
import { type Timer, unref } from '../machine/timer.js';
import { DirectSocket } from '../near/direct-socket.js';
import type { SharedFile } from '../near/shared-file.js';
import type { ByteStream } from './byte-stream.js';
import type { Channel, ChannelConnection } from './channel.js';
import type { FramePacker } from './frame-packer.js';
import { FrameDecoder } from './framing.js';

export interface ChannelSocketEvents {
  /** The peer's preface has come. */
  onPreface?(): void;
  /** A packet that is not the channel's own. */
  onPacket(kind: number | undefined, body: Uint8Array): void;
  /** The peer has broken the protocol, or what it sent cannot be taken here; nothing more is read. */
  onBroken(error: Error): void;
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
  /** Opens the file that the peer offers for long frames; absent where none may be offered. */
  openShared?: ((name: string) => SharedFile | undefined) | undefined;
  /** Whether a peer that has offered one may be silent: where the system says that it is gone. */
  mayBeSilent?: boolean | undefined;
}

/** The peer hears soon what was taken, also when nothing of ours goes there; in milliseconds. */
const ACK_DELAY_MS = 100;

/** How long the first long frame may take to be acknowledged before the next goes all the same, in milliseconds. */
const FIRST_WAIT_MS = 100;

/** A shorter frame is written in one piece with what goes in front of it. */
const JOINED_BYTES = 4096;

/** A shorter frame is not worth the two more calls of the system that a shared file takes. */
const PLACED_BYTES = 64 << 10;

/** Carries a channel's packets over a socket, a TLS connection or a pipe, which it owns. */
export class ChannelSocket implements ChannelConnection {
  readonly #socket: ByteStream;
  readonly #channel: Channel;
  readonly #events: ChannelSocketEvents;
  readonly #decoder: FrameDecoder;
  #prefaceLeft: number;
  #error: Error | undefined;
  #broken = false;
  #gone = false;
  #ackTimer: Timer | undefined;
  #pingTimer: Timer | undefined;
  #heardAt = monotonicNow();
  #lookedAt = monotonicNow();
  #packer: FramePacker | undefined;
  /** The first long frame's acknowledgement is waited for. */
  #waitTimer: Timer | undefined;
  readonly #openShared: ChannelSocketOptions['openShared'];
  readonly #mayBeSilent: boolean;
  /** The peer has an offer to answer. */
  #hasOffered = false;
  /** What was offered to the peer, until it answers; and what both have open. */
  #offered: SharedFile | undefined;
  #shared: SharedFile | undefined;

  constructor(given: ByteStream, options: ChannelSocketOptions) {
    const { channel, events, preface, silence } = options;
    this.#socket = DirectSocket.over(given);
    const socket = this.#socket;
    this.#channel = channel;
    this.#events = events;
    this.#openShared = options.openShared;
    this.#mayBeSilent = options.mayBeSilent ?? false;
    this.#prefaceLeft = preface ? PREFACE.length : 0;
    this.#decoder = new FrameDecoder((packet) => this.#receive(packet), PACKET_LIMIT);
    socket.on('drain', () => this.#drained());
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('end', () => this.#finish());
    socket.on('close', () => this.#finish());
    if (socket.deliver) {
      socket.deliver({ room: () => this.#decoder.room(), push: (piece) => this.push(piece) });
      socket.resume();
    } else {
      socket.on('data', (piece) => this.push(piece));
    }
    if (silence) this.#pingTimer = unref(setInterval(() => this.#look(silence), silence.pingMs));
  }

  hasPlaced = false;

  write(packet: Uint8Array, body?: Uint8Array): boolean {
    this.hasPlaced = false;
    if (this.#gone || !this.#socket.writable) return true;
    if (!body) return this.#writeOne(packet);
    if (this.#shared) return this.#place(this.#shared, packet, body);
    return this.#packer ? this.#writeFrame(body, this.#packer) : this.#writeTwo(packet, body);
  }

  /** From now on frames may travel packed, both ways. */
  compress(packer: FramePacker): void {
    this.#packer ??= packer;
  }

  /** Whether the peer is a process of this machine for certain. */
  get isNear(): boolean {
    return this.#socket.isNear === true;
  }

  /** Whether the peer has the file open that was offered. */
  get isShared(): boolean {
    return this.#shared !== undefined;
  }

  /** Goes on without the event loop; see ByteStream. */
  turn(): boolean | undefined {
    return this.#socket.turn?.();
  }

  /** Offers the peer a file for long frames, which is this connection's from now on, or says that there is none. */
  offer(file: SharedFile | undefined): void {
    if (this.#gone) {
      file?.forget();
      file?.close();
      return;
    }
    this.#hasOffered = true;
    this.#offered = file;
    this.write(encodeObject(PACKET.offer, { name: file?.name ?? '' } satisfies SharedFileOffer));
  }

  /** What lies in memory that the peer has too needs no packing. */
  #place(file: SharedFile, packet: Uint8Array, frame: Uint8Array): boolean {
    const slot = frame.length < PLACED_BYTES ? undefined : file.place(frame, this.#channel.sent);
    if (slot === undefined) return this.#writeTwo(packet, frame);
    this.hasPlaced = true;
    return this.#writeOne(encodePlace(slot, frame.length)) && !file.full;
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
    if (this.#waitTimer || this.#shared?.full) return;
    this.#packer?.drained();
    this.#channel.drained();
  }

  #writeOne(bytes: Uint8Array): boolean {
    const taken = this.#socket.writeNow?.(bytes) ?? 0;
    return taken === bytes.length || this.#socket.write(bytes.subarray(taken));
  }

  #writeTwo(packet: Uint8Array, body: Uint8Array): boolean {
    if (body.length < JOINED_BYTES) {
      // A copy is cheaper than a second write, which takes the stream's slow path.
      const joined = new Uint8Array(packet.length + body.length);
      joined.set(packet);
      joined.set(body, packet.length);
      return this.#writeOne(joined);
    }
    this.#socket.cork();
    this.#socket.write(packet);
    const more = this.#socket.write(body);
    this.#socket.uncork();
    // Uncorking has written the bytes, or found that they wait.
    return more && !this.#socket.writableNeedDrain;
  }

  /** Takes bytes that were read from the socket: by this, or by who had it before. */
  push(piece: Uint8Array): void {
    if (this.#gone || this.#broken) return;
    this.#heardAt = monotonicNow();
    try {
      this.#decoder.push(this.#prefaceLeft > 0 ? this.#takePreface(piece) : piece);
    } catch (error) {
      this.#broken = true;
      this.#events.onBroken(error as Error);
      return;
    }
    if (this.#channel.owesAck) {
      this.#ackTimer ??= unref(
        setTimeout(() => {
          this.#ackTimer = undefined;
          this.#channel.acknowledge();
        }, ACK_DELAY_MS),
      );
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
    const timer = withinMs ? unref(setTimeout(() => this.#socket.destroy(), withinMs)) : undefined;
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
    this.#offered?.forget();
    this.#offered?.close();
    this.#shared?.close();
    // Read on all the same: a socket with unread bytes is reset when it closes, and what was written is lost.
    this.#socket.resume();
  }

  #receive(packet: Uint8Array): void {
    if (this.#gone || this.#broken) return;
    const kind = packet[0];
    const body = packet.subarray(1);
    // Before the channel hears of it, which sends what there is room for now.
    const wasFull = kind === PACKET.ack && this.#shared?.release(decodeCount(body));
    if (kind === PACKET.placed) this.#takePlaced(body);
    else if (kind === PACKET.offer && this.#openShared) this.#answer(body, this.#openShared);
    else if (kind === PACKET.answer && this.#hasOffered) this.#answered(body);
    else if (this.#packer) this.#receivePacked(kind, body, this.#packer);
    else if (!this.#channel.receive(kind, body)) this.#events.onPacket(kind, body);
    if (wasFull && !this.#socket.writableNeedDrain) this.#drained();
  }

  #receivePacked(kind: number | undefined, body: Uint8Array, packer: FramePacker): void {
    if (kind === PACKET.packed) {
      const frame = packer.unpack(body);
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

  #answer(body: Uint8Array, open: (name: string) => SharedFile | undefined): void {
    if (this.#shared) throw new ProtocolError('a second file is offered');
    const { name } = decodeObject(body);
    // A TCP connection may have something in between, which nothing is to go past.
    if (typeof name === 'string' && this.#socket.remotePort === undefined) this.#share(open(name));
    if (this.#mayBeSilent) clearInterval(this.#pingTimer);
    this.write(encodePacket(PACKET.answer, Uint8Array.of(this.#shared ? 1 : 0)));
  }

  #answered([opened]: Uint8Array): void {
    const file = this.#offered;
    this.#hasOffered = false;
    this.#offered = undefined;
    file?.forget();
    if (opened === 1) this.#share(file);
    else file?.close();
  }

  /** The peer is on this machine then: the system says when it is gone, and it may be silent meanwhile. */
  #share(file: SharedFile | undefined): void {
    this.#shared = file;
    if (file) clearInterval(this.#pingTimer);
  }

  #takePlaced(body: Uint8Array): void {
    const { slot, length } = decodePlace(body);
    if (!this.#shared) throw new ProtocolError('no file is shared');
    this.#channel.receive(PACKET.data, this.#shared.take(slot, length));
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
    const now = monotonicNow();
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
