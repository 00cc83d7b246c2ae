import {
  DATATYPES,
  type Datatype,
  ELEMENT_BYTES,
  elements,
  elementsOf,
  joinBytes,
  type Tensor,
  type TypedArray,
} from '../../service/tensor.js';

/** A tensor as a graph's function gets it. */
export interface FunctionTensor {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** A typed array; bits of FP16 as numbers; for BYTES a list with the bytes of each element. */
  readonly data: TypedArray | readonly Uint8Array[];
}

/** A tensor as a function may return it. Without a datatype it has that of its array, without a shape one dimension. */
export interface ReturnedTensor {
  readonly datatype?: Datatype;
  readonly shape?: readonly number[];
  readonly data: TypedArray | readonly (Uint8Array | string)[];
}

/** The result of a function: by output, a tensor, or a list of tensors of one shape, which are the rows of one. */
export type Returned = Readonly<Record<string, ReturnedTensor | readonly ReturnedTensor[]>>;

const ARRAY_TYPES = new Map<string, Datatype>([
  ['Int8Array', 'INT8'],
  ['Int16Array', 'INT16'],
  ['Int32Array', 'INT32'],
  ['BigInt64Array', 'INT64'],
  ['Uint8Array', 'UINT8'],
  ['Uint8ClampedArray', 'UINT8'],
  ['Buffer', 'UINT8'],
  ['Uint16Array', 'UINT16'],
  ['Uint32Array', 'UINT32'],
  ['BigUint64Array', 'UINT64'],
  ['Float32Array', 'FP32'],
  ['Float64Array', 'FP64'],
]);
const encoder = new TextEncoder();

export function seenByFunction({ datatype, shape, data }: Tensor): FunctionTensor {
  const seen = data instanceof Uint8Array ? elements(datatype, data) : data;
  return { datatype, shape, data: seen };
}

/**
 * The tensors of these outputs, with memory of their own. @throws Error that says which output is wrong
 */
export function returnedTensors(returned: unknown, outputs: readonly string[]): Tensor[] {
  if (typeof returned !== 'object' || returned === null)
    throw new Error(`it returned ${returned}; it has to return an object with ${outputs.join(', ')}`);
  return outputs.map((name) => {
    const value = (returned as Returned)[name];
    if (value === undefined) throw new Error(`it returned no "${name}"`);
    return Array.isArray(value) ? stacked(name, value) : tensorOf(name, value as ReturnedTensor);
  });
}

function stacked(name: string, list: readonly ReturnedTensor[]): Tensor {
  const rows = list.map((each, index) => tensorOf(`${name}[${index}]`, each));
  const [first] = rows;
  if (!first)
    throw new Error(
      `"${name}" is an empty list, which has no datatype and no shape: return a tensor whose first dimension is 0`,
    );
  const { datatype, shape } = first;
  for (const row of rows)
    if (row.datatype !== datatype || row.shape.join() !== shape.join())
      throw new Error(
        `the tensors of "${name}" differ: ${datatype}[${shape}] and ${row.datatype}[${row.shape}]`,
      );
  if (datatype === 'BYTES')
    return {
      name,
      datatype,
      shape: [rows.length, ...shape],
      data: rows.flatMap(({ data }) => data as Uint8Array[]),
    };
  const data = joinBytes(rows.map((row) => row.data as Uint8Array));
  return { name, datatype, shape: [rows.length, ...shape], data };
}

function tensorOf(name: string, value: ReturnedTensor): Tensor {
  const data = (value as ReturnedTensor | null)?.data;
  const isArray = ArrayBuffer.isView(data);
  if (!isArray && !Array.isArray(data))
    throw new Error(
      `"${name}" has no data: a tensor is { datatype, shape, data } with a typed array or a list of strings`,
    );
  const datatype = value.datatype ?? (isArray ? ARRAY_TYPES.get(data.constructor.name) : 'BYTES');
  if (!datatype || !DATATYPES.includes(datatype))
    throw new Error(`"${name}" has the datatype ${datatype}; there are ${DATATYPES.join(', ')}`);
  const size = ELEMENT_BYTES[datatype];
  if ((size === undefined) === isArray)
    throw new Error(
      `the data of "${name}" is ${isArray ? 'a typed array' : 'a list'}, which ${datatype} has not`,
    );
  const length = isArray ? data.byteLength / (size as number) : data.length;
  const shape = value.shape ?? [length];
  const isShape = Array.isArray(shape) && shape.every((each) => Number.isSafeInteger(each) && each >= 0);
  if (!isShape) throw new Error(`the shape of "${name}" must be a list of whole numbers`);
  const wanted = elementsOf(shape);
  if (wanted !== length)
    throw new Error(`"${name}" has the shape [${shape}], ${wanted} elements, and data of ${length}`);
  if (!isArray) return { name, datatype, shape: [...shape], data: data.map((each) => bytesOf(name, each)) };
  // A function may hold on to its array, and it may lie in memory with others.
  return {
    name,
    datatype,
    shape: [...shape],
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(),
  };
}

function bytesOf(name: string, element: unknown): Uint8Array {
  if (typeof element === 'string') return encoder.encode(element);
  if (element instanceof Uint8Array) return new Uint8Array(element);
  throw new Error(`an element of "${name}" is neither text nor a Uint8Array`);
}
