import { ProtocolError } from '../../proto/errors.js';
import { frameMemory } from '../../proto/wire/memory.js';
import { LENGTH_BYTES, PACKET_LIMIT, PREFACE } from '../../proto/wire/packet.js';

/** The value of each byte of a packet's length. */
const SCALES = [1, 2 ** 8, 2 ** 16, 2 ** 24];
/** How many bytes one read takes if no long packet is arriving. */
const SLAB_BYTES = 64 << 10;
/** A packet with this many missing bytes or more is read into its own memory, without a copy from the slab. */
const LONG_BYTES = 16 << 10;

/**
 * Cuts a stream of bytes into packets. The pieces of the stream may have any length.
 *
 * The decoder only reads a piece during `push`. Each packet has memory of its own, which its receiver owns. If the bytes
 * are read into the memory that `room` returns, a long packet is read in place, and not copied.
 */
export class PacketDecoder {
  readonly #onPacket: (packet: Uint8Array) => void;
  readonly #limit: number;
  readonly #onPreface: (() => void) | undefined;
  #prefaceLeft: number;
  /** The part of the next length that has arrived, and its number of bytes. */
  #length = 0;
  #lengthBytes = 0;
  /** The packet that is arriving, and how many of its bytes are missing. */
  #packet: Uint8Array | undefined;
  #missing = 0;
  /** The memory that `room` returns between long packets. It is used again and again. */
  #slab: Uint8Array | undefined;

  /** With `onPreface`, the peer must begin with the preface. */
  constructor(onPacket: (packet: Uint8Array) => void, limit: number = PACKET_LIMIT, onPreface?: () => void) {
    this.#onPacket = onPacket;
    this.#limit = limit;
    this.#onPreface = onPreface;
    this.#prefaceLeft = onPreface ? PREFACE.length : 0;
  }

  /** Whether the stream is between two packets, where it may end. */
  get atBoundary(): boolean {
    return this.#lengthBytes === 0;
  }

  /** Memory for the next read. Push the bytes that were read into it before any others. */
  room(): Uint8Array {
    if (this.#packet && this.#missing >= LONG_BYTES) return this.#rest(this.#packet);
    this.#slab ??= new Uint8Array(SLAB_BYTES);
    return this.#slab;
  }

  /**
   * Takes the next bytes, and delivers each packet that is complete with them.
   *
   * @throws ProtocolError if the preface is wrong, or a length is over the limit. Do not use the decoder after that.
   */
  push(piece: Uint8Array): void {
    // A Buffer's views are slower to make.
    const bytes = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
    let at = this.#prefaceLeft > 0 ? this.#takePreface(bytes) : 0;
    while (at < bytes.length || (this.#lengthBytes === LENGTH_BYTES && this.#missing === 0)) {
      if (this.#lengthBytes < LENGTH_BYTES) {
        this.#length += (bytes[at++] as number) * (SCALES[this.#lengthBytes] as number);
        if (++this.#lengthBytes === LENGTH_BYTES) this.#begin();
        continue;
      }
      const end = Math.min(at + this.#missing, bytes.length);
      this.#take(bytes, at, end);
      at = end;
    }
  }

  #begin(): void {
    if (this.#length > this.#limit)
      throw new ProtocolError(`a packet of ${this.#length} bytes is longer than the limit of ${this.#limit}`);
    this.#missing = this.#length;
  }

  #take(bytes: Uint8Array, at: number, end: number): void {
    const packet = this.#packet ?? frameMemory(this.#length);
    this.#packet = packet;
    // Bytes that were read in place stay there.
    if (bytes.buffer !== packet.buffer) packet.set(bytes.subarray(at, end), packet.length - this.#missing);
    this.#missing -= end - at;
    if (this.#missing > 0) return;
    // First: the receiver may throw, and the next packet must begin with a clean state.
    this.#length = 0;
    this.#lengthBytes = 0;
    this.#packet = undefined;
    this.#onPacket(packet);
  }

  #rest(packet: Uint8Array): Uint8Array {
    return packet.subarray(packet.length - this.#missing);
  }

  #takePreface(bytes: Uint8Array): number {
    const from = PREFACE.length - this.#prefaceLeft;
    const count = Math.min(this.#prefaceLeft, bytes.length);
    for (let at = 0; at < count; at += 1)
      if (bytes[at] !== PREFACE[from + at]) throw new ProtocolError('no preface');
    this.#prefaceLeft -= count;
    if (this.#prefaceLeft === 0) this.#onPreface?.();
    return count;
  }
}
