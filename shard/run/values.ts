// Tensors as bytes: how they are cut into regions, joined again, and added up.
import type { Tensor } from 'onnxruntime-web/wasm';
import { halfOf, numberOfHalf } from '../../proto/half.js';
import { elementsOf, lengthsOf, type Region } from '../layout/region.js';

/** A tensor on its way between the client and a host. `type` is ONNX Runtime's name of its type. */
export interface Values {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: Uint8Array<ArrayBuffer>;
}

/** How the values of a type lie in memory. ONNX Runtime has booleans as bytes, and half precision as its bits. */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
} as const;

type Numbers = InstanceType<(typeof ARRAYS)[keyof typeof ARRAYS]>;

/** The values as ONNX Runtime takes them. The bytes must begin at an address that the type allows. */
export function arrayOf(type: string, data: Uint8Array<ArrayBuffer>): Numbers {
  const make = makerOf(type);
  return new make(data.buffer, data.byteOffset, data.byteLength / make.BYTES_PER_ELEMENT);
}

export function bytesPerElement(type: string): number {
  return makerOf(type).BYTES_PER_ELEMENT;
}

function makerOf(type: string) {
  const make = ARRAYS[type as keyof typeof ARRAYS];
  if (!make) throw new TypeError(`tensors of type ${type} cannot run over several hosts`);
  return make;
}

/** A copy of an ONNX Runtime tensor that lies in this process. */
export function valuesOf({ type, dims, data }: Pick<Tensor, 'type' | 'dims' | 'data'>): Values {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return { type, dims: [...dims], data: new Uint8Array(buffer, byteOffset, byteLength).slice() };
}

/** The region of a tensor, as a tensor of its own. Nothing is copied if it is the whole tensor. */
export function cut(whole: Values, region: Region): Values {
  const dims = lengthsOf(region);
  if (dims.every((size, axis) => size === whole.dims[axis])) return whole;
  return {
    type: whole.type,
    dims,
    data: cutBytes(whole.data, whole.dims, region, bytesPerElement(whole.type)),
  };
}

/** The bytes of a region of a tensor. */
export function cutBytes(
  whole: Uint8Array,
  dims: readonly number[],
  region: Region,
  size: number,
): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(elementsOf(region) * size);
  copyRuns(dims, region, size, (at, offset, length) => data.set(whole.subarray(at, at + length), offset));
  return data;
}

/** Copies a part into a region of a tensor. */
export function place(whole: Values, region: Region, part: Uint8Array): void {
  copyRuns(whole.dims, region, bytesPerElement(whole.type), (at, offset, length) =>
    whole.data.set(part.subarray(offset, offset + length), at),
  );
}

/** Calls `copy` for each run of bytes of a region, with its offset in the whole tensor, and in the region. */
function copyRuns(
  dims: readonly number[],
  { start, end }: Region,
  size: number,
  copy: (at: number, offset: number, length: number) => void,
): void {
  // Axes behind the last one that is cut lie together.
  let inner = dims.length;
  let run = size;
  while (inner > 0 && start[inner - 1] === 0 && end[inner - 1] === dims[inner - 1]) {
    inner -= 1;
    run *= dims[inner] as number;
  }
  const last = inner - 1;
  const length = last < 0 ? run : run * ((end[last] as number) - (start[last] as number));
  if (length === 0) return;
  let offset = 0;
  const visit = (axis: number, at: number): void => {
    if (axis >= last) {
      copy((last < 0 ? 0 : at + (start[last] as number)) * run, offset, length);
      offset += length;
      return;
    }
    for (let index = start[axis] as number; index < (end[axis] as number); index += 1)
      visit(axis + 1, (at + index) * (dims[axis + 1] as number));
  };
  visit(0, 0);
}

/** Adds up tensors of one shape, in their order, each sum rounded to their type. */
export function sum(terms: readonly Values[]): Values {
  const [first, ...others] = terms as readonly [Values, ...Values[]];
  if (others.length === 0) return first;
  const data = first.data.slice();
  const total = arrayOf(first.type, data);
  for (const other of others) {
    const more = arrayOf(first.type, other.data);
    if (first.type === 'float16') addHalves(total as Uint16Array, more as Uint16Array);
    else if (total instanceof BigInt64Array || total instanceof BigUint64Array)
      for (let at = 0; at < total.length; at += 1) total[at] = (total[at] as bigint) + (more[at] as bigint);
    else
      for (let at = 0; at < total.length; at += 1)
        (total as Float32Array)[at] = ((total as Float32Array)[at] as number) + (more[at] as number);
  }
  return { ...first, data };
}

function addHalves(total: Uint16Array, more: Uint16Array): void {
  for (let at = 0; at < total.length; at += 1)
    total[at] = halfOf(numberOfHalf(total[at] as number) + numberOfHalf(more[at] as number));
}
