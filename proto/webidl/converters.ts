/**
 * Conversions of JavaScript values to WebIDL types (https://webidl.spec.whatwg.org/#js-type-mapping).
 * `where` names the value in an error's message, for example "GPUBufferDescriptor.size". All throw
 * TypeError, as the specification says.
 */
import { type Resource, resourceOf } from './resource.js';
import { isArrayBuffer, isSharedArrayBuffer } from './slots.js';

export function toBoolean(value: unknown): boolean {
  return Boolean(value);
}

export function toDOMString(value: unknown, where: string): string {
  if (typeof value === 'symbol') throw new TypeError(`${where}: a symbol cannot be converted to a string`);
  return String(value);
}

export function toUSVString(value: unknown, where: string): string {
  const text = toDOMString(value, where);
  return text.isWellFormed() ? text : text.toWellFormed();
}

/** An integer type with [EnforceRange]; `type` is its WebIDL name. */
export function enforceRange(value: unknown, min: number, max: number, type: string, where: string): number {
  if (typeof value === 'number' && value >= min && value <= max && Number.isInteger(value)) return value + 0;
  const number = Math.trunc(toNumber(value, where));
  if (!(number >= min && number <= max)) {
    throw new TypeError(`${where}: ${describe(value)} is outside the range of ${type}, ${min} to ${max}`);
  }
  return number + 0;
}

/** An integer type with [Clamp]: rounds to the nearest integer, ties to even. */
export function clamp(value: unknown, min: number, max: number, where: string): number {
  const number = toNumber(value, where);
  if (Number.isNaN(number)) return 0;
  const clamped = Math.min(Math.max(number, min), max);
  const floor = Math.floor(clamped);
  const remainder = clamped - floor;
  if (remainder < 0.5 || (remainder === 0.5 && floor % 2 === 0)) return floor + 0;
  return floor + 1;
}

/** `unsigned long` without an extended attribute: modulo 2^32. */
export function toUnsignedLong(value: unknown, where: string): number {
  return toNumber(value, where) >>> 0;
}

export function toDouble(value: unknown, where: string): number {
  const number = toNumber(value, where);
  if (!Number.isFinite(number)) throw new TypeError(`${where}: ${describe(value)} is not a finite number`);
  return number;
}

export function toFloat(value: unknown, where: string): number {
  const number = Math.fround(toNumber(value, where));
  if (!Number.isFinite(number))
    throw new TypeError(`${where}: ${describe(value)} is not a finite 32-bit number`);
  return number;
}

export function toEnum<T extends string>(
  value: unknown,
  values: readonly T[],
  name: string,
  where: string,
): T {
  const text = toDOMString(value, where) as T;
  if (!values.includes(text)) throw new TypeError(`${where}: '${text}' is not a value of ${name}`);
  return text;
}

export function toInterface(value: unknown, kind: string, where: string): Resource {
  const resource = resourceOf(value);
  if (resource?.kind !== kind) throw new TypeError(`${where}: ${describe(value)} is not a ${kind}`);
  return resource;
}

/** The method that makes an object a sequence: a conversion reads it once. */
type IteratorMethod = () => Iterator<unknown>;

/**
 * The method by which `value` can be iterated; undefined where it has none. Throws TypeError where its @@iterator is no
 * function.
 */
export function iteratorMethod(value: unknown, where: string): IteratorMethod | undefined {
  if (!isObject(value)) return undefined;
  const method = (value as { [Symbol.iterator]?: unknown })[Symbol.iterator];
  if (method === undefined || method === null) return undefined;
  if (typeof method !== 'function')
    throw new TypeError(`${where}: the iterator of ${describe(value)} is not a function`);
  return method as IteratorMethod;
}

/** Unlike `for...of`, WebIDL does not close the iterator where an element cannot be converted. */
export function toSequence<T>(
  value: unknown,
  convert: (element: unknown) => T,
  where: string,
  method = iteratorMethod(value, where),
): T[] {
  if (!method) throw new TypeError(`${where}: ${describe(value)} is not a sequence`);
  const iterator: unknown = Reflect.apply(method, value, []);
  if (!isObject(iterator)) throw new TypeError(`${where}: ${describe(value)} gives no iterator`);
  const { next } = iterator as Iterator<unknown>;
  const result: T[] = [];
  for (;;) {
    const step: unknown = Reflect.apply(next, iterator, []);
    if (!isObject(step)) throw new TypeError(`${where}: the iterator of ${describe(value)} gives no result`);
    const { done } = step as IteratorResult<unknown>;
    if (done) return result;
    result.push(convert((step as IteratorResult<unknown>).value));
  }
}

/** A sequence that stands for a dictionary of coordinates must have that many elements. */
export function toShape(values: number[], min: number, max: number, where: string): number[] {
  if (values.length >= min && values.length <= max) return values;
  const allowed = min === max ? `${min}` : `${min} to ${max}`;
  throw new TypeError(`${where}: ${values.length} numbers, where ${allowed} are expected`);
}

/** A record keeps the order of the object's own enumerable keys. */
export function toRecord<T>(
  value: unknown,
  convertKey: (key: string) => string,
  convertValue: (value: unknown) => T,
  where: string,
): Record<string, T> {
  if (!isObject(value)) throw new TypeError(`${where}: ${describe(value)} is not an object`);
  // Without a prototype, so that a key named __proto__ is a key like any other.
  const result: Record<string, T> = Object.create(null);
  for (const key of Reflect.ownKeys(value)) {
    const property = Reflect.getOwnPropertyDescriptor(value, key);
    if (!property?.enumerable) continue;
    if (typeof key === 'symbol') throw new TypeError(`${where}: a symbol cannot be a key`);
    result[convertKey(key)] = convertValue(Reflect.get(value, key));
  }
  return result;
}

/** The object whose members a dictionary is read from; undefined and null stand for an empty one. */
export function toDictionary(value: unknown, name: string): Record<string, unknown> {
  if (value === undefined || value === null) return EMPTY;
  if (!isObject(value)) throw new TypeError(`${describe(value)} is not an object, where ${name} is expected`);
  return value as Record<string, unknown>;
}

export function required(value: unknown, where: string): unknown {
  if (value === undefined) throw new TypeError(`${where} is required`);
  return value;
}

export function requireArguments(given: number, needed: number, where: string): void {
  if (given < needed) {
    throw new TypeError(
      `${where} takes ${needed} argument${needed === 1 ? '' : 's'} or more, and got ${given}`,
    );
  }
}

/**
 * The bytes of a BufferSource (`[AllowShared]` too), as a view: nothing is copied.
 */
export function toBytes(value: unknown, where: string): Uint8Array {
  const isView = ArrayBuffer.isView(value);
  if (!isView && !isArrayBuffer(value) && !isSharedArrayBuffer(value)) {
    throw new TypeError(`${where}: ${describe(value)} is neither an ArrayBuffer nor a view of one`);
  }
  // A detached buffer and its views have no bytes either, and no new view of them is possible.
  if (value.byteLength === 0) return new Uint8Array(0);
  return isView ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
}

export function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** A value as an error message names it. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return `[object ${value.constructor?.name ?? 'Object'}]`;
  return String(value);
}

const EMPTY: Record<string, unknown> = Object.freeze(Object.create(null));

function toNumber(value: unknown, where: string): number {
  if (typeof value === 'bigint' || typeof value === 'symbol') {
    throw new TypeError(`${where}: ${describe(value)} cannot be converted to a number`);
  }
  // Not Number(value), which takes an object whose primitive is a BigInt.
  return +(value as number);
}
