import { numbersIn } from '../../infer/protocol/tensor-coding.js';
import type { Tensor } from '../../infer/service/tensor.js';
import { identityOf, type Output } from './sink.js';

/**
 * An output as one line of JSON: what it came from, and its values. A value of one element is that element, any other is
 * nested as its shape says. Integers of 64 bits that a number cannot hold are text, and so are NaN and infinities.
 */
export function outputText(output: Output): string {
  const { source, offset, index, key, error } = output;
  const id = identityOf(output);
  const written = plainValues(output);
  return JSON.stringify({ id, source, offset, index, key, ...(error ? { error } : { values: written }) });
}

export function plainValues({ values }: Pick<Output, 'values'>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, plain(value)]));
}

/** The id of a line that `outputText` has made; undefined if it is none. */
export function idIn(line: string): string | undefined {
  try {
    const { id } = JSON.parse(line) as { id?: unknown };
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}

function plain({ datatype, shape, data }: Tensor): unknown {
  const flat: unknown[] =
    data instanceof Uint8Array
      ? Array.from(numbersIn(datatype, data) as Iterable<number | bigint>, plainNumber)
      : data.map((each) => Buffer.from(each).toString('utf8'));
  const elements = datatype === 'BOOL' ? flat.map((each) => each === 1) : flat;
  if (elements.length === 1) return elements[0];
  return nested(elements, shape.slice(1));
}

function plainNumber(value: number | bigint): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  return Number.isFinite(value) ? value : String(value);
}

/** Cuts a flat list into lists of rows, from the last dimension to the second one. */
function nested(flat: readonly unknown[], inner: readonly number[]): readonly unknown[] {
  let list = flat;
  for (const length of [...inner].reverse()) {
    const rows: unknown[] = [];
    for (let at = 0; at < list.length; at += Math.max(1, length)) rows.push(list.slice(at, at + length));
    list = rows;
  }
  return list;
}
