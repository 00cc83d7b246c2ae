import { elementsOf, quoted, RANGES, type TensorHead } from '../protocol/tensor-coding.js';
import { type InferenceError, invalid } from '../service/service.js';
import { type Datatype, ELEMENT_BYTES, type Tensor } from '../service/tensor.js';
import { WIRE, WireReader } from './wire-reader.js';

/** The fields of InferTensorContents, by number. */
const FIELDS = [
  'bool_contents',
  'int_contents',
  'int64_contents',
  'uint_contents',
  'uint64_contents',
  'fp32_contents',
  'fp64_contents',
  'bytes_contents',
] as const;

const FIELD_OF: Readonly<Record<Datatype, (typeof FIELDS)[number] | undefined>> = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP16: undefined,
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
};

/**
 * The tensor whose elements an InferTensorContents has. The message is read where it lies: as objects, its elements would
 * take many times the memory.
 *
 * @throws InferenceError invalid
 */
export function tensorFromContents(head: TensorHead, contents: Uint8Array | undefined): Tensor {
  const count = elementsOf(head);
  const { name, datatype } = head;
  const wanted = FIELD_OF[datatype];
  if (wanted === undefined) {
    throw invalid(`input ${quoted(name)} is FP16, which has no contents; send it in raw_input_contents`);
  }
  const elements = datatype === 'BYTES' ? new Texts(count) : new Elements(datatype, count);
  const reader = new WireReader(contents ?? new Uint8Array());
  while (reader.next()) {
    const field = FIELDS[reader.field - 1];
    if (field === undefined) reader.skip();
    else if (field === wanted) elements.take(reader, head);
    else
      throw invalid(`input ${quoted(name)} is ${datatype}, which is sent in ${wanted}, and not in ${field}`);
  }
  if (elements.taken !== count) throw wrongCount(head, count, `${elements.taken}`);
  return { ...head, data: elements.data };
}

class Texts {
  readonly data: Uint8Array[] = [];
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  get taken(): number {
    return this.data.length;
  }

  take(reader: WireReader, head: TensorHead): void {
    reader.expect(WIRE.bytes);
    if (this.taken === this.#count) throw wrongCount(head, this.#count, 'more');
    this.data.push(new Uint8Array(reader.bytes()));
  }
}

/** Elements of a fixed length. They take memory as they come, since the shape is nothing but a claim. */
class Elements {
  taken = 0;
  readonly #datatype: Datatype;
  readonly #count: number;
  readonly #size: number;
  #bytes: Uint8Array;
  #view: DataView;

  constructor(datatype: Datatype, count: number) {
    this.#datatype = datatype;
    this.#count = count;
    this.#size = ELEMENT_BYTES[datatype] ?? 0;
    this.#bytes = new Uint8Array(0);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get data(): Uint8Array {
    return this.#bytes;
  }

  /** Takes one element, or a run of them. */
  take(reader: WireReader, head: TensorHead): void {
    const fixed =
      this.#datatype === 'FP32' ? WIRE.fixed32 : this.#datatype === 'FP64' ? WIRE.fixed64 : undefined;
    if (fixed !== undefined) {
      const run = reader.wire === WIRE.bytes ? reader.bytes() : this.#one(reader, fixed);
      if (run.length % this.#size !== 0) throw invalid(`input ${quoted(head.name)} ends within an element`);
      const at = this.#grow(run.length / this.#size, head);
      this.#bytes.set(run, at);
      return;
    }
    if (reader.wire !== WIRE.bytes) {
      reader.expect(WIRE.varint);
      this.#put(reader, this.#grow(1, head), head);
      return;
    }
    const packed = reader.bytes();
    let integers = 0;
    for (const byte of packed) if (byte < 0x80) integers += 1;
    let at = this.#grow(integers, head);
    const run = new WireReader(packed);
    for (; !run.ended; at += this.#size) this.#put(run, at, head);
  }

  #one(reader: WireReader, wire: number): Uint8Array {
    reader.expect(wire);
    return reader.fixed(this.#size);
  }

  /** Makes room for more elements. @returns where the first of them goes, in bytes. */
  #grow(more: number, head: TensorHead): number {
    const at = this.taken * this.#size;
    this.taken += more;
    if (this.taken > this.#count) throw wrongCount(head, this.#count, 'more');
    const needed = this.taken * this.#size;
    if (needed > this.#bytes.length) {
      // A run that is whole gets exactly its memory. Elements one by one double it.
      const whole = this.#count * this.#size;
      const bytes = new Uint8Array(Math.min(whole, at === 0 ? needed : Math.max(needed, 2 * at)));
      bytes.set(this.#bytes);
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    return at;
  }

  #put(reader: WireReader, at: number, { name }: TensorHead): void {
    switch (this.#datatype) {
      case 'BOOL':
        this.#bytes[at] = reader.low32() === 0 ? 0 : 1;
        return;
      case 'INT64':
      case 'UINT64':
        this.#view.setBigUint64(at, reader.big(), true);
        return;
      default: {
        const bits = reader.low32();
        const value = this.#datatype.startsWith('U') ? bits >>> 0 : bits;
        // Integers of 8 and 16 bits come in a field for integers of 32 bits.
        const [least, greatest] = RANGES[this.#datatype] as readonly [number, number];
        if (value < least || value > greatest) {
          throw invalid(`input ${quoted(name)} is ${this.#datatype}, and has the element ${value}`);
        }
        if (this.#size === 4) this.#view.setInt32(at, bits, true);
        else if (this.#size === 2) this.#view.setInt16(at, bits, true);
        else this.#view.setInt8(at, bits);
      }
    }
  }
}

function wrongCount({ name, shape }: TensorHead, count: number, taken: string): InferenceError {
  return invalid(`input ${quoted(name)} has ${taken} elements, and its shape [${shape}] needs ${count}`);
}
