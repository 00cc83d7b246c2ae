import fc from 'fast-check';
import type { SHADERS } from './shaders.js';

type Members = Record<string, fc.Arbitrary<unknown>>;

const weighted = <T>(...choices: [number, ...T[]][]): fc.Arbitrary<T> =>
  fc.oneof(
    ...choices.map(([weight, ...values]) => ({
      weight: Math.round(weight * 10),
      arbitrary: fc.constantFrom(...(values as T[])),
    })),
  );

/** A value that is absent as often as the weights say. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>, absent = 2, present = 1): fc.Arbitrary<T | undefined> =>
  fc.oneof(
    { weight: absent, arbitrary: fc.constant(undefined) },
    { weight: present, arbitrary: arbitrary as fc.Arbitrary<T | undefined> },
  );

/**
 * An object that was made before, counted back from the latest, modulo their number. So a program stays
 * meaningful when the shrinker removes operations.
 */
export const ref = weighted([12, 0], [5, 1], [3, 2, 3], [1, 4, 5, 6, 9]);

const size = weighted([6, 64], [6, 16, 32, 256], [2, 0, 4, 8, 128], [1, 6, 1024, 512], [0.3, -4, 2 ** 53]);
const offset = weighted(
  [10, 0],
  [6, 4, 8, 16],
  [3, 32, 64, 256],
  [1, 2, 5, 60, 128, 1024, 2 ** 40],
  [0.5, -1, Number.NaN, 2 ** 53],
);
const count = weighted([8, 1, 3], [3, 2, 6], [0.3, -1, 1.5]);
const value = fc.integer({ min: 1, max: 4 });
/** Almost everything is on the first device. The second one serves to mix devices. */
const device = weighted([60, 0], [1, 1]);

const bufferUsage = weighted(
  [10, 0x8c],
  [6, 0x2fc],
  [5, 0x9, 0x6],
  [3, 0x48, 0x2c, 0x1c, 0x20c],
  [1, 0x8, 0x4, 0x80],
  // No usage, mappings with usages that exclude them, and a bit without meaning.
  [0.7, 0, 0x3, 0x81, 0x10000],
);
const textureFormat = weighted(
  [10, 'rgba8unorm'],
  [2, 'r32uint', 'r8unorm', 'rgba16float', 'bgra8unorm'],
  [2, 'depth32float', 'depth24plus-stencil8', 'depth16unorm'],
  [0.5, 'rgba8snorm', 'bc1-rgba-unorm', 'no-such-format'],
);
const textureUsage = weighted([10, 0x17], [4, 0x13, 0x10, 0x11], [2, 0x3, 0x6, 0x1f], [0.7, 0, 0x100]);
// Without sequences of other lengths, and without origins out of range: Dawn accepts them, WebIDL does not.
const extent: fc.Arbitrary<number[]> = fc.oneof(
  { weight: 60, arbitrary: fc.constantFrom<number[]>([8, 8], [4, 4], [8], [8, 8, 2], [1, 1]) },
  { weight: 10, arbitrary: fc.constantFrom<number[]>([16, 16], [0, 4], [8, 8, 3], [9, 1], [4, 4, 0]) },
  { weight: 3, arbitrary: fc.constantFrom<number[]>([-1], [4, Number.NaN]) },
);
const origin = weighted(
  [8, [0, 0, 0]],
  [2, [4, 0], [0, 4]],
  [1, [0, 0, 1], [7, 7], [16, 0, 0]],
  [0.2, [0, 4.5]],
);
const level = weighted([10, 0], [2, 1], [0.5, 2, 9]);
const bytesPerRow = weighted<number | undefined>([8, 256], [2, undefined, 512], [1, 32, 4, 100]);
const shader = weighted([6, 'add', 'draw'], [2, 'fill', 'vertices'], [1, 'wrong', 'none']) as fc.Arbitrary<
  keyof typeof SHADERS
>;
const layoutKind = weighted(
  [6, 'storage'],
  [3, 'both'],
  [2, 'dynamic', 'uniform', 'empty', 'image', 'sampler'],
  [0.7, 'twice', 'vertex'],
);
const filter = weighted([8, 'validation'], [2, 'out-of-memory', 'internal'], [0.2, 'none']);
const blend = maybe(fc.constantFrom('add', 'max', 'wrong'), 8, 1);
const color = weighted(
  [6, [0, 0, 0, 1], [1, 0, 0, 1]],
  [2, [0.5, 0.25, 0.75, 0]],
  [1, [2, -1, 0, 0], { r: 0, g: 1, b: 0, a: 1 }],
);
const text = weighted([4, 'group'], [1, '', 'größe']);
const kind = fc.constantFrom('buffer', 'texture', 'encoder', 'bindGroup', 'pipeline', 'querySet' as const);
const debugTarget = fc.constantFrom('encoder', 'pass', 'bundle');

