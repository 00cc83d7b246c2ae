import { invalid } from '../service/service.js';
import { ELEMENT_BYTES, rowsOf, type Tensor, type TypedArray } from '../service/tensor.js';
import { numbersIn } from './tensor-coding.js';

const encoder = new TextEncoder();

export interface Classes {
  /** How many of each item. */
  readonly count: number;
  /** Whether the first dimension counts items; otherwise the tensor is one item. */
  readonly batched: boolean;
  /** The names of the classes. */
  readonly labels?: readonly string[] | undefined;
}

/**
 * The greatest elements of each item, as texts `VALUE:INDEX`, or `VALUE:INDEX:LABEL` where there is a label (the
 * classification extension).
 *
 * @throws InferenceError invalid
 */
export function classified(tensor: Tensor, { count, batched, labels = [] }: Classes): Tensor {
  const { name, datatype, shape, data } = tensor;
  const bytes = ELEMENT_BYTES[datatype];
  if (!(data instanceof Uint8Array) || bytes === undefined) {
    throw invalid(`output "${name}" is BYTES, which have no greatest element`);
  }
  const items = batched ? rowsOf(shape) : 1;
  const length = items === 0 ? 0 : data.length / bytes / items;
  const top = Math.min(count, length);
  const numbers = numbersIn(datatype, data);
  const fractions = datatype.startsWith('FP');
  const texts: Uint8Array[] = [];
  for (let item = 0; item < items; item += 1) {
    for (const index of greatest(numbers, item * length, length, top)) {
      const value = numbers[item * length + index] as number | bigint;
      const digits = fractions ? (value as number).toFixed(6) : `${value}`;
      const label = labels[index];
      texts.push(encoder.encode(`${digits}:${index}${label ? `:${label}` : ''}`));
    }
  }
  return { name, datatype: 'BYTES', shape: batched ? [items, top] : [top], data: texts };
}

/** The places of the `top` greatest of some consecutive numbers, the greatest first; of equal ones the first. NaN is last. */
function greatest(numbers: TypedArray, from: number, length: number, top: number): number[] {
  const rank = (index: number) => {
    const value = numbers[from + index] as number | bigint;
    return Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
  };
  const order = (a: number, b: number) => {
    const [left, right] = [rank(a), rank(b)];
    return left === right ? a - b : left < right ? 1 : -1;
  };
  // A tensor may have millions of elements: to sort all of them would keep everybody else waiting for seconds.
  let places: number[] = [];
  let last: number | undefined;
  for (let index = 0; index < length; index += 1) {
    if (last !== undefined && order(last, index) < 0) continue;
    places.push(index);
    if (places.length < 2 * top) continue;
    places = places.sort(order).slice(0, top);
    last = places.at(-1);
  }
  return places.sort(order).slice(0, top);
}
