import { ProtocolError } from '../errors.js';
import { LIMITS } from './limits.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The operands and payloads of a command, which its shape leaves out. A `Reader` knows the wire and not the objects, so
 * the reader of commands brings its own.
 */
export interface Operands<O> {
  /** The next object; `kinds` are the interfaces that it may have. */
  object(kinds: readonly string[]): O;
  /** The next payload. */
  bytes(): Uint8Array;
  /** The next payload, where a string is expected. */
  string(): string;
}

/**
 * Reads the values that `Writer` wrote. It checks every read against the end of the bytes and against the limits. If a
 * check fails, it throws a ProtocolError. Do not use it after that.
 */
export class Reader<O = never> {
  readonly #bytes: Uint8Array;
  /** Made for the first float: most messages have none. */
  #view: DataView | undefined;
  readonly #operands: Operands<O> | undefined;
  #offset = 0;

  constructor(bytes: Uint8Array, operands?: Operands<O>) {
    // Never a Buffer, whose `slice` returns a view and not a copy.
    this.#bytes =
      bytes.constructor === Uint8Array
        ? bytes
        : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#operands = operands;
  }

  get done(): boolean {
    return this.#offset === this.#bytes.length;
  }

  u8(): number {
    return this.#bytes[this.#advance(1)] as number;
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) throw new ProtocolError(`${value} is not a boolean`);
    return value === 1;
  }

  u32(): number {
    const value = this.u64();
    if (value > 0xffffffff) throw new ProtocolError(`${value} does not fit 32 bits`);
    return value;
  }

  u64(): number {
    let value = this.u8();
    if (value < 0x80) return value;
    value &= 0x7f;
    for (let scale = 0x80; ; scale *= 0x80) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new ProtocolError('An integer is over 2^53 - 1');
      if (byte < 0x80) return value;
      // Beyond 8 groups of 7 bits nothing can add to a safe integer: a longer one is padding.
      if (scale > 2 ** 49) throw new ProtocolError('An integer is encoded in too many bytes');
    }
  }

  i32(): number {
    const value = this.u32();
    return (value >>> 1) ^ -(value & 1);
  }

  f32(): number {
    const at = this.#advance(4);
    return this.#floats().getFloat32(at, true);
  }

  f64(): number {
    const at = this.#advance(8);
    return this.#floats().getFloat64(at, true);
  }

  string(): string {
    const length = this.u32();
    if (length > 0) return decodeString(this.take(length - 1, LIMITS.stringBytes));
    if (this.#operands === undefined)
      throw new ProtocolError('A string came as a payload where none is allowed');
    return this.#operands.string();
  }

  /** A view of the next bytes, or a command's next payload. */
  bytes(): Uint8Array {
    return this.#operands ? this.#operands.bytes() : this.take(this.u64(), LIMITS.transferBytes);
  }

  /** The number of elements that follow: each takes at least one byte, or an operand. */
  count(): number {
    const count = this.u32();
    if (count > LIMITS.elements)
      throw new ProtocolError(`${count} elements are over the limit of ${LIMITS.elements}`);
    const left = this.#bytes.length - this.#offset + (this.#operands ? LIMITS.operands : 0);
    if (count > left) throw new ProtocolError(`${count} elements do not fit the frame`);
    return count;
  }

  /** The position of a value in a table of `length` entries, for enums and union tags. */
  index(length: number): number {
    const index = this.u32();
    if (index >= length) throw new ProtocolError(`${index} is outside a table of ${length}`);
    return index;
  }

  handle(kind: string): O {
    return this.handleOfAny([kind]);
  }

  handleOfAny(kinds: readonly string[]): O {
    if (this.#operands === undefined) throw new ProtocolError('A handle came where none is allowed');
    return this.#operands.object(kinds);
  }

  /** A view of the next `length` bytes. More than `limit` are an error. */
  take(length: number, limit: number): Uint8Array {
    if (length > limit) throw new ProtocolError(`${length} bytes are over the limit of ${limit}`);
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  #floats(): DataView {
    const { buffer, byteOffset, byteLength } = this.#bytes;
    this.#view ??= new DataView(buffer, byteOffset, byteLength);
    return this.#view;
  }

  #advance(count: number): number {
    const at = this.#offset;
    if (count > this.#bytes.length - at) throw new ProtocolError('A frame ends in the middle of a value');
    this.#offset = at + count;
    return at;
  }
}

export function readSequence<O, T>(r: Reader<O>, read: () => T): T[] {
  const count = r.count();
  const result: T[] = [];
  for (let index = 0; index < count; index += 1) result.push(read());
  return result;
}

export function readRecord<O, T>(r: Reader<O>, read: () => T): Record<string, T> {
  const count = r.count();
  const result: Record<string, T> = Object.create(null);
  for (let index = 0; index < count; index += 1) {
    const key = r.string();
    result[key] = read();
  }
  return result;
}

/** Throws ProtocolError if the bytes are not UTF-8. */
export function decodeString(bytes: Uint8Array): string {
  if (bytes.length > LIMITS.stringBytes)
    throw new ProtocolError(`a string of ${bytes.length} bytes is over the limit of ${LIMITS.stringBytes}`);
  try {
    return decoder.decode(bytes);
  } catch {
    throw new ProtocolError('A string is not valid UTF-8');
  }
}
