// Each row of the table of signatures, proved: a node that runs in parts gives what it gives whole.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { meshOf, type Part, type Placement, partsOf } from '#farlight/shard/layout/descriptor.js';
import { localize } from '#farlight/shard/onnx/localize.js';
import { candidatesOf } from '#farlight/shard/plan/candidates.js';
import type { LogicalGraph } from '#farlight/shard/plan/graph.js';
import type { OperatorView } from '#farlight/shard/signatures/operator.js';
import { signaturesOf, TABLE } from '#farlight/shard/signatures/table.js';
import { add, cut, type OneNode, runNode, type Values } from './support/onnx.js';

interface Case {
  readonly attributes?: OneNode['attributes'];
  /** Shapes of inputs of floats; numbers are constants, as an operator's axes or shape. */
  readonly inputs: readonly (readonly number[] | { readonly constants: readonly number[] } | undefined)[];
  readonly outputs?: number;
}

const length = fc.integer({ min: 1, max: 6 });
const shape = (min: number, max = min) => fc.array(length, { minLength: min, maxLength: max });
const constants = (...values: number[]) => ({ constants: values });
const unary = (attributes?: Case['attributes']) =>
  shape(1, 4).map((one): Case => (attributes ? { attributes, inputs: [one] } : { inputs: [one] }));

/** Two shapes that can be stretched to one. */
const stretched = shape(1, 4).chain((full) =>
  fc
    .tuple(fc.array(fc.boolean(), { minLength: full.length, maxLength: full.length }), fc.nat(full.length))
    .map(([ones, dropped]): [number[], number[]] => [
      full,
      full.map((size, axis) => (ones[axis] ? 1 : size)).slice(dropped),
    ]),
);
const binary = stretched.chain(([a, b]) =>
  fc.boolean().map((isTurned): Case => ({ inputs: isTurned ? [b, a] : [a, b] })),
);
const axes = (rank: number) => fc.subarray([...Array(rank).keys()], { minLength: 1 });
const reduced = (asInput: boolean) =>
  shape(1, 4).chain((one) =>
    fc
      .record({ over: axes(one.length), keepdims: fc.constantFrom(0, 1) })
      .map(
        ({ over, keepdims }): Case =>
          asInput
            ? { attributes: { keepdims }, inputs: [one, constants(...over)] }
            : { attributes: { keepdims, axes: over }, inputs: [one] },
      ),
  );
const argument = shape(1, 4).chain((one) =>
  fc
    .record({ axis: fc.nat(one.length - 1), keepdims: fc.constantFrom(0, 1) })
    .map((attributes): Case => ({ attributes, inputs: [one] })),
);
const alongOne = shape(1, 4).chain((one) =>
  fc
    .integer({ min: -one.length, max: one.length - 1 })
    .map((axis): Case => ({ attributes: { axis }, inputs: [one] })),
);
const image = fc.tuple(length, length, fc.integer({ min: 3, max: 6 }), fc.integer({ min: 3, max: 6 }));
const channels = (count: number) =>
  image.map(([n, c, h, w]): Case => ({ inputs: [[n, c, h, w], ...Array<number[]>(count).fill([c])] }));
const normalised = (withBias: boolean) =>
  shape(2, 4).map((one): Case => {
    const last = [one.at(-1) as number];
    return { attributes: { axis: -1 }, inputs: withBias ? [one, last, last] : [one, last] };
  });
const convolved = fc
  .record({ groups: fc.constantFrom(1, 1, 2, 4), own: length, out: length, n: length, bias: fc.boolean() })
  .map(({ groups, own, out, n, bias }) => ({ groups, n, bias, input: groups * own, own, out: groups * out }));
/** A product of all numbers but one of them is -1: two shapes with as many elements. */
const reshaped = fc
  .tuple(fc.array(fc.constantFrom(1, 2, 3, 4), { minLength: 1, maxLength: 5 }), fc.nat(), fc.nat())
  .map(([factors, a, b]) => {
    const grouped = (seed: number) => {
      const out: number[] = [];
      for (const [at, factor] of factors.entries())
        if (out.length > 0 && (seed >> at) & 1) out[out.length - 1] = (out.at(-1) as number) * factor;
        else out.push(factor);
      return out;
    };
    return [grouped(a), grouped(b)] as const;
  });

