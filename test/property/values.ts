import fc from 'fast-check';

/** JavaScript values as data, so that one value can be made twice, and each conversion be watched. */
export type Sketch =
  | { is: 'value'; value: unknown }
  /** An object that converts to a primitive, by either method, or throws. */
  | { is: 'convertible'; valueOf: unknown; toString: unknown }
  | { is: 'object'; members: [name: string, how: How, value: Sketch][]; callable: boolean }
  | { is: 'iterable'; values: Sketch[]; as: 'array' | 'set' | 'generator' | 'own' | 'broken' };

type How = 'own' | 'getter' | 'inherited' | 'hidden' | 'throws' | 'absent';

/** Thrown by the value's own code. */
export class Mine extends Error {
  override readonly name = 'Mine';
}

/** Makes a value that notes every access to it. */
export function live(sketch: Sketch, trace: string[], path = ''): unknown {
  switch (sketch.is) {
    case 'value':
      return sketch.value;
    case 'convertible':
      return convertible(sketch, trace, path);
    case 'object':
      return object(sketch, trace, path);
    case 'iterable':
      return iterable(sketch, trace, path);
  }
}

function convertible(sketch: Sketch & { is: 'convertible' }, trace: string[], path: string): object {
  const method = (name: 'valueOf' | 'toString') => () => {
    trace.push(`${path}.${name}()`);
    if (sketch[name] === Mine) throw new Mine(`${path}.${name}`);
    return sketch[name];
  };
  return { valueOf: method('valueOf'), toString: method('toString') };
}

function object({ members, callable }: Sketch & { is: 'object' }, trace: string[], path: string): object {
  const prototype = {};
  const made = callable ? () => {} : Object.create(prototype);
  for (const [name, how, sketch] of members) {
    if (how === 'absent') continue;
    const at = `${path}.${name}`;
    const value = live(sketch, trace, at);
    const get = () => {
      trace.push(`get ${at}`);
      if (how === 'throws') throw new Mine(at);
      return value;
    };
    const property = { enumerable: how !== 'hidden', configurable: true };
    const on = how === 'inherited' && !callable ? prototype : made;
    Object.defineProperty(on, name, how === 'own' ? { ...property, value } : { ...property, get });
  }
  return made;
}

function iterable({ values, as }: Sketch & { is: 'iterable' }, trace: string[], path: string): unknown {
  const made = values.map((value, index) => live(value, trace, `${path}[${index}]`));
  if (as === 'array') return made;
  if (as === 'set') return new Set(made);
  function* generator() {
    try {
      yield* made;
    } finally {
      trace.push(`${path} is closed`);
    }
  }
  if (as === 'generator') return generator();
  return {
    get [Symbol.iterator]() {
      trace.push(`get ${path}[@@iterator]`);
      if (as === 'broken') return 'no method';
      const left = made.values();
      const next = () => {
        trace.push(`${path}.next()`);
        return left.next();
      };
      const close = () => {
        trace.push(`${path} is closed`);
        return {};
      };
      return () => ({ next, return: close });
    },
  };
}

const EDGES = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
  0,
  1,
  4,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -0.999,
  2 ** 16 - 0.5,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 64,
  3.4028235677973366e38,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
];

export const numbers = fc.oneof(fc.constantFrom(...EDGES), fc.double(), fc.integer(), fc.nat(8));

const primitives = fc.oneof(
  { weight: 3, arbitrary: numbers },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '4',
      '0x10',
      '',
      ' 7 ',
      '1e3',
      'four',
      'nearest',
      'storage',
      '\ud800',
      'a\udc00',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(undefined, null, true, false, 4n, -(2n ** 70n), Symbol.iterator),
  },
);

const value = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<Sketch> =>
  arbitrary.map((made) => ({ is: 'value', value: made }));

const convertibles: fc.Arbitrary<Sketch> = fc.record({
  is: fc.constant('convertible' as const),
  valueOf: fc.oneof(
    { weight: 5, arbitrary: primitives },
    { weight: 1, arbitrary: fc.constantFrom<unknown>({}, Mine) },
  ),
  toString: fc.oneof(
    { weight: 5, arbitrary: primitives },
    { weight: 1, arbitrary: fc.constantFrom<unknown>({}, Mine) },
  ),
});

/** An iterable of such values, of any sort. */
export const iterables = (of: fc.Arbitrary<Sketch>): fc.Arbitrary<Sketch> =>
  fc.record({
    is: fc.constant('iterable' as const),
    values: fc.array(of, { maxLength: 5 }),
    as: fc.constantFrom('array', 'array', 'set', 'generator', 'own', 'broken'),
  });

/** An object with such members; each may be there or not, and is read in one way or another. */
export const objects = (members: Record<string, fc.Arbitrary<Sketch>>): fc.Arbitrary<Sketch> =>
  fc.record({
    is: fc.constant('object' as const),
    members: fc.tuple(
      ...Object.entries(members).map(([name, of]) =>
        fc.tuple(
          fc.constant(name),
          fc.constantFrom<How>(
            'own',
            'own',
            'getter',
            'getter',
            'inherited',
            'hidden',
            'absent',
            'absent',
            'throws',
          ),
          of,
        ),
      ),
    ),
    callable: fc.oneof(
      { weight: 6, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
  });

/** Any value at all. */
export const anything: fc.Arbitrary<Sketch> = fc.oneof(
  { weight: 4, arbitrary: value(primitives) },
  { weight: 2, arbitrary: convertibles },
  { weight: 1, arbitrary: iterables(value(primitives)) },
  { weight: 1, arbitrary: objects({ a: value(primitives), size: value(primitives) }) },
  { weight: 1, arbitrary: value(fc.anything({ withDate: true, withNullPrototype: true })) },
);

/** Mostly `good`, sometimes anything. */
export const mostly = (good: fc.Arbitrary<unknown>): fc.Arbitrary<Sketch> =>
  fc.oneof({ weight: 6, arbitrary: value(good) }, { weight: 1, arbitrary: anything });
