import { FOREIGN, type Handle } from './handle.js';
import { LIMITS } from './limits.js';

const encoder = new TextEncoder();

/**
 * Appends values to a growing buffer. Integers are LEB128 varints, floats little-endian IEEE 754,
 * strings UTF-8 behind their byte length. `take` hands the bytes over and starts anew.
 */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #length: number;
  readonly #initialCapacity: number;
  readonly #headroom: number;
  readonly #owner: object | undefined;

  /**
   * `owner` is the session whose handles may be written; `headroom` bytes are left free ahead of what
   * is written; `initialCapacity` in bytes is what an ordinary batch fits into without growing.
   */
  constructor(options: { owner?: object; headroom?: number; initialCapacity?: number } = {}) {
    this.#owner = options.owner;
    this.#headroom = options.headroom ?? 0;
    this.#initialCapacity = options.initialCapacity ?? 4096;
    this.#length = this.#headroom;
    this.#bytes = new Uint8Array(this.#initialCapacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.#length - this.#headroom;
  }

  /** The headroom and the bytes written, which belong to the caller from now on. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(this.#initialCapacity);
    this.#view = new DataView(this.#bytes.buffer);
    this.#length = this.#headroom;
    return taken;
  }

  /** Takes back what was written since `length` was this: a value could not be written to its end. */
  truncate(length: number): void {
    this.#length = this.#headroom + length;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  bool(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  /** An unsigned integer below 2^32. */
  u32(value: number): void {
    this.#reserve(5);
    const bytes = this.#bytes;
    let length = this.#length;
    let rest = value;
    while (rest > 0x7f) {
      bytes[length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[length++] = rest;
    this.#length = length;
  }

  /** An unsigned integer up to 2^53 - 1. */
  u64(value: number): void {
    let rest = value;
    if (rest > 0xffffffff) this.#reserve(8);
    while (rest > 0xffffffff) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.u32(rest);
  }

  /** A signed 32-bit integer, zigzag encoded. */
  i32(value: number): void {
    this.u32(((value << 1) ^ (value >> 31)) >>> 0);
  }

  f32(value: number): void {
    this.#reserve(4);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  string(value: string): void {
    if (value.length < 42) {
      // At most 126 bytes of UTF-8, so the length takes one byte and can be filled in afterwards.
      this.#reserve(1 + value.length * 3);
      const at = this.#length + 1;
      const { written } = encoder.encodeInto(value, this.#bytes.subarray(at));
      this.#bytes[this.#length] = written;
      this.#length = at + written;
      return;
    }
    const bytes = encoder.encode(value);
    if (bytes.length > LIMITS.stringBytes) {
      throw new RangeError(
        `A string of ${bytes.length} bytes is over Farlight's limit of ${LIMITS.stringBytes}`,
      );
    }
    this.bytes(bytes);
  }

  /** Copies `value`, so the caller may change it afterwards. Throws RangeError where it is over the limit. */
  bytes(value: Uint8Array): void {
    if (value.byteLength > LIMITS.transferBytes) {
      throw new RangeError(
        `${value.byteLength} bytes at once are over Farlight's limit of ${LIMITS.transferBytes}: transfer them in parts`,
      );
    }
    this.u64(value.byteLength);
    this.#reserve(value.byteLength);
    this.#bytes.set(value, this.#length);
    this.#length += value.byteLength;
  }

  handle(value: Handle): void {
    const written = value.owner === this.#owner ? value : FOREIGN;
    this.u32(written.id);
    this.u32(written.generation);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    // A large upload is taken exactly, rather than doubled; small appends double.
    const grown = new Uint8Array(
      Math.max(needed + 64, Math.min(this.#bytes.length * 2, this.#bytes.length + (1 << 20))),
    );
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
