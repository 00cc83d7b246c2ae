import fc from 'fast-check';
import { type Name, OPERATIONS, type Operation, operation } from './operations.js';

export type Program = Operation[];

type Step = fc.Arbitrary<Operation | null>;
type Phrase = fc.Arbitrary<(Operation | null)[]>;

/** An operation that may be missing; the shrinker tries that first. */
const step = (op: fc.Arbitrary<Operation>, missing = 1): Step =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: missing, arbitrary: fc.constant(null) },
    { weight: 28, arbitrary: op as Step },
  );

const one = <K extends Name>(name: K, given?: Partial<Operation<K>>): Step => step(operation(name, given));
const sometimes = <K extends Name>(name: K, given?: Partial<Operation<K>>): Step =>
  step(operation(name, given), 60);

/** Any operation, at any place. */
const any: Step = step(fc.oneof(...(Object.keys(OPERATIONS) as Name[]).map((name) => operation(name))));
const sometimesAny: Step = fc.oneof(
  { withCrossShrink: true },
  { weight: 60, arbitrary: fc.constant(null) },
  { weight: 10, arbitrary: any },
  { weight: 6, arbitrary: one('tick') },
);

const phrase = (...steps: Step[]): Phrase =>
  fc.tuple(...steps.flatMap((each) => [each, sometimesAny])) as Phrase;

const latest = { device: 0 } as const;
const draws = [
  one('setPipeline', { pass: 0, pipeline: 0 }),
  sometimes('setBuffer'),
  one('draw', { pass: 0, vertices: 3, instances: undefined, first: undefined, indexed: false }),
  sometimes('draw'),
  sometimes('drawIndirect'),
];
const ending = [
  one('endPass', { pass: 0 }),
  one('finish', { encoder: 0 }),
  one('submit', { ...latest, commands: [0] }),
];
const readable = { ...latest, usage: 0x9, size: 64, mapped: false };
const storage = { ...latest, usage: 0x8c, mapped: false };
const target = {
  ...latest,
  format: 'rgba8unorm',
  usage: 0x17,
  size: [8, 8],
  levels: 1,
  samples: 1,
  dimension: '2d',
};
const rendering = [
  one('texture', target),
  sometimes('view', { texture: 0 }),
  one('shader', { ...latest, code: 'draw' }),
  one('renderPipeline', {
    ...latest,
    format: 'rgba8unorm',
    depth: undefined,
    samples: 1,
    vertices: false,
    layout: undefined,
    module: 0,
  }),
];

type Bound = Operation<'bindGroup'>['entries'][number];

/** The latest object of a kind, as a whole. */
const bound = (binding: number, kind: Bound['kind'] = 'buffer'): Bound =>
  ({ binding, kind, resource: 0, offset: undefined, size: undefined }) as Bound;

/** A compute pass up to its dispatches. */
const computing = (code: Operation<'shader'>['code'], ...entries: Bound[]) => [
  one('shader', { ...latest, code }),
  one('computePipeline', { ...latest, module: 0, layout: undefined }),
  one('pipelineGroupLayout', { pipeline: 0, index: 0 }),
  one('bindGroup', { ...latest, layout: 0, entries }),
  one('encoder', latest),
  one('computePass', { encoder: 0 }),
  one('setPipeline', { pass: 0, pipeline: 0 }),
  one('setBindGroup', { pass: 0, index: 0, group: 0, offsets: [] }),
];