/** The bound resource: a part of a buffer, or an object as it is. */
type BindingKind = 'buffer' | 'whole buffer' | 'view' | 'texture' | 'sampler';

/**
 * Every operation of random programs, with its possible values. Counts that draws and dispatches read come
 * only from `indirect`, so that no program runs for hours.
 */
export const OPERATIONS = {
  buffer: { device, size, usage: bufferUsage, mapped: weighted([5, false], [1, true]) },
  indirect: {
    device,
    values: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 8 }),
    usage: weighted([9, 0x100], [1, 0x80]),
  },
  texture: {
    device,
    size: extent,
    format: textureFormat,
    usage: textureUsage,
    levels: weighted([8, 1], [2, 2], [0.5, 0, 9]),
    samples: weighted([12, 1], [2, 4], [0.5, 2, 3]),
    dimension: weighted([12, '2d'], [1, '1d', '3d'], [0.2, '4d']),
  },
  view: {
    texture: ref,
    level: maybe(level),
    layer: maybe(level),
    dimension: maybe(weighted([6, '2d'], [2, '2d-array', 'cube', '3d']), 4, 1),
    format: maybe(textureFormat, 12, 1),
  },
  sampler: {
    device,
    filter: weighted([4, 'linear', 'nearest'], [0.3, 'best']),
    anisotropy: weighted([8, 1], [2, 4, 0], [0.4, -1, 100000]),
    lod: weighted([6, 0], [1, 4, -1]),
  },
  querySet: {
    device,
    type: weighted([12, 'occlusion'], [1, 'timestamp']),
    count: weighted([8, 4], [2, 1, 8], [1, 0, 5000]),
  },
  shader: { device, code: shader },
  bindGroupLayout: { device, kind: layoutKind },
  pipelineLayout: { device, layouts: fc.array(maybe(ref, 1, 12), { maxLength: 5 }) },
  computePipeline: {
    device,
    module: ref,
    layout: maybe(ref, 3, 1),
    entryPoint: maybe(weighted([6, 'main'], [1, 'other', '']), 4, 1),
    constant: maybe(weighted([4, 3], [1, -1, 1e30]), 6, 1),
    async: weighted([6, false], [1, true]),
  },
  renderPipeline: {
    device,
    module: ref,
    layout: maybe(ref, 8, 1),
    format: textureFormat,
    depth: maybe(textureFormat, 8, 1),
    samples: weighted([10, 1], [1, 4]),
    topology: weighted([8, 'triangle-list'], [2, 'point-list', 'triangle-strip']),
    vertices: weighted([3, false], [1, true]),
    blend,
    async: weighted([8, false], [1, true]),
  },
  pipelineGroupLayout: { pipeline: ref, index: weighted([10, 0], [1, 1, 4, -1]) },
  bindGroup: {
    device,
    layout: ref,
    entries: fc.array(
      fc.record({
        binding: weighted([8, 0], [3, 1], [0.5, 7]),
        kind: weighted<BindingKind>([12, 'buffer'], [2, 'view', 'whole buffer'], [1, 'texture', 'sampler']),
        resource: ref,
        offset: maybe(offset, 6, 1),
        size: maybe(size, 4, 1),
      }),
      { minLength: 0, maxLength: 2 },
    ),
  },

  encoder: { device },
  computePass: { encoder: ref },
  renderPass: {
    encoder: ref,
    view: ref,
    depth: maybe(ref, 8, 1),
    resolve: maybe(ref, 12, 1),
    querySet: maybe(ref, 5, 1),
    load: weighted([6, 'clear'], [2, 'load']),
    store: weighted([8, 'store'], [1, 'discard'], [0.2, 'keep']),
    color: maybe(color),
    wholeTexture: weighted([2, true], [1, false]),
  },
  setPipeline: { pass: ref, pipeline: ref },
  setBindGroup: {
    pass: ref,
    index: weighted([14, 0], [1, 1, 9]),
    group: maybe(ref, 1, 20),
    offsets: weighted([12, []], [2, [0], [256]], [1, [4], [0, 0]]),
  },
  setBuffer: {
    pass: ref,
    buffer: ref,
    kind: fc.constantFrom('vertex', 'index'),
    slot: weighted([10, 0], [1, 1, 20]),
    offset: maybe(offset, 4, 1),
    size: maybe(size, 4, 1),
  },
  dispatch: { pass: ref, x: count, y: maybe(count), z: maybe(count), over: weighted([30, false], [1, true]) },
  draw: {
    pass: ref,
    vertices: count,
    instances: maybe(count),
    first: maybe(weighted([4, 0], [1, 1, 7])),
    indexed: weighted([4, false], [1, true]),
  },
  drawIndirect: {
    pass: ref,
    buffer: ref,
    offset: weighted([6, 0], [1, 4, 16, 2, 1024]),
    indexed: weighted([4, false], [1, true]),
  },
  setState: {
    pass: ref,
    what: fc.constantFrom('viewport', 'scissor', 'blend', 'stencil'),
    number: weighted([6, 4], [3, 0, 8], [1, 9, -1, 1e6]),
  },
  occlusion: { pass: ref, begin: weighted([1, true, false]), index: weighted([8, 0], [2, 1], [0.5, 9]) },
  bundleEncoder: { device, format: textureFormat },
  finishBundle: { bundle: ref },
  executeBundles: { pass: ref, bundles: fc.array(ref, { maxLength: 2 }) },
  endPass: { pass: ref },
  debug: { target: debugTarget, encoder: ref, what: fc.constantFrom('push', 'pop', 'mark'), text },
  clearBuffer: { encoder: ref, buffer: ref, offset: maybe(offset), size: maybe(size) },
  copyBuffer: {
    encoder: ref,
    from: ref,
    fromOffset: offset,
    to: ref,
    toOffset: offset,
    size: maybe(size, 1, 2),
  },
  copyToTexture: { encoder: ref, from: ref, offset, bytesPerRow, texture: ref, level, origin, size: extent },
  copyFromTexture: { encoder: ref, texture: ref, level, origin, to: ref, offset, bytesPerRow, size: extent },
  copyTexture: {
    encoder: ref,
    from: ref,
    fromOrigin: origin,
    to: ref,
    toOrigin: origin,
    level,
    size: extent,
  },
  resolveQueries: {
    encoder: ref,
    querySet: ref,
    first: weighted([6, 0], [1, 1, 9]),
    count: weighted([6, 1, 2], [1, 0, 9]),
    buffer: ref,
    offset: weighted([6, 0], [2, 256], [1, 8]),
  },
  finish: { encoder: ref },
  submit: {
    device,
    commands: fc.oneof(
      { weight: 12, arbitrary: fc.constant([0]) },
      { weight: 2, arbitrary: fc.array(ref, { maxLength: 3 }) },
    ),
  },

  writeBuffer: {
    device,
    buffer: ref,
    offset,
    bytes: weighted([8, 16, 64], [2, 4, 0, 256], [1, 6, 1024]),
    from: maybe(weighted([3, 4, 8], [1, 2, 2000]), 4, 1),
    size: maybe(size, 4, 1),
    value,
  },
  writeTexture: {
    device,
    texture: ref,
    level,
    origin,
    bytes: weighted([6, 2048], [1, 256, 0]),
    offset: weighted([8, 0], [1, 4, 4096]),
    bytesPerRow,
    size: extent,
    value,
  },
  map: {
    buffer: ref,
    mode: weighted([6, 1], [4, 2], [0.5, 0, 3, -1]),
    offset: maybe(offset),
    size: maybe(size),
  },
  range: { buffer: ref, offset: maybe(offset), size: maybe(size), value },
  unmap: { buffer: ref },
  destroy: {
    kind: weighted<'buffer' | 'texture' | 'querySet'>([6, 'buffer'], [2, 'texture'], [1, 'querySet']),
    object: ref,
  },
  destroyDevice: { device },
  pushScope: { device, filter },
  popScope: { device },
  done: { device },
  compilation: { module: ref },
  label: { kind, object: ref, text },
  /** Sends recorded commands, before any reply comes. */
  tick: {},
  /** Waits until every promise is settled. */
  settle: {},
} satisfies Record<string, Members>;

type Table = typeof OPERATIONS;
export type Name = keyof Table;
type Value<A> = A extends fc.Arbitrary<infer T> ? T : never;
export type Operation<K extends Name = Name> = {
  [N in Name]: { op: N } & { [M in keyof Table[N]]: Value<Table[N][M]> };
}[K];

/** One operation, with some of its values given. */
export function operation<K extends Name>(op: K, given: Partial<Operation<K>> = {}): fc.Arbitrary<Operation> {
  const members: Members = { op: fc.constant(op), ...OPERATIONS[op] };
  for (const [name, member] of Object.entries(given)) members[name] = fc.constant(member);
  return fc.record(members) as fc.Arbitrary<Operation>;
}
