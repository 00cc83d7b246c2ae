// Models whose operators, shapes or types are unusual give over several hosts what they give on one.
import * as ort from 'onnxruntime-web/wasm';
import { describe, expect, test } from 'vitest';
import { planModel } from '#farlight/shard/plan-model.js';
import { whyNotDirect } from '#farlight/shard/program/pieces.js';
import { load, planOptions, type ShardOptions } from '#farlight/shard/shard.js';
import { type OnnxModel, onnxBytes } from '../infer/lanes/models.js';
import { seeded } from '../support/random/seeded.js';
import { cpuHosts, runAlone } from './support/cpu-host.js';
import { difference } from './support/runs.js';

type Options = Omit<ShardOptions, 'hosts'>;
type Feeds = Readonly<Record<string, ort.Tensor>>;

const random = seeded(1);
const size = (shape: readonly number[]) => shape.reduce((product, one) => product * one, 1);
const values = (shape: readonly number[]) => Float32Array.from({ length: size(shape) }, () => random() - 0.5);
const weight = (...shape: number[]) => ({ shape, values: values(shape) });
const floats = (...shape: number[]) => new ort.Tensor('float32', values(shape), shape);
const wholes = (given: readonly number[], shape: readonly number[] = [given.length]) =>
  new ort.Tensor('int64', BigInt64Array.from(given, BigInt), shape);
const constant = (name: string, ...given: number[]) => ({
  operator: 'Constant',
  inputs: [],
  outputs: [name],
  attributes: { value_ints: given },
});
const x = (...shape: (number | string)[]) => ({ name: 'x', type: 'FP32', shape }) as const;
const y = (...shape: (number | string)[]) => ({ name: 'y', type: 'FP32', shape }) as const;

async function planned(model: OnnxModel, hosts: number, options: Options) {
  const asked = planOptions({ effort: 20_000, ...options, hosts: Array<string>(hosts).fill('') });
  return planModel(onnxBytes(model), { ...asked, route: options.route ?? 'client' });
}

async function givesWhatItGivesAlone(
  model: OnnxModel,
  runs: readonly Feeds[],
  options: Options = {},
  hosts = 2,
): Promise<void> {
  const plan = await planned(model, hosts, options);
  if (options.route === 'direct') expect(whyNotDirect(plan)).toBeUndefined();
  const over = await load(plan, cpuHosts(hosts));
  const alone = await runAlone(onnxBytes(model));
  for (const feeds of runs) {
    const [results, expected] = [await over.run(feeds), await alone.run(feeds)];
    for (const [name, { dims, data }] of Object.entries(expected)) {
      const { dims: own, data: made } = results[name] as ort.Tensor;
      expect([name, own]).toEqual([name, dims]);
      const numbers = (of: typeof data) => Array.from(of as Float32Array, Number);
      if (size(dims) > 0) expect(difference(numbers(made), numbers(data))).toBeLessThan(1e-5);
    }
  }
  await over.release();
  await alone.release();
}

