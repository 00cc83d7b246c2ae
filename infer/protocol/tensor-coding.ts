import { halfOf, numberOfHalf } from '../../proto/half.js';
import { InferenceError, invalid } from '../service/service.js';
import {
  DATATYPES,
  type Datatype,
  ELEMENT_BYTES,
  elements,
  type Tensor,
  type TypedArray,
} from '../service/tensor.js';

/** A tensor of a request or of an answer, without its elements. */
export interface TensorHead {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** The most dimensions, and the longest one. */
const MOST_DIMENSIONS = 32;
const LONGEST_DIMENSION = 2 ** 31 - 1;
/** Each element of BYTES is an object of its own, which takes many times the four bytes that it has at least. */
const MOST_BYTES_ELEMENTS = 1 << 20;
const LENGTH_BYTES = 4;

/** The least and the greatest number of each datatype of 8, 16 and 32 bits. */
export const RANGES: Readonly<Partial<Record<Datatype, readonly [least: number, greatest: number]>>> = {
  INT8: [-(2 ** 7), 2 ** 7 - 1],
  INT16: [-(2 ** 15), 2 ** 15 - 1],
  INT32: [-(2 ** 31), 2 ** 31 - 1],
  UINT8: [0, 2 ** 8 - 1],
  UINT16: [0, 2 ** 16 - 1],
  UINT32: [0, 2 ** 32 - 1],
};
const RANGES_64 = { INT64: [-(2n ** 63n), 2n ** 63n - 1n], UINT64: [0n, 2n ** 64n - 1n] } as const;

/** An integer that may be a string, since JavaScript's JSON parser would round it. */
const LONG_INTEGER = /^-?\d{16,}$/;

/** JSON has no numbers for these. */
const NOT_FINITE: ReadonlyMap<unknown, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * An integer of 64 bits that JavaScript's JSON parser has rounded: it keeps 53 bits. The reader of the text can read
 * it once more with such integers as strings.
 */
export class RoundedInteger extends InferenceError {
  constructor(name: string) {
    super('invalid', `input "${name}" has an integer beyond 2^53; write it as a string, or send binary data`);
  }
}

/** @throws InferenceError invalid */
export function tensorHead(name: unknown, datatype: unknown, shape: unknown): TensorHead {
  if (typeof name !== 'string' || name === '') throw invalid('each input needs a name');
  if (!DATATYPES.some((each) => each === datatype)) {
    throw invalid(
      `input ${quoted(name)} has the datatype ${shown(datatype)}; there are ${DATATYPES.join(', ')}`,
    );
  }
  if (!Array.isArray(shape)) throw invalid(`input ${quoted(name)} needs a shape, for example [1, 16]`);
  if (shape.length > MOST_DIMENSIONS) {
    throw invalid(
      `input ${quoted(name)} has ${shape.length} dimensions; at most ${MOST_DIMENSIONS} are possible`,
    );
  }
  const wrong = shape.find((each) => !Number.isInteger(each) || each < 0 || each > LONGEST_DIMENSION);
  if (wrong !== undefined) {
    throw invalid(
      `input ${quoted(name)} has the dimension ${shown(wrong)}; each is a whole number from 0 to ${LONGEST_DIMENSION}`,
    );
  }
  return { name, datatype: datatype as Datatype, shape };
}

/** How many elements a tensor of this shape has. @throws InferenceError invalid where they cannot be counted. */
export function elementsOf({ name, datatype, shape }: TensorHead): number {
  let count = 1;
  for (const each of shape) count *= each;
  if (!Number.isSafeInteger(count)) {
    throw invalid(
      `input ${quoted(name)} has more elements than any machine can hold: its shape is [${shape}]`,
    );
  }
  if (datatype === 'BYTES' && count > MOST_BYTES_ELEMENTS) {
    throw invalid(
      `input ${quoted(name)} has ${count} elements of BYTES; at most ${MOST_BYTES_ELEMENTS} are possible`,
    );
  }
  return count;
}

/**
 * The tensor whose elements these bytes are. They stay where they are.
 *
 * @throws InferenceError invalid
 */
export function tensorFromBinary(head: TensorHead, bytes: Uint8Array): Tensor {
  const count = elementsOf(head);
  // No Buffer: its `slice` does not copy.
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  if (head.datatype === 'BYTES') return { ...head, data: readLengths(head, count, data) };
  const needed = count * (ELEMENT_BYTES[head.datatype] ?? 0);
  if (bytes.length !== needed) {
    throw invalid(
      `input ${quoted(head.name)} has ${bytes.length} bytes, and its shape [${head.shape}] of ${head.datatype} needs ${needed}`,
    );
  }
  if (head.datatype === 'BOOL' && data.some((each) => each > 1)) {
    throw invalid(`input ${quoted(head.name)} has a byte that is neither 0 nor 1, as BOOL needs`);
  }
  return { ...head, data };
}

/** The elements as binary data. */
export function tensorToBinary({ data }: Tensor): Uint8Array {
  if (data instanceof Uint8Array) return data;
  let total = 0;
  for (const each of data) total += LENGTH_BYTES + each.length;
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const each of data) {
    view.setUint32(at, each.length, true);
    bytes.set(each, at + LENGTH_BYTES);
    at += LENGTH_BYTES + each.length;
  }
  return bytes;
}

