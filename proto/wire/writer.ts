import { FRAME } from './flush.js';
import type { Handle } from './handle.js';
import { LIMITS } from './limits.js';
import { frameMemory } from './memory.js';

const encoder = new TextEncoder();

/** A frame's first byte says what it is. */
const FRAME_HEADER = 1;

/** A flush of one frame that is shorter is copied out, so that its memory serves for the next one. */
const COPIED_BYTES = 512;

/**
 * Appends values to a flush, and gives it out as frames. Integers are LEB128 varints, floats
 * little-endian IEEE 754, strings UTF-8 behind their byte length. Bytes are copied once, into the frames
 * that leave.
 */
export class Writer {
  readonly #frameBytes: number;
  readonly #initialCapacity: number;
  /** Full frames of this flush, and the bytes of values in them. */
  #frames: Uint8Array[] = [];
  #framed = 0;
  /** The frame that is being filled, and how far. */
  #bytes: Uint8Array;
  #view: DataView;
  #length = FRAME_HEADER;

  /**
   * `initialCapacity` has room for an ordinary flush, in bytes; `frameBytes` is the longest frame.
   */
  constructor(options: { initialCapacity?: number; frameBytes?: number } = {}) {
    this.#frameBytes = options.frameBytes ?? LIMITS.frameBytes;
    this.#initialCapacity = Math.min(options.initialCapacity ?? 4096, this.#frameBytes);
    this.#bytes = new Uint8Array(this.#initialCapacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.#framed + this.#length - FRAME_HEADER;
  }

  /** The flush's frames, which belong to the caller from now on. */
  take(): Uint8Array[] {
    if (this.#frames.length === 0 && this.#length < COPIED_BYTES) {
      this.#bytes[0] = FRAME.whole;
      const frame = this.#bytes.slice(0, this.#length);
      this.#length = FRAME_HEADER;
      return [frame];
    }
    const last = this.#bytes.subarray(0, this.#length);
    // First: where there is no memory for it, nothing is taken.
    this.#begin(this.#initialCapacity);
    const frames = this.#frames;
    frames.push(last);
    for (const frame of frames) frame[0] = FRAME.part;
    (frames[frames.length - 1] as Uint8Array)[0] = frames.length === 1 ? FRAME.whole : FRAME.last;
    this.#frames = [];
    this.#framed = 0;
    return frames;
  }

  /** Removes everything after this `length`, if a value could not be written to its end. */
  truncate(length: number): void {
    while (length < this.#framed) {
      const frame = this.#frames.pop() as Uint8Array;
      this.#framed -= frame.length - FRAME_HEADER;
      this.#bytes = frame;
      this.#view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    }
    this.#length = FRAME_HEADER + length - this.#framed;
  }

  /** Whether the flush so far is exactly these bytes; for a flush of one frame. */
  equals(bytes: Uint8Array): boolean {
    if (this.length !== bytes.length) return false;
    const written = this.#bytes;
    for (let at = 0; at < bytes.length; at += 1) {
      if (written[at + FRAME_HEADER] !== bytes[at]) return false;
    }
    return true;
  }

  /** A view of the written bytes, for a flush of one frame. The next write overwrites them. */
  get content(): Uint8Array {
    return this.#bytes.subarray(FRAME_HEADER, this.#length);
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

  /** Throws RangeError where it is over the limit. */
  string(value: string): void {
    if (value.length < 42) {
      // At most 126 bytes of UTF-8, so the length takes one byte and can be filled in afterwards.
      this.#reserve(1 + value.length * 3);
      const at = this.#length + 1;
      const { written } = encoder.encodeInto(value, this.#bytes.subarray(at));
      this.#bytes[this.#length] = written + 1;
      this.#length = at + written;
      return;
    }
    this.longString(encoder.encode(value));
  }

  /** A string of more than some bytes; its length is written as one more, for 0 has a meaning of its own. */
  protected longString(bytes: Uint8Array): void {
    checkString(bytes);
    this.u32(bytes.length + 1);
    this.append(bytes);
  }

  /** Copies `value`, so the caller may change it afterwards. Throws RangeError where it is over the limit. */
  bytes(value: Uint8Array): void {
    checkTransfer(value);
    this.u64(value.byteLength);
    this.append(value);
  }

  /** Throws where this writer takes none: only a command names objects. */
  handle(_value: Handle): void {
    throw new TypeError('handles are written by a CommandWriter alone');
  }

  /** The bytes of `value` and nothing else. */
  append(value: Uint8Array): void {
    for (let at = 0; at < value.byteLength; ) {
      if (this.#length === this.#frameBytes) this.#closeFrame();
      const part = value.subarray(at, at + this.#frameBytes - this.#length);
      this.#grow(this.#length + part.length);
      this.#bytes.set(part, this.#length);
      this.#length += part.length;
      at += part.length;
    }
  }

  /** Makes room for a value of at most `count` bytes, in this frame or the next. */
  #reserve(count: number): void {
    if (this.#length + count > this.#frameBytes) this.#closeFrame();
    if (this.#length + count > this.#bytes.length) this.#grow(this.#length + count);
  }

  #closeFrame(): void {
    const full = this.#bytes.subarray(0, this.#length);
    this.#begin(this.#frameBytes);
    this.#frames.push(full);
    this.#framed += full.length - FRAME_HEADER;
  }

  /** Begins another frame. Throws RangeError, and changes nothing, where there is no memory for it. */
  #begin(capacity: number): void {
    this.#bytes = frameMemory(capacity);
    this.#view = new DataView(this.#bytes.buffer);
    this.#length = FRAME_HEADER;
  }

  #grow(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const grown = frameMemory(Math.min(Math.max(needed, this.#bytes.length * 2), this.#frameBytes));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Throws RangeError where a string of these bytes is too long for the wire. */
export function checkString(bytes: Uint8Array): void {
  if (bytes.length > LIMITS.stringBytes) {
    throw new RangeError(
      `A string of ${bytes.length} bytes is over Farlight's limit of ${LIMITS.stringBytes}`,
    );
  }
}

/** Throws RangeError where these bytes are too many for one transfer. */
export function checkTransfer(value: Uint8Array): void {
  if (value.byteLength > LIMITS.transferBytes) {
    throw new RangeError(
      `${value.byteLength} bytes at once are over Farlight's limit of ${LIMITS.transferBytes}: transfer them in parts`,
    );
  }
}
