import { isKept, type KeptValue, type LaneInput } from '../../lanes/lane.js';
import { InferenceError } from '../../service/service.js';
import {
  type Datatype,
  ELEMENT_BYTES,
  elementsOf,
  joinBytes,
  rowsOf,
  type Tensor,
} from '../../service/tensor.js';

/** Some consecutive rows of a value: here, or on a lane. */
export interface Part {
  readonly value: Tensor | KeptValue;
  readonly rows: number;
}

/** A tensor of a request, in parts that are joined along the first dimension. A row is an entry of that dimension. */
export interface Value {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly parts: readonly Part[];
}

export function bytesOf({ data }: Tensor): number {
  return data instanceof Uint8Array ? data.length : data.reduce((sum, { length }) => sum + length, 0);
}

export function asValue(tensor: Tensor): Value {
  const { datatype, shape } = tensor;
  return { datatype, shape, parts: [{ value: tensor, rows: rowsOf(shape) }] };
}

/** The rows from `from` on, as a lane takes them. */
export function rows({ parts }: Value, from: number, count: number): LaneInput[] {
  const inputs: LaneInput[] = [];
  let first = 0;
  for (const { value, rows } of parts) {
    const start = Math.max(from, first);
    const end = Math.min(from + count, first + rows);
    if (start < end) inputs.push({ value, from: start - first, count: end - start });
    first += rows;
  }
  // A value without rows is given as it is.
  const [only] = parts;
  return inputs.length === 0 && only ? [{ value: only.value, from: 0, count: 0 }] : inputs;
}

/** Joins the parts of a step's output. `of` says whose it is, for the error where they do not fit together. */
export function joined(parts: readonly Part[], datatype: Datatype, of: string): Value {
  const [first] = parts;
  if (!first) throw new Error(`${of} has no parts`);
  const { shape } = first.value;
  let rows = 0;
  for (const part of parts) {
    rows += part.rows;
    const sameShape = part.value.shape.slice(1).join() === shape.slice(1).join();
    const type = isKept(part.value) ? datatype : part.value.datatype;
    if (!sameShape || part.value.shape.length !== shape.length || type !== datatype) {
      throw new InferenceError(
        'invalid',
        `${of} differs from item to item: ${describe(datatype, shape)} and ${describe(type, part.value.shape)}.`,
      );
    }
  }
  return { datatype, shape: shape.length === 0 ? [] : [rows, ...shape.slice(1)], parts };
}

/** A tensor of all rows of a value that is here. */
export function whole(name: string, { datatype, shape, parts }: Value): Tensor {
  const tensors = parts.map(({ value }) => {
    if (isKept(value)) throw new Error(`${name} is on lane ${value.lane}`);
    return value.data;
  });
  return { name, datatype, shape, data: concatenated(datatype, tensors) };
}

/** A tensor of zeros, or of empty strings. */
export function zeros(name: string, datatype: Datatype, shape: readonly number[]): Tensor {
  const elements = elementsOf(shape);
  const bytes = ELEMENT_BYTES[datatype];
  const data =
    bytes === undefined
      ? Array.from({ length: elements }, () => new Uint8Array())
      : new Uint8Array(elements * bytes);
  return { name, datatype, shape, data };
}

/** As `FP32[2,3]`. */
export function describe(datatype: Datatype, shape: readonly number[]): string {
  return `${datatype}[${shape}]`;
}

function concatenated(datatype: Datatype, all: readonly Tensor['data'][]): Tensor['data'] {
  const [first, ...more] = all;
  if (first && more.length === 0) return first;
  if (ELEMENT_BYTES[datatype] === undefined) return all.flatMap((data) => [...data] as Uint8Array[]);
  return joinBytes(all as readonly Uint8Array[]);
}
