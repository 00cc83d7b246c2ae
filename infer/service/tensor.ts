/** The datatypes of the Open Inference Protocol v2. */
export const DATATYPES = [
  'BOOL',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const;

export type Datatype = (typeof DATATYPES)[number];

/** Bytes of one element. Undefined for BYTES: each element has a length of its own. */
export const ELEMENT_BYTES: Readonly<Record<Datatype, number | undefined>> = {
  BOOL: 1,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: undefined,
};

export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /**
   * The elements, row by row, little-endian. Of BYTES: one entry for each element. Nobody writes to them any more. They
   * may lie anywhere in a buffer that has more, as a message does: so they need not be aligned.
   */
  readonly data: Uint8Array | readonly Uint8Array[];
}

/** The length of the first dimension. A scalar is one row. */
export function rowsOf(shape: readonly number[]): number {
  return shape[0] ?? 1;
}

export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Joins bytes in a buffer that holds nothing else. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A tensor of a model or of a graph, as it is declared. A dimension of -1 has any length. */
export interface TensorDeclaration {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** The typed array of each datatype. Elements of FP16 are bits: not every JavaScript has numbers of that size. */
const ARRAYS = {
  BOOL: Uint8Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;
export type TypedArray = InstanceType<(typeof ARRAYS)[keyof typeof ARRAYS]>;

/**
 * The elements in these bytes, which are copied only where their address is not aligned.
 *
 * @param datatype any but BYTES.
 */
export function elements(datatype: Datatype, bytes: Uint8Array): TypedArray {
  const Elements = ARRAYS[datatype as Exclude<Datatype, 'BYTES'>];
  const { buffer, byteOffset, byteLength } = bytes;
  const aligned = byteOffset % Elements.BYTES_PER_ELEMENT === 0;
  const length = Math.floor(byteLength / Elements.BYTES_PER_ELEMENT);
  return aligned
    ? new Elements(buffer as ArrayBuffer, byteOffset, length)
    : new Elements(new Uint8Array(bytes).buffer, 0, length);
}