/** Small pieces of typical programs. Each is valid, unless an operation is missing or added. */
const PHRASES: [number, Phrase][] = [
  [3, phrase(one('buffer', storage), one('writeBuffer', { buffer: 0 }))],
  [
    4,
    phrase(
      one('buffer'),
      sometimes('buffer'),
      sometimes('texture'),
      sometimes('querySet'),
      sometimes('sampler'),
    ),
  ],
  [
    2,
    phrase(
      one('buffer', storage),
      one('texture', target),
      one('writeTexture', { ...latest, texture: 0 }),
      one('view', {
        texture: 0,
        level: undefined,
        layer: undefined,
        dimension: undefined,
        format: undefined,
      }),
      ...computing('load', bound(0), bound(1, 'view')),
      one('dispatch', { pass: 0 }),
      ...ending,
    ),
  ],
  [
    5,
    phrase(
      one('buffer', storage),
      sometimes('writeBuffer'),
      ...computing('add', bound(0)),
      one('dispatch', { pass: 0 }),
      sometimes('dispatch'),
      sometimes('drawIndirect'),
      ...ending,
    ),
  ],
  [
    3,
    phrase(
      one('bindGroupLayout'),
      sometimes('bindGroupLayout'),
      one('pipelineLayout'),
      one('shader'),
      one('computePipeline', { module: 0, layout: 0 }),
      one('bindGroup'),
    ),
  ],
  [
    5,
    phrase(
      ...rendering,
      one('encoder', latest),
      one('renderPass', { encoder: 0, view: 0, wholeTexture: true, depth: undefined, resolve: undefined }),
      ...draws,
      sometimes('setState'),
      ...ending,
    ),
  ],
  [
    2,
    phrase(
      ...rendering,
      one('querySet', { ...latest, type: 'occlusion', count: 4 }),
      one('encoder', latest),
      one('renderPass', { encoder: 0, view: 0, querySet: 0, depth: undefined, resolve: undefined }),
      one('occlusion', { pass: 0, begin: true, index: 0 }),
      ...draws,
      one('occlusion', { pass: 0, begin: false }),
      one('endPass', { pass: 0 }),
      one('buffer', { ...latest, usage: 0x204, size: 64, mapped: false }),
      one('resolveQueries', { encoder: 0, querySet: 0, buffer: 0 }),
      one('finish', { encoder: 0 }),
      one('submit', { ...latest, commands: [0] }),
    ),
  ],
  [
    1,
    phrase(
      ...rendering,
      one('bundleEncoder', { ...latest, format: 'rgba8unorm' }),
      ...draws,
      one('finishBundle', { bundle: 0 }),
      one('encoder', latest),
      one('renderPass', { encoder: 0, view: 0 }),
      one('executeBundles', { pass: 0 }),
      ...ending,
    ),
  ],
  [
    4,
    phrase(
      one('buffer', storage),
      one('encoder', latest),
      one('copyBuffer', { encoder: 0 }),
      sometimes('clearBuffer', { encoder: 0 }),
      one('finish', { encoder: 0 }),
      one('submit', { ...latest, commands: [0] }),
    ),
  ],
  [
    3,
    phrase(
      one('texture', target),
      one('buffer', { ...storage, size: 1024 }),
      sometimes('writeTexture', { texture: 0 }),
      one('encoder', latest),
      sometimes('copyToTexture'),
      sometimes('copyTexture'),
      one('copyFromTexture', { encoder: 0 }),
      one('finish', { encoder: 0 }),
      one('submit', { ...latest, commands: [0] }),
    ),
  ],
  [
    4,
    phrase(
      one('buffer', readable),
      sometimes('writeBuffer', { buffer: 0 }),
      one('map', { buffer: 0, mode: 1 }),
      sometimes('map'),
      sometimes('unmap'),
      one('settle'),
      one('range', { buffer: 0 }),
      sometimes('range'),
      one('unmap', { buffer: 0 }),
    ),
  ],
  [
    4,
    phrase(
      one('buffer', { ...latest, usage: 0x6, size: 64 }),
      one('map', { buffer: 0, mode: 2 }),
      sometimes('range'),
      one('settle'),
      one('range', { buffer: 0 }),
      sometimes('map'),
      one('unmap', { buffer: 0 }),
      one('map', { buffer: 0, mode: 2 }),
      one('settle'),
      one('range', { buffer: 0 }),
    ),
  ],
  [
    3,
    phrase(
      one('buffer', { ...latest, mapped: true }),
      one('range', { buffer: 0 }),
      sometimes('range'),
      sometimes('map'),
      one('unmap', { buffer: 0 }),
    ),
  ],
  [4, phrase(one('pushScope'), any, any, one('popScope', latest))],
  [
    3,
    phrase(
      one('pushScope', { ...latest, filter: 'validation' }),
      one('buffer', { ...latest, usage: 0x3 }),
      one('writeBuffer', { ...latest, buffer: 0 }),
      any,
      one('popScope', latest),
    ),
  ],
  [2, phrase(one('destroy'), any, any)],
  [2, phrase(one('done'), one('settle'))],
  [1, phrase(one('indirect', latest), one('debug'), one('label'), one('compilation'))],
  [5, phrase(any, any, any)],
];

/** A random program: mostly typical, with a mistake here and there. */
export const programs: fc.Arbitrary<Program> = fc
  .array(fc.oneof(...PHRASES.map(([weight, arbitrary]) => ({ weight, arbitrary }))), {
    minLength: 1,
    maxLength: 8,
    size: 'max',
  })
  .map((phrases) => phrases.flat().filter((op) => op !== null));
