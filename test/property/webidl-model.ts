/**
 * Conversions of JavaScript values, step by step as in the Web IDL specification
 * (https://webidl.spec.whatwg.org/#js-type-mapping), without any code of Farlight. Its converters are
 * compared with these. Each Get and Call is where the specification has it, since a program can see it.
 */
export type Convert = (value: unknown) => unknown;

interface Member {
  type: Convert;
  /** Used if the member is absent. */
  default?: unknown;
  required?: true;
}

type Dynamic = Record<PropertyKey, unknown>;

const isObject = (value: unknown): value is Dynamic =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';

/** https://tc39.es/ecma262/#sec-tonumber: unary plus. */
const toNumber = (value: unknown): number => +(value as number);
/** https://tc39.es/ecma262/#sec-tostring: a template literal. */
const toText = (value: unknown): string => `${value as string}`;

function call(method: unknown, self: unknown): unknown {
  if (typeof method !== 'function') throw new TypeError('not callable');
  return Reflect.apply(method, self, []);
}

const integerPart = (x: number): number => (x < 0 ? -Math.floor(-x) : Math.floor(x));

/** https://webidl.spec.whatwg.org/#abstract-opdef-converttoint with [EnforceRange] */
export const enforced =
  (lower: number, upper: number): Convert =>
  (value) => {
    const x = toNumber(value);
    if (Number.isNaN(x) || x === Number.POSITIVE_INFINITY || x === Number.NEGATIVE_INFINITY)
      throw new TypeError('not finite');
    const integer = integerPart(x);
    if (integer < lower || integer > upper) throw new TypeError('out of range');
    return integer === 0 ? 0 : integer;
  };

export const unsignedLong = enforced(0, 2 ** 32 - 1);
/** 64 bits are limited to the safe integers. */
export const unsignedLongLong = enforced(0, 2 ** 53 - 1);
export const long = enforced(-(2 ** 31), 2 ** 31 - 1);

/** The same with [Clamp]: the nearest integer, and the even one of two that are equally near. */
export const clamped =
  (lower: number, upper: number): Convert =>
  (value) => {
    const x = toNumber(value);
    if (Number.isNaN(x)) return 0;
    const bounded = x < lower ? lower : x > upper ? upper : x;
    const below = Math.floor(bounded);
    const nearest = [below, below + 1].filter((n) => Math.abs(bounded - n) <= 0.5);
    const even = nearest.find((n) => nearest.length === 1 || n % 2 === 0) as number;
    return even === 0 ? 0 : even;
  };

/** The same without either: modulo 2^32. */
export const wrapped: Convert = (value) => {
  const x = toNumber(value);
  if (!Number.isFinite(x)) return 0;
  return Number(BigInt.asUintN(32, BigInt(integerPart(x))));
};

export const double: Convert = (value) => {
  const x = toNumber(value);
  if (!Number.isFinite(x)) throw new TypeError('not finite');
  return x;
};

export const float: Convert = (value) => {
  const x = toNumber(value);
  if (!Number.isFinite(x)) throw new TypeError('not finite');
  const [y] = new Float32Array([x]) as unknown as [number];
  if (!Number.isFinite(y)) throw new TypeError('not in the range of 32 bits');
  return y;
};

export const boolean: Convert = (value) => !!value;
export const domString: Convert = toText;
export const usvString: Convert = (value) => toText(value).replace(/\p{Surrogate}/gu, '\ufffd');

export const enumeration =
  (...values: string[]): Convert =>
  (value) => {
    const text = toText(value);
    if (!values.some((each) => each === text)) throw new TypeError('not a value');
    return text;
  };

/** https://webidl.spec.whatwg.org/#create-sequence-from-iterable: the iterator is never closed. */
function sequenceFrom(value: unknown, method: unknown, type: Convert): unknown[] {
  const iterator = call(method, value);
  if (!isObject(iterator)) throw new TypeError('no iterator');
  const { next } = iterator;
  const result: unknown[] = [];
  for (;;) {
    const step = call(next, iterator);
    if (!isObject(step)) throw new TypeError('no result');
    if (step.done) return result;
    result.push(type(step.value));
  }
}

/** https://tc39.es/ecma262/#sec-getmethod of @@iterator */
function iteratorMethod(value: Dynamic): unknown {
  const method = value[Symbol.iterator];
  if (method === undefined || method === null) return undefined;
  if (typeof method !== 'function') throw new TypeError('not callable');
  return method;
}

export const sequence =
  (type: Convert): Convert =>
  (value) => {
    if (!isObject(value)) throw new TypeError('no object');
    const method = iteratorMethod(value);
    if (method === undefined) throw new TypeError('not iterable');
    return sequenceFrom(value, method, type);
  };

export const record =
  (key: Convert, type: Convert): Convert =>
  (value) => {
    if (!isObject(value)) throw new TypeError('no object');
    const result = new Map<unknown, unknown>();
    for (const name of Reflect.ownKeys(value)) {
      const property = Reflect.getOwnPropertyDescriptor(value, name);
      if (!property?.enumerable) continue;
      const typed = key(name);
      result.set(typed, type(value[name]));
    }
    return Object.fromEntries(result);
  };

/** `bases` are the dictionaries from the base to the dictionary itself. */
export const dictionary =
  (...bases: Record<string, Member>[]): Convert =>
  (value) => {
    if (value !== undefined && value !== null && !isObject(value)) throw new TypeError('no object');
    const result: Record<string, unknown> = {};
    for (const members of bases) {
      for (const name of Object.keys(members).sort()) {
        const { type, required, ...rest } = members[name] as Member;
        const given = isObject(value) ? value[name] : undefined;
        if (given !== undefined) result[name] = type(given);
        else if ('default' in rest) result[name] = rest.default;
        else if (required) throw new TypeError('required');
      }
    }
    return result;
  };

/** A union of a sequence and a dictionary. */
export const sequenceOr =
  (type: Convert, other: Convert): Convert =>
  (value) => {
    if (value === undefined || value === null) return other(value);
    if (!isObject(value)) throw new TypeError('neither');
    const method = iteratorMethod(value);
    return method === undefined ? other(value) : sequenceFrom(value, method, type);
  };

/** WebGPU's own rule for sequences of coordinates: "validate GPU... shape". */
export const shaped =
  (least: number, most: number, type: Convert): Convert =>
  (value) => {
    const result = type(value);
    if (Array.isArray(result) && (result.length < least || result.length > most))
      throw new TypeError('wrong length');
    return result;
  };
