import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web/webgpu';
import {
  type Datatype,
  elements,
  type Tensor,
  type TensorDeclaration,
  type TypedArray,
} from '../service/tensor.js';
import { RunError } from './lane.js';

/** A tensor of ONNX Runtime in this thread's memory, as its constructor takes it. */
export interface HostTensor {
  readonly type: OrtTensor.Type;
  readonly data: TypedArray | readonly string[];
  readonly dims: readonly number[];
}

const TYPES: Readonly<Record<Datatype, OrtTensor.Type>> = {
  BOOL: 'bool',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
};
const DATATYPES = new Map(Object.entries(TYPES).map(([datatype, type]) => [type, datatype as Datatype]));

/** ONNX Runtime has these on the GPU; the others stay in the worker's memory. */
const ON_GPU: ReadonlySet<Datatype> = new Set(['BOOL', 'UINT8', 'INT32', 'UINT32', 'INT64', 'FP16', 'FP32']);

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function isOnGpu(datatype: Datatype): boolean {
  return ON_GPU.has(datatype);
}

export function ortType(datatype: Datatype): OrtTensor.Type {
  return TYPES[datatype];
}

/** @throws RunError where an element of BYTES is not text, which is all that models take */
export function toOrt({ name, datatype, shape, data }: Tensor): HostTensor {
  const type = TYPES[datatype];
  if (data instanceof Uint8Array) return { type, data: elements(datatype, data), dims: shape };
  try {
    return { type, data: data.map((each) => decoder.decode(each)), dims: shape };
  } catch {
    throw new RunError(`An element of "${name}" is not UTF-8: of BYTES, models take text only.`);
  }
}

/** The tensor has the memory of ONNX Runtime's. */
export function fromOrt(name: string, { type, data, dims }: HostTensor): Tensor {
  const datatype = datatypeOf(type, name);
  if (!ArrayBuffer.isView(data))
    return { name, datatype, shape: dims, data: data.map((each) => encoder.encode(each)) };
  const { buffer, byteOffset, byteLength } = data;
  return { name, datatype, shape: dims, data: new Uint8Array(buffer, byteOffset, byteLength) };
}

/** @throws RunError for a type that the Open Inference Protocol does not have */
export function datatypeOf(type: OrtTensor.Type, name: string): Datatype {
  const datatype = DATATYPES.get(type);
  if (!datatype) throw new RunError(`"${name}" is of the type ${type}, which clients cannot send or get.`);
  return datatype;
}

/** @throws RunError where it is no tensor, or of a type that the Open Inference Protocol does not have */
export function declarationOf(metadata: InferenceSession.ValueMetadata): TensorDeclaration {
  const { name } = metadata;
  if (!metadata.isTensor) throw new RunError(`"${name}" is a sequence or a map: only tensors can be served.`);
  return {
    name,
    datatype: datatypeOf(metadata.type, name),
    shape: metadata.shape.map((length) => (typeof length === 'number' && isLength(length) ? length : -1)),
  };
}

/** ONNX Runtime has a dimension without a name as -1, read as an unsigned number of 32 bits. */
function isLength(length: number): boolean {
  return length >= 0 && length < 2 ** 31;
}