const CASES: Record<string, fc.Arbitrary<Case>> = {
  ...Object.fromEntries(
    Object.keys(TABLE)
      .filter(
        (operator) =>
          !['Cast', 'Not', 'And', 'Or', 'Where', 'Clip', 'PRelu', 'BiasGelu', 'Mod'].includes(operator),
      )
      .map((operator) => [operator, unary()]),
  ),
  ...Object.fromEntries(
    ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Sum', 'Pow'].map((operator) => [operator, binary]),
  ),
  Cast: unary({ to: 1 }),
  Clip: shape(1, 4).map((one) => ({ inputs: [one, [], []] })),
  PRelu: stretched.map(([a, b]) => ({ inputs: [a, b] })),
  MatMul: fc.tuple(length, length, length, shape(0, 2), fc.boolean()).map(([m, k, n, batch, isPlain]) => ({
    inputs: [
      [...batch, m, k],
      [...(isPlain ? [] : batch), k, n],
    ],
  })),
  Gemm: fc
    .tuple(
      length,
      length,
      length,
      fc.constantFrom(0, 1),
      fc.constantFrom(0, 1),
      fc.constantFrom('none', 'row', 'column', 'full', 'one'),
    )
    .map(([m, k, n, transA, transB, added]) => {
      const third = { none: undefined, row: [n], column: [m, 1], full: [m, n], one: [1] }[added];
      return {
        attributes: { transA, transB },
        inputs: [transA ? [k, m] : [m, k], transB ? [n, k] : [k, n], ...(third ? [third] : [])],
      };
    }),
  Conv: convolved.map(({ groups, n, bias, input, own, out }) => ({
    attributes: { group: groups, pads: [1, 1, 1, 1] },
    inputs: [[n, input, 4, 3], [out, own, 3, 3], ...(bias ? [[out]] : [])],
  })),
  ConvTranspose: convolved.map(({ groups, n, bias, input, out }) => ({
    attributes: { group: groups },
    inputs: [[n, input, 4, 3], [input, out / groups, 2, 2], ...(bias ? [[out]] : [])],
  })),
  MultiHeadAttention: fc
    .tuple(length, length, length, fc.constantFrom(1, 2, 4, 6))
    .map(([n, s, size, heads]) => ({
      attributes: { num_heads: heads },
      inputs: [
        [n, s, heads * size],
        [n, s, heads * size],
        [n, s, heads * size],
      ],
    })),
  BatchNormalization: channels(4),
  InstanceNormalization: channels(2),
  LayerNormalization: normalised(true),
  SimplifiedLayerNormalization: normalised(false),
  Softmax: alongOne,
  LogSoftmax: alongOne,
  MaxPool: image.map((one) => ({ attributes: { kernel_shape: [2, 2] }, inputs: [[...one]] })),
  AveragePool: image.map((one) => ({
    attributes: { kernel_shape: [2, 2], pads: [1, 0, 1, 0] },
    inputs: [[...one]],
  })),
  GlobalAveragePool: image.map((one) => ({ inputs: [[...one]] })),
  GlobalMaxPool: image.map((one) => ({ inputs: [[...one]] })),
  ArgMax: argument,
  ArgMin: argument,
  ReduceMax: reduced(true),
  ReduceMean: reduced(true),
  ReduceMin: reduced(true),
  ReduceProd: reduced(true),
  ReduceSum: reduced(true),
  Reshape: reshaped.map(([from, to]) => ({ inputs: [from, constants(...to)] })),
  Flatten: shape(1, 4).chain((one) =>
    fc.integer({ min: 0, max: one.length }).map((axis) => ({ attributes: { axis }, inputs: [one] })),
  ),
  Squeeze: shape(1, 3).chain((one) =>
    fc.nat(one.length).map((at) => ({ inputs: [one.toSpliced(at, 0, 1), constants(at)] })),
  ),
  Unsqueeze: shape(1, 3).chain((one) => fc.nat(one.length).map((at) => ({ inputs: [one, constants(at)] }))),
  Transpose: shape(1, 4).chain((one) =>
    fc
      .shuffledSubarray([...one.keys()], { minLength: one.length })
      .map((perm) => ({ attributes: { perm }, inputs: [one] })),
  ),
  Concat: shape(1, 4).chain((one) =>
    fc.tuple(fc.nat(one.length - 1), length).map(([axis, other]) => ({
      attributes: { axis },
      inputs: [one, one.with(axis, other)],
    })),
  ),
  Split: shape(1, 4).chain((one) =>
    fc.nat(one.length - 1).map((axis) => ({
      attributes: { axis },
      inputs: [one.with(axis, (one[axis] as number) + 2), constants(2, one[axis] as number)],
      outputs: 2,
    })),
  ),
  Slice: shape(1, 4).chain((one) =>
    axes(one.length).map((cutAxes) => ({
      inputs: [
        one,
        constants(...cutAxes.map(() => 0)),
        constants(...cutAxes.map((_, at) => at + 1)),
        constants(...cutAxes),
      ],
    })),
  ),
  Pad: shape(1, 4).chain((one) =>
    fc.array(fc.nat(2), { minLength: 2 * one.length, maxLength: 2 * one.length }).map((pads) => ({
      inputs: [one, constants(...pads)],
    })),
  ),
  Resize: image.map(([n, c, h, w]) => ({
    attributes: { mode: 'linear' },
    inputs: [[n, c, h, w], undefined, undefined, constants(n, c, h * 2, w + 1)],
  })),
  Gather: shape(1, 3).chain((one) =>
    fc
      .tuple(fc.nat(one.length - 1), shape(1, 2))
      .map(([axis, indices]) => ({ attributes: { axis }, inputs: [one, indices] })),
  ),
  Expand: stretched.map(([full, less]) => ({ inputs: [less, constants(...full)] })),
};

