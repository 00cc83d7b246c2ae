import type { Duplex } from 'node:stream';
import { dataHeader, encodePacket, PACKET_LIMIT, type PacketKind, PREFACE } from '../../proto/wire/packet.js';
import type { Carrier, CarrierEvents } from '../channel/carrier.js';
import { PacketDecoder } from '../channel/packet-decoder.js';
import { DirectSocket } from './direct-socket.js';

/** A shorter body is written in one piece with its header: a copy is cheaper than a second write. */
export const JOINED_BYTES = 4096;

/**
 * A carrier on a socket, by its streams: the executor's end of a pipe, a unix socket or a bridge. It owns the socket.
 */
export class SocketCarrier implements Carrier {
  readonly #socket: Duplex;
  readonly #direct: DirectSocket | undefined;
  readonly #decoder: PacketDecoder;
  #events: CarrierEvents | undefined;
  readonly #greets: boolean;
  #error: Error | undefined;
  #isBroken = false;
  #isEnding = false;
  #isGone = false;

  /** @param greets whether both ends begin with the preface. */
  constructor(given: Duplex, { greets = false }: { greets?: boolean } = {}) {
    this.#direct = DirectSocket.over(given);
    this.#socket = this.#direct ?? given;
    this.#greets = greets;
    const onPacket = (packet: Uint8Array) => this.#receive(packet);
    this.#decoder = new PacketDecoder(
      onPacket,
      PACKET_LIMIT,
      greets ? () => this.#events?.onReached?.() : undefined,
    );
    // The socket may fail before `start`.
    this.#socket.on('error', (error: Error) => {
      this.#error ??= error;
    });
  }

  start(events: CarrierEvents): void {
    this.#events = events;
    const socket = this.#socket;
    const direct = this.#direct;
    socket.on('drain', () => events.onDrain());
    socket.on('end', () => {
      // When closing, the waiting bytes leave first.
      if (!this.#isEnding) this.#finish();
    });
    socket.on('close', () => this.#finish());
    if (this.#greets) this.#write(PREFACE);
    if (direct) direct.deliver({ room: () => this.#decoder.room(), push: (piece) => this.push(piece) });
    else socket.on('data', (piece: Uint8Array) => this.push(piece));
    socket.resume();
  }

  /** Takes bytes of the socket, read here or by the process that had the socket before. */
  push(piece: Uint8Array): void {
    if (this.#isBroken || this.#isEnding || this.#isGone) return;
    try {
      this.#decoder.push(piece);
    } catch (error) {
      this.#isBroken = true;
      this.#events?.onBroken(error as Error);
    }
  }

  send(kind: PacketKind, body: Uint8Array): boolean {
    if (!this.#socket.writable) return true;
    if (body.length < JOINED_BYTES) return this.#write(encodePacket(kind, body));
    return this.#write(dataHeader(body.length, kind), body);
  }

  end(left: () => void = () => {}): void {
    this.#isEnding = true;
    // Continue to read: a socket with unread bytes is reset when it closes, and then the peer loses written bytes.
    this.#socket.resume();
    endSocket(this.#socket, left);
  }

  abort(): void {
    this.#isEnding = true;
    this.#socket.destroy();
  }

  #write(bytes: Uint8Array, more?: Uint8Array): boolean {
    const socket = this.#socket;
    const direct = this.#direct;
    if (!more) {
      const taken = direct?.writeNow(bytes) ?? 0;
      return taken === bytes.length || socket.write(bytes.subarray(taken));
    }
    socket.cork();
    socket.write(bytes);
    const hasRoom = socket.write(more);
    socket.uncork();
    // `uncork` has written the bytes, or they wait now.
    return hasRoom && !socket.writableNeedDrain;
  }

  #receive(packet: Uint8Array): void {
    if (!this.#isBroken && !this.#isEnding) this.#events?.onPacket(packet[0], packet.subarray(1));
  }

  #finish(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#socket.destroy();
    this.#events?.onGone(this.#error);
  }
}

/** Ends the writing side of a socket. Calls `left` once: when all bytes have left, or when the socket closes before that. */
export function endSocket(socket: Duplex, left: () => void): void {
  let isTold = false;
  const tell = () => {
    if (!isTold) left();
    isTold = true;
  };
  socket.once('close', tell);
  socket.end(tell);
}