/** Elements of BYTES, each after its length. */
function readLengths(head: TensorHead, count: number, bytes: Uint8Array): Uint8Array[] {
  const wrong = (what: string) =>
    invalid(`input ${quoted(head.name)} is BYTES, each element after 4 bytes of its length, and ${what}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const elements: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (elements.length === count)
      throw wrong(`has more than the ${count} elements of its shape [${head.shape}]`);
    if (at + LENGTH_BYTES > bytes.length) throw wrong('ends within a length');
    const from = at + LENGTH_BYTES;
    at = from + view.getUint32(at, true);
    if (at > bytes.length) throw wrong(`ends within its element ${elements.length}`);
    elements.push(bytes.subarray(from, at));
  }
  if (elements.length < count) {
    throw wrong(`has ${elements.length} of the ${count} elements of its shape [${head.shape}]`);
  }
  return elements;
}

/**
 * The tensor whose elements are given in JSON: flat, or nested as the shape says.
 *
 * @throws InferenceError invalid
 */
export function tensorFromJson(head: TensorHead, data: unknown): Tensor {
  const count = elementsOf(head);
  if (!Array.isArray(data)) {
    throw invalid(`input ${quoted(head.name)} needs "data": an array, or binary data with binary_data_size`);
  }
  // An allocation is never larger than the data that is there: each array has as many elements as the shape says.
  return { ...head, data: elementsFrom(head, count, rowsOf(head, count, data)) };
}

/** The innermost arrays, in order. */
function rowsOf(head: TensorHead, count: number, data: readonly unknown[]): (readonly unknown[])[] {
  const { shape } = head;
  const nested = shape.length > 1 && Array.isArray(data[0]);
  if (!nested) {
    if (data.length === count) return [data];
    throw invalid(
      `input ${quoted(head.name)} has ${data.length} elements, and its shape [${shape}] needs ${count}`,
    );
  }
  const rows: (readonly unknown[])[] = [];
  const visit = (part: unknown, axis: number): void => {
    if (!Array.isArray(part) || part.length !== shape[axis]) {
      throw invalid(
        `input ${quoted(head.name)} is nested otherwise than its shape [${shape}]; send its elements flat, or nested as the shape says`,
      );
    }
    if (axis === shape.length - 1) rows.push(part);
    else for (const each of part) visit(each, axis + 1);
  };
  visit(data, 0);
  return rows;
}

function elementsFrom(
  head: TensorHead,
  count: number,
  rows: readonly (readonly unknown[])[],
): Tensor['data'] {
  const { datatype } = head;
  const wrong = (value: unknown) =>
    invalid(`input ${quoted(head.name)} is ${datatype}, and has the element ${shown(value)}`);
  switch (datatype) {
    case 'BYTES':
      return rows.flatMap((row) =>
        row.map((value) => {
          if (typeof value !== 'string') throw wrong(value);
          return new TextEncoder().encode(value);
        }),
      );
    case 'BOOL':
      return filled(new Uint8Array(count), rows, (value) => {
        if (value === true || value === 1) return 1;
        if (value === false || value === 0) return 0;
        throw wrong(value);
      });
    case 'INT64':
    case 'UINT64':
      return filled64(head, count, rows, wrong);
    case 'FP16':
    case 'FP32':
    case 'FP64': {
      const narrow = {
        FP16: (value: number) => numberOfHalf(halfOf(value)),
        FP32: Math.fround,
        FP64: Number,
      }[datatype];
      const number = (value: unknown): number => {
        const named = NOT_FINITE.get(value);
        if (named !== undefined) return named;
        // The text was read again for an integer of 64 bits, and long ones are strings then.
        if (typeof value === 'string' && LONG_INTEGER.test(value)) return number(Number(value));
        if (typeof value !== 'number' || !Number.isFinite(narrow(value))) throw wrong(value);
        return value;
      };
      if (datatype === 'FP32') return filled(new Float32Array(count), rows, number);
      if (datatype === 'FP64') return filled(new Float64Array(count), rows, number);
      return filled(new Uint16Array(count), rows, (value) => halfOf(number(value)));
    }
    default: {
      const [least, greatest] = RANGES[datatype] as readonly [number, number];
      const integer = (value: unknown) => {
        if (typeof value !== 'number' || !(value >= least && value <= greatest) || value % 1 !== 0) {
          throw wrong(value);
        }
        return value;
      };
      const bytes = new Uint8Array(count * (ELEMENT_BYTES[datatype] ?? 0));
      return filled(elements(datatype, bytes) as Numbers, rows, integer);
    }
  }
}

type Numbers = Exclude<TypedArray, BigInt64Array | BigUint64Array>;

function filled(
  target: Numbers,
  rows: readonly (readonly unknown[])[],
  convert: (value: unknown) => number,
): Uint8Array {
  let at = 0;
  for (const row of rows) {
    for (const value of row) {
      target[at] = convert(value);
      at += 1;
    }
  }
  return new Uint8Array(target.buffer);
}

/** Integers of 64 bits: numbers up to 2^53, and beyond it strings. */
function filled64(
  { name, datatype }: TensorHead,
  count: number,
  rows: readonly (readonly unknown[])[],
  wrong: (value: unknown) => InferenceError,
): Uint8Array {
  const words = new Int32Array(count * 2);
  const wide = new BigInt64Array(words.buffer);
  const signed = datatype === 'INT64';
  const [least, greatest] = signed ? RANGES_64.INT64 : RANGES_64.UINT64;
  let at = 0;
  for (const row of rows) {
    for (const value of row) {
      if (typeof value === 'number' && Number.isSafeInteger(value) && (signed || value >= 0)) {
        // The low and the high 32 bits: a BigInt for each element would take several times as long.
        words[at * 2] = value;
        words[at * 2 + 1] = Math.floor(value / 2 ** 32);
      } else if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) {
        const integer = BigInt(value);
        if (integer < least || integer > greatest) throw wrong(value);
        wide[at] = BigInt.asIntN(64, integer);
      } else if (typeof value === 'number' && Number.isInteger(value) && (signed || value >= 0)) {
        throw new RoundedInteger(name);
      } else throw wrong(value);
      at += 1;
    }
  }
  return new Uint8Array(words.buffer);
}

/**
 * The elements as the text of a JSON array, flat. Numbers are written with all their digits. NaN and the infinities,
 * which JSON does not have, are strings.
 *
 * @throws InferenceError invalid where an element of BYTES is no UTF-8.
 */
export function tensorToJson({ name, datatype, data }: Tensor): string {
  if (!(data instanceof Uint8Array)) {
    return JSON.stringify(
      data.map((each) => {
        try {
          return utf8.decode(each);
        } catch (cause) {
          const why = `output "${name}" has bytes that are no UTF-8, and JSON cannot hold them; ask for it with "binary_data": true`;
          throw new InferenceError('invalid', why, { cause });
        }
      }),
    );
  }
  if (datatype === 'BOOL') return `[${Array.from(data, (each) => each !== 0).join()}]`;
  const numbers = numbersIn(datatype, data);
  if (numbers instanceof Float32Array || numbers instanceof Float64Array) return floatsToJson(numbers);
  return `[${numbers.join()}]`;
}

/** The elements as numbers, also where they are FP16. */
export function numbersIn(datatype: Datatype, data: Uint8Array): TypedArray {
  const found = elements(datatype, data);
  return datatype === 'FP16' ? Float32Array.from(found as Uint16Array, numberOfHalf) : found;
}

function floatsToJson(floats: Float32Array | Float64Array): string {
  // `join` writes NaN and -0 as no JSON parser reads them back.
  const plain = floats.every((each) => each - each === 0 && !Object.is(each, -0));
  if (plain) return `[${floats.join()}]`;
  const texts = Array.from(floats, (each) => {
    if (Object.is(each, -0)) return '-0';
    return Number.isFinite(each) ? `${each}` : `"${each}"`;
  });
  return `[${texts.join()}]`;
}

/** A value of a request for a message: no message is as long as a request. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'of an array';
  if (typeof value === 'object' && value !== null) return 'of an object';
  return quoted(value);
}

/** A text of a request for a message. */
export function quoted(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
