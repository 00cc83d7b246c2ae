import { InferenceError, invalid } from '../service/service.js';

/** How a field lies in a message of protobuf. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads the fields of one message of protobuf, in their order. Nothing is copied. */
export class WireReader {
  /** The field that `next` found. */
  field = 0;
  wire = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Goes on to the next field. @returns false at the end. */
  next(): boolean {
    if (this.#at === this.#bytes.length) return false;
    const tag = this.number();
    this.field = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.field === 0 || this.field > 2 ** 29) throw broken();
    return true;
  }

  /** @throws InferenceError invalid where the field lies otherwise than it should. */
  expect(wire: number): void {
    if (this.wire !== wire) throw broken();
  }

  /** An integer, as a number: of one beyond 2^53 the upper bits may be wrong. */
  number(): number {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return low;
    }
    let high = 0;
    for (let shift = 0; shift < 42; shift += 7) {
      const byte = this.#byte();
      high += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return high * 2 ** 28 + low;
    }
    throw broken();
  }

  /** An integer with a sign, of 64 bits; undefined beyond 2^53. */
  signed(): number | undefined {
    const value = BigInt.asIntN(64, this.big());
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : undefined;
  }

  /** An integer of 64 bits, without a sign. */
  big(): bigint {
    const start = this.#at;
    const value = this.number();
    if (this.#at - start <= 7) return BigInt(value);
    let exact = 0n;
    for (let at = this.#at - 1; at >= start; at -= 1) {
      exact = (exact << 7n) | BigInt((this.#bytes[at] as number) & 0x7f);
    }
    return BigInt.asUintN(64, exact);
  }

  /** The low 32 bits of an integer, as they are in memory. */
  low32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken();
  }

  float64(): number {
    return this.#view.getFloat64(this.#skip(8), true);
  }

  bytes(): Uint8Array {
    return this.fixed(this.number());
  }

  /** The next so many bytes, of a number of fixed length. */
  fixed(length: number): Uint8Array {
    const from = this.#skip(length);
    return this.#bytes.subarray(from, from + length);
  }

  text(): string {
    this.expect(WIRE.bytes);
    try {
      return utf8.decode(this.bytes());
    } catch (error) {
      if (error instanceof InferenceError) throw error;
      throw invalid('the message has a text that is no UTF-8');
    }
  }

  message(): WireReader {
    this.expect(WIRE.bytes);
    return new WireReader(this.bytes());
  }

  /** Leaves out the value of a field that nobody knows. */
  skip(): void {
    switch (this.wire) {
      case WIRE.varint:
        this.low32();
        break;
      case WIRE.fixed64:
        this.#skip(8);
        break;
      case WIRE.bytes:
        this.#skip(this.number());
        break;
      case WIRE.fixed32:
        this.#skip(4);
        break;
      default:
        throw broken();
    }
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw broken();
    this.#at += 1;
    return byte;
  }

  #skip(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw broken();
    this.#at += length;
    return from;
  }
}

function broken(): InferenceError {
  return invalid('the message is not one of protobuf: it ends too early, or has a field that cannot be');
}
