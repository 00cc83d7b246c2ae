import fc from 'fast-check';
import { type Name, type Operation, operation } from './operations.js';
import type { Program } from './programs.js';

/** Buffers that a step reads, all made in the beginning. */
const SOURCES = 4;
const SIZE = 64;

const READABLE = 0x9;
const STORAGE = 0x8c;

/** One read of a step. */
const read = fc.record({
  source: fc.nat(SOURCES - 1),
  offset: fc.constantFrom(0, 0, 8, 16),
  size: fc.constantFrom(64, 64, 32, 8),
  /** Whether the buffer to read with is made for it and destroyed after it, or one from the beginning. */
  fresh: fc.boolean(),
  /** Whether it is mapped as a whole, or as the part that was copied. */
  whole: fc.boolean(),
});

/** What a program does again and again: it writes its sources, reads some of them one after the other, and may ask for more. */
const pattern = fc.record({
  reads: fc.array(read, { minLength: 1, maxLength: 4 }),
  scoped: fc.boolean(),
  done: fc.boolean(),
  /** Whether the program has a mistake within its scope. */
  wrong: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

type Pattern = typeof pattern extends fc.Arbitrary<infer T> ? T : never;

/** Where a step differs from the pattern. */
const change = fc.oneof(
  { weight: 3, arbitrary: fc.record({ at: fc.nat(999), what: fc.constant('left out' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      at: fc.nat(999),
      what: fc.constant('put in' as const),
      // What is about buffers, scopes and their order, and now and then anything else.
      op: fc.oneof(
        ...(
          [
            [4, 'writeBuffer'],
            [3, 'unmap'],
            [3, 'destroy'],
            [3, 'map'],
            [3, 'range'],
            [2, 'copyBuffer'],
            [2, 'clearBuffer'],
            [2, 'buffer'],
            [2, 'pushScope'],
            [2, 'popScope'],
            [2, 'done'],
            [2, 'settle'],
            [3, 'tick'],
            [1, 'submit'],
            [1, 'finish'],
            [1, 'encoder'],
            [1, 'destroyDevice'],
            [1, 'label'],
          ] as [number, Name][]
        ).map(([weight, name]) => ({ weight, arbitrary: operation(name) as fc.Arbitrary<Operation> })),
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      at: fc.nat(999),
      what: fc.constant('differs' as const),
      seed: fc.nat(1000),
    }),
  },
);

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** Programs that repeat themselves until the client guesses what comes next, and then change their mind in the middle. */
export const repeatingPrograms: fc.Arbitrary<Program> = fc
  .record({
    pattern,
    steps: fc.integer({ min: 4, max: 6 }),
    changed: fc.array(fc.array(change, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 }),
  })
  .map(({ pattern: given, steps, changed }) => {
    const made = { buffers: 0 };
    const program = beginning(made);
    for (let step = 0; step < steps; step += 1) program.push(...stepOf(given, step, made));
    for (const [index, changes] of changed.entries()) {
      program.push(...changes.reduce(apply, stepOf(given, steps + index, made)));
    }
    program.push(...stepOf(given, steps + changed.length, made));
    return program;
  });

interface Made {
  buffers: number;
}

function beginning(made: Made): Program {
  const buffer = (usage: number): Operation => ({
    op: 'buffer',
    device: 0,
    size: SIZE,
    usage,
    mapped: false,
  });
  made.buffers = SOURCES + 1;
  return [...Array.from({ length: SOURCES }, () => buffer(STORAGE)), buffer(READABLE)];
}

/** The operations of one step; `made` counts the buffers, which operations name from the latest back. */
function stepOf({ reads, scoped, done, wrong }: Pattern, step: number, made: Made): Program {
  const ref = (index: number) => made.buffers - 1 - index;
  const program: Program = [];
  if (scoped) program.push({ op: 'pushScope', device: 0, filter: 'validation' });
  for (let source = 0; source < SOURCES; source += 1) {
    program.push({
      op: 'writeBuffer',
      device: 0,
      buffer: ref(source),
      offset: 0,
      bytes: SIZE,
      from: undefined,
      size: undefined,
      // So that what was read too early or too late is other than what it should be.
      value: 1 + ((step + source) % 4),
    });
  }
  if (wrong) {
    program.push({
      op: 'writeBuffer',
      device: 0,
      buffer: ref(0),
      offset: SIZE,
      bytes: SIZE,
      from: undefined,
      size: undefined,
      value: 1,
    });
  }
  for (const { source, offset, size, fresh, whole } of reads) {
    let target = SOURCES;
    if (fresh) {
      target = made.buffers;
      made.buffers += 1;
      program.push({ op: 'buffer', device: 0, size: SIZE, usage: READABLE, mapped: false });
    }
    program.push(
      { op: 'encoder', device: 0 },
      {
        op: 'copyBuffer',
        encoder: 0,
        from: ref(source),
        fromOffset: Math.min(offset, SIZE - size),
        to: ref(target),
        toOffset: 0,
        size,
      },
      { op: 'finish', encoder: 0 },
      { op: 'submit', device: 0, commands: [0] },
      { op: 'map', buffer: ref(target), mode: 1, offset: 0, size: whole ? undefined : size },
      { op: 'settle' },
      { op: 'range', buffer: ref(target), offset: undefined, size: whole ? undefined : size, value: 1 },
      { op: 'unmap', buffer: ref(target) },
    );
    if (fresh) program.push({ op: 'destroy', kind: 'buffer', object: ref(target) });
  }
  if (done) program.push({ op: 'done', device: 0 }, { op: 'settle' });
  if (scoped) program.push({ op: 'popScope', device: 0 }, { op: 'settle' });
  return program;
}

function apply(program: Program, changed: Change): Program {
  const at = changed.at % (program.length + 1);
  const [before, after] = [program.slice(0, at), program.slice(at)];
  if (changed.what === 'left out') return [...before, ...after.slice(1)];
  if (changed.what === 'put in') return [...before, changed.op, ...after];
  const [op] = after;
  if (!op) return program;
  // Another operation of the same kind, with some of what this one has.
  const [other] = fc.sample(operation(op.op) as fc.Arbitrary<Operation>, {
    seed: changed.seed,
    numRuns: 1,
  });
  const mixed = Object.fromEntries(
    Object.entries(op).map(([member, value], index) => [
      member,
      (changed.seed >> index) % 2 === 0 ? value : (other as Record<string, unknown>)[member],
    ]),
  );
  return [...before, { ...mixed, op: op.op } as Operation, ...after.slice(1)];
}