/** Rows whose inputs are booleans or that need more of ONNX than a test of floats has; each is elementwise as its kin. */
const UNTRIED = [
  'And',
  'BiasGelu',
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Mod',
  'Not',
  'Or',
  'Where',
];
const MICROSOFT = ['FastGelu', 'QuickGelu', 'MultiHeadAttention'];

const meshes = fc.constantFrom(
  meshOf([0, 1]),
  meshOf([0, 1, 2]),
  meshOf([0, 1, 2, 3]),
  meshOf([0, 1], [2], [[1, 2]]),
);

async function runsInPartsAsWhole(
  operator: string,
  { attributes = {}, inputs, outputs = 1 }: Case,
  mesh: ReturnType<typeof meshOf>,
  seed: number,
): Promise<number> {
  let state = seed | 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 0.1 + state / 2 ** 32;
  };
  const node: OneNode = {
    operator,
    domain: MICROSOFT.includes(operator) ? 'com.microsoft' : '',
    opset: 20,
    attributes,
    outputs,
  };
  const whole = inputs.map((input, index): Values | undefined => {
    if (!input) return undefined;
    if ('constants' in input)
      return { type: 'int64', shape: [input.constants.length], data: input.constants };
    const size = input.reduce((product, one) => product * one, 1);
    if (operator === 'Gather' && index === 1) {
      const table = inputs[0] as number[];
      const rows = table[attributes.axis as number] as number;
      return {
        type: 'int64',
        shape: input,
        data: Array.from({ length: size }, () => Math.floor((random() - 0.1) * rows)),
      };
    }
    return { type: 'float32', shape: input, data: Array.from({ length: size }, random) };
  });
  const expected = await runNode(node, whole);
  const view: OperatorView = {
    operator,
    attributes,
    opset: node.opset,
    inputs: whole.map(
      (one) => one && { shape: one.shape, ...(one.type === 'int64' && { values: one.data }) },
    ),
    outputs: expected.map((one) => ({ shape: one.shape })),
  };
  // A graph of this node alone says which of its signatures may be had on this mesh.
  const name = (side: string, index: number) => `${side}${index}`;
  const tensor = (side: string) => (one: { shape: readonly number[] } | undefined, index: number) =>
    [name(side, index), { name: name(side, index), shape: one?.shape ?? [], bytesPerElement: 4 }] as const;
  const graph: LogicalGraph = {
    tensors: new Map([...whole.map(tensor('in')), ...expected.map(tensor('out'))]),
    nodes: [],
    inputs: [],
    outputs: [],
    weights: new Set(),
  };
  const logical = {
    name: 'node',
    operator,
    inputs: whole.map((_, index) => name('in', index)),
    outputs: expected.map((_, index) => name('out', index)),
    signatures: signaturesOf(view).slice(1),
    operations: 0,
  };
  let tried = 0;
  for (const { signatures } of candidatesOf(graph, logical, [mesh])) {
    const [signature] = signatures;
    if (!signature) continue;
    tried += 1;
    const laid = (placement: Placement, of: readonly number[]) =>
      partsOf({ mesh, placements: [placement] }, of);
    const made = expected.map((one) => Array<number>(one.data.length).fill(0));
    const isDone = expected.map(() => new Set<string>());
    for (const host of mesh.hosts.keys()) {
      const parts = whole.map((one, index) => {
        if (!one) return undefined;
        const placement = signature.inputs[index] as Placement;
        const part = laid(placement, one.shape)[host] as Part;
        const own = cut(one, part.region);
        if (placement !== 'P') return own;
        // Terms that are alike, but for the last, which has what the others leave.
        const share = 0.25;
        const isLast = part.term === mesh.hosts.length - 1;
        const factor = isLast ? 1 - share * (mesh.hosts.length - 1) : share;
        return { ...own, data: own.data.map((value) => value * factor) };
      });
      const outputParts = expected.map(
        (one, index) => laid(signature.outputs[index] as Placement, one.shape)[host] as Part,
      );
      const local = localize(
        view,
        parts.map((one) => one?.shape),
        outputParts.map(({ region }) => region.end.map((to, axis) => to - (region.start[axis] as number))),
      );
      const changed = parts.map((one, index) => {
        const values = local.inputs.get(index);
        return one && values ? { ...one, shape: [values.length], data: values } : one;
      });
      const results = await runNode({ ...node, attributes: { ...attributes, ...local.attributes } }, changed);
      for (const [index, result] of results.entries()) {
        const { region } = outputParts[index] as Part;
        const key = region.start.join();
        const placement = signature.outputs[index] as Placement;
        if (placement !== 'P' && isDone[index]?.has(key)) continue;
        isDone[index]?.add(key);
        add(made[index] as number[], (expected[index] as Values).shape, region, result);
      }
    }
    for (const [index, one] of expected.entries())
      for (const [at, value] of one.data.entries()) {
        const off = Math.abs((made[index]?.[at] as number) - value);
        if (off > 1e-4 * Math.max(1, Math.abs(value)))
          throw new Error(`${operator} ${JSON.stringify(signature)}: ${made[index]?.[at]} is not ${value}`);
      }
  }
  return tried;
}

test.each(Object.keys(CASES).filter((operator) => !UNTRIED.includes(operator)))(
  '%s in parts gives what it gives whole',
  async (operator) => {
    let tried = 0;
    await fc.assert(
      fc.asyncProperty(CASES[operator] as fc.Arbitrary<Case>, meshes, fc.nat(), async (one, mesh, seed) => {
        tried += await runsInPartsAsWhole(operator, one, mesh, seed);
      }),
      { numRuns: Number(process.env.FARLIGHT_PROPERTY_RUNS ?? 10), seed: 1 },
    );
    expect(tried, 'signatures that were tried').toBeGreaterThan(0);
  },
);

test('each row of the table is tested, or is elementwise', () => {
  expect(Object.keys(TABLE).filter((operator) => !CASES[operator] && !UNTRIED.includes(operator))).toEqual(
    [],
  );
});