describe('a signature does not change what an operator means', () => {
  test.each(['Div', 'ReduceMean'])(
    '%s drops the remainder of a whole sum, not of its terms',
    async (last) => {
      const end = { Div: ['sum', 'seven'], ReduceMean: ['sum'] }[last] as string[];
      const over = last === 'ReduceMean' ? { axes: [1], keepdims: 1 } : {};
      const type = last === 'ReduceMean' ? 'INT32' : 'INT64';
      const width = last === 'ReduceMean' ? 3 : 1;
      const given = Array<number>(64 * width).fill(1);
      await givesWhatItGivesAlone(
        {
          inputs: [{ name: 'x', type, shape: [64, width] }],
          outputs: [{ name: 'y', type, shape: [1, 1] }],
          nodes: [
            constant('axis', 0),
            constant('seven', 7),
            { operator: 'ReduceSum', inputs: ['x', 'axis'], outputs: ['sum'] },
            { operator: last, inputs: end, outputs: ['y'], attributes: over },
          ],
        },
        [
          {
            x:
              type === 'INT32'
                ? new ort.Tensor('int32', Int32Array.from(given), [64, width])
                : wholes(given, [64, width]),
          },
        ],
      );
    },
  );

  test('the places that a MaxPool gives count in the whole tensor', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x(1, 8, 6, 6)],
        outputs: [y(1, 8, 3, 3), { name: 'places', type: 'INT64', shape: [1, 8, 3, 3] }],
        nodes: [
          {
            operator: 'MaxPool',
            inputs: ['x'],
            outputs: ['y', 'places'],
            attributes: { kernel_shape: [2, 2], strides: [2, 2] },
          },
        ],
      },
      [{ x: floats(1, 8, 6, 6) }],
    );
  });

  test('a Pad that shifts its tensor is not split along the axis that it shifts', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x(8, 1)],
        outputs: [y(8, 1)],
        nodes: [constant('pads', 1, 0, -1, 0), { operator: 'Pad', inputs: ['x', 'pads'], outputs: ['y'] }],
      },
      [{ x: floats(8, 1) }],
    );
  });

  test('a Squeeze without axes leaves an axis that only a part has with length 1', async () => {
    const { report } = await planned(
      {
        inputs: [x(1, 2, 8)],
        outputs: [y(2, 8)],
        nodes: [{ operator: 'Squeeze', inputs: ['x'], outputs: ['y'] }],
      },
      2,
      {},
    );
    expect(report.nodes.map(({ signature }) => signature)).toEqual(['P>P']);
  });

  test('a ReduceSum that reduces nothing leaves its tensor as it is', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x(4, 48)],
        outputs: [y(4, 48)],
        nodes: [
          { operator: 'ReduceSum', inputs: ['x'], outputs: ['y'], attributes: { noop_with_empty_axes: 1 } },
        ],
      },
      [{ x: floats(4, 48) }],
    );
  });

  test('a Resize of named axes gets the lengths of these alone', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x(1, 8, 4, 4)],
        outputs: [y(1, 8, 8, 6)],
        nodes: [
          constant('sizes', 8, 6),
          {
            operator: 'Resize',
            inputs: ['x', '', '', 'sizes'],
            outputs: ['y'],
            attributes: { axes: [2, 3] },
          },
        ],
        opset: 18,
      },
      [{ x: floats(1, 8, 4, 4) }],
    );
  });
});

