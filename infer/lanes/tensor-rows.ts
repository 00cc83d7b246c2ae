import {
  type Datatype,
  ELEMENT_BYTES,
  elementsOf,
  joinBytes,
  rowsOf,
  type Tensor,
} from '../service/tensor.js';
import { isKept, type LaneRun, RunError, type RunReport } from './lane.js';

/** `count` entries of a tensor's first dimension. */
export interface Rows {
  readonly value: Tensor;
  readonly from: number;
  readonly count: number;
}

/** Whether rows are all that a value of this shape has. A scalar has one. */
export function coversAll(shape: readonly number[], { from, count }: Omit<Rows, 'value'>): boolean {
  return from === 0 && count === rowsOf(shape);
}

/** Bytes of one row. Undefined for BYTES. */
export function rowBytes(datatype: Datatype, shape: readonly number[]): number | undefined {
  const bytes = ELEMENT_BYTES[datatype];
  return bytes === undefined ? undefined : bytes * elementsOf(shape.slice(1));
}

/** The shape of joined parts. @throws RunError where they do not fit together */
export function joinedShape(
  name: string,
  parts: readonly { datatype: Datatype; shape: readonly number[]; count: number }[],
): number[] {
  const [first] = parts;
  if (!first || first.shape.length === 0) throw new RunError(`Input "${name}" has no rows to join.`);
  const [, ...row] = first.shape;
  let count = 0;
  for (const part of parts) {
    if (part.datatype !== first.datatype || part.shape.slice(1).join() !== row.join())
      throw new RunError(
        `The parts of input "${name}" do not fit together: ${first.datatype}[${first.shape}] and ${part.datatype}[${part.shape}].`,
      );
    count += part.count;
  }
  return [count, ...row];
}

/**
 * Joins rows into a tensor with memory of its own. One part that is all of its tensor keeps its shape.
 * @throws RunError where parts do not fit together, or have not the elements that their shape says
 */
export function joinRows(name: string, parts: readonly Rows[]): Tensor {
  const [first] = parts;
  if (!first) throw new RunError(`Input "${name}" has no rows to join.`);
  const { datatype } = first.value;
  for (const part of parts) checkElements(name, part);
  const whole = parts.length === 1 && coversAll(first.value.shape, first);
  const shape = whole
    ? first.value.shape
    : joinedShape(
        name,
        parts.map(({ value, count }) => ({ ...value, count })),
      );
  const pieces = parts.map((part) => (whole ? part.value.data : rowsIn(part)));
  if (ELEMENT_BYTES[datatype] === undefined) {
    const texts = (pieces as (readonly Uint8Array[])[]).flat();
    return { name, datatype, shape, data: texts.map((each) => new Uint8Array(each)) };
  }
  return { name, datatype, shape, data: joinBytes(pieces as Uint8Array[]) };
}

/** Each input as one tensor with memory of its own. @throws RunError where a part of it is on a lane */
export function wholeInputs(inputs: LaneRun['inputs']): Tensor[] {
  return Object.entries(inputs).map(([name, parts]) => {
    const rows = parts.map(({ value, from, count }) => {
      if (isKept(value))
        throw new RunError(`"${name}" is on lane ${value.lane}, and this lane gets tensors.`);
      return { value, from, count };
    });
    return joinRows(name, rows);
  });
}

/** The report of a run of `wholeInputs`, all of whose outputs came back. The lane sees its time only as a whole. */
export function wholeReport(tensors: readonly Tensor[], ms: number): RunReport {
  const outputs = Object.fromEntries(tensors.map((tensor) => [tensor.name, [tensor]]));
  return { outputs, peak: 0, ms, inputMs: 0, inferMs: ms, outputMs: 0 };
}

/**
 * Splits a tensor into parts with memory of their own. One part is the tensor itself, whatever its shape.
 * @throws RunError where the tensor has not as many rows as the parts
 */
export function splitRows(tensor: Tensor, counts: readonly number[]): Tensor[] {
  if (counts.length === 1) return [tensor];
  checkRows(tensor.name, tensor.shape, counts);
  let from = 0;
  return counts.map((count) => {
    const part = joinRows(tensor.name, [{ value: tensor, from, count }]);
    from += count;
    return part;
  });
}

/** @throws RunError where an output cannot be split into parts of so many rows */
export function checkRows(name: string, shape: readonly number[], counts: readonly number[]): void {
  const items = counts.reduce((sum, count) => sum + count, 0);
  if (shape[0] !== items)
    throw new RunError(
      `Output "${name}" has the shape [${shape}] for ${items} items: they cannot be told apart.`,
    );
}

/** The memory of tensors that share it with nothing else, so that it can be handed over to another thread. */
export function buffersOf(tensors: Iterable<Tensor>): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { data } of tensors)
    for (const bytes of data instanceof Uint8Array ? [data] : data) buffers.add(bytes.buffer as ArrayBuffer);
  return [...buffers];
}

/** On a GPU nothing else would notice it. */
function checkElements(name: string, { value: { datatype, shape, data }, from, count }: Rows): void {
  const rows = rowsOf(shape);
  const elements = elementsOf(shape);
  if (data.length !== elements * (ELEMENT_BYTES[datatype] ?? 1))
    throw new RunError(`Input "${name}" has not the ${elements} elements of its shape [${shape}].`);
  if (from < 0 || count < 0 || from + count > rows)
    throw new RunError(`Input "${name}" has no rows ${from} to ${from + count}: its shape is [${shape}].`);
}

function rowsIn({ value: { datatype, shape, data }, from, count }: Rows): Tensor['data'] {
  const bytes = rowBytes(datatype, shape);
  if (data instanceof Uint8Array && bytes !== undefined)
    return data.subarray(from * bytes, (from + count) * bytes);
  const row = elementsOf(shape.slice(1));
  return data.slice(from * row, (from + count) * row) as Tensor['data'];
}