describe('shapes that are known only in a run', () => {
  const dimensions = { n: [8, 10] } as const;

  test('a Reshape to a computed shape has the length of each run', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x('n', 64)],
        outputs: [y('n', 4, 16)],
        nodes: [
          { operator: 'Shape', inputs: ['x'], outputs: ['n'], attributes: { start: 0, end: 1 } },
          constant('rest', 4, 16),
          { operator: 'Concat', inputs: ['n', 'rest'], outputs: ['shape'], attributes: { axis: 0 } },
          { operator: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] },
        ],
      },
      [{ x: floats(8, 64) }, { x: floats(10, 64) }],
      { dimensions },
    );
  });

  test('a split Reshape to a computed shape has the length of each run', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x('n', 64), { name: 'like', type: 'FP32', shape: ['n', 1] }],
        outputs: [y('n', 4, 16)],
        weights: { w: weight(64, 64) },
        nodes: [
          { operator: 'Shape', inputs: ['like'], outputs: ['n'], attributes: { start: 0, end: 1 } },
          constant('rest', 4, 16),
          { operator: 'Concat', inputs: ['n', 'rest'], outputs: ['shape'], attributes: { axis: 0 } },
          { operator: 'MatMul', inputs: ['x', 'w'], outputs: ['product'] },
          { operator: 'Reshape', inputs: ['product', 'shape'], outputs: ['y'] },
        ],
      },
      [8, 10].map((n) => ({ x: floats(n, 64), like: floats(n, 1) })),
      { dimensions },
    );
  });

  test('an Expand to a computed shape has the length of each run', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x('n', 64)],
        outputs: [y('n', 64)],
        weights: { one: weight(1, 64) },
        nodes: [
          { operator: 'Shape', inputs: ['x'], outputs: ['shape'] },
          { operator: 'Expand', inputs: ['one', 'shape'], outputs: ['y'] },
        ],
      },
      [{ x: floats(8, 64) }, { x: floats(10, 64) }],
      { dimensions, memory: 2 ** 20 },
    );
  });

  test.each([
    ['Pad', [0, 0, 0, 0], [1, 1, -1, -1]],
    ['Reshape', [0, 0], [6, 8]],
  ])('a %s whose numbers the program gives has the numbers of each run', async (operator, first, second) => {
    await givesWhatItGivesAlone(
      {
        inputs: [x(8, 6), { name: 'numbers', type: 'INT64', shape: [first.length] }],
        outputs: [y('a', 'b')],
        nodes: [{ operator, inputs: ['x', 'numbers'], outputs: ['y'] }],
      },
      [first, second].map((numbers) => ({ x: floats(8, 6), numbers: wholes(numbers) })),
    );
  });

  test('a sum in two exchanges is not cut along an axis whose length differs from run to run', async () => {
    const weights = { a: weight(48, 96), b: weight(96, 48), c: weight(48, 96), d: weight(96, 48) };
    const product = (a: string, b: string, made: string) => ({
      operator: 'MatMul',
      inputs: [a, b],
      outputs: [made],
    });
    const softmax = { operator: 'Softmax', inputs: ['sum'], outputs: ['softmax'], attributes: { axis: -1 } };
    const nodes = [
      product('x', 'a', 'first'),
      product('first', 'b', 'sum'),
      softmax,
      product('softmax', 'c', 'third'),
      product('third', 'd', 'y'),
    ];
    await givesWhatItGivesAlone(
      { inputs: [x('n', 48)], outputs: [y('n', 48)], weights, nodes },
      [{ x: floats(8, 48) }, { x: floats(10, 48) }],
      { dimensions, route: 'direct', link: { bitsPerSecond: 1e9, roundTrip: 0 } },
      3,
    );
  });

  test('a model whose shapes follow from values is refused', async () => {
    const model: OnnxModel = {
      inputs: [x(4, 6)],
      outputs: [{ name: 'y', type: 'INT64', shape: [2, 'found'] }],
      nodes: [{ operator: 'NonZero', inputs: ['x'], outputs: ['y'] }],
    };
    await expect(planned(model, 2, {}).then((plan) => load(plan, cpuHosts(2)))).rejects.toThrow(
      'node "node0" (NonZero) gives as many elements as its values say, and such models run on one host only',
    );
  });
});

describe('what is always the same, or empty', () => {
  test('a model gives an output that is the same in each run', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x(4, 6)],
        outputs: [y(4, 6), { name: 'shape', type: 'INT64', shape: [2] }],
        nodes: [
          { operator: 'Shape', inputs: ['x'], outputs: ['shape'] },
          { operator: 'Relu', inputs: ['x'], outputs: ['y'] },
        ],
      },
      [{ x: floats(4, 6) }],
    );
  });

  const appended: Pick<OnnxModel, 'outputs' | 'nodes'> = {
    outputs: [y('m', 6)],
    nodes: [{ operator: 'Concat', inputs: ['past', 'x'], outputs: ['y'], attributes: { axis: 0 } }],
  };

  test('an input that is empty in the first of two runs may be long in later ones', async () => {
    await givesWhatItGivesAlone(
      { ...appended, inputs: [x(1, 6), { name: 'past', type: 'FP32', shape: ['n', 6] }] },
      [0, 3, 5].map((n) => ({ x: floats(1, 6), past: floats(n, 6) })),
      { dimensions: { n: [0, 3] } },
    );
  });

  test('a model has inputs and outputs without elements', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x(1, 6), { name: 'past', type: 'FP32', shape: ['n', 6] }],
        outputs: [...appended.outputs, { name: 'none', type: 'FP32', shape: ['n', 6] }],
        nodes: [...appended.nodes, { operator: 'Relu', inputs: ['past'], outputs: ['none'] }],
      },
      [{ x: floats(1, 6), past: floats(0, 6) }],
      { shapes: { past: [0, 6] } },
    );
  });

  test('a model without weights but axes and shapes fits on each host', async () => {
    await givesWhatItGivesAlone(
      {
        inputs: [x(2, 8)],
        outputs: [y(4, 4)],
        nodes: [constant('shape', 4, 4), { operator: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] }],
      },
      [{ x: floats(2, 8) }],
    );
  });
});
