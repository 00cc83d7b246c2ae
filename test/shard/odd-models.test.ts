// Models whose operators, sizes or types are unusual give over several hosts what they give on one.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FunctionProtoSchema, ModelProtoSchema, NodeProtoSchema, OperatorSetIdProtoSchema } from 'onnx-buf';
import * as ort from 'onnxruntime-web/wasm';
import { describe, expect, test } from 'vitest';
import { planModel } from '#farlight/shard/plan-model.js';
import { load, planOptions } from '#farlight/shard/shard.js';
import { type OnnxModel, onnxBytes } from '../infer/lanes/models.js';
import { cpuHosts } from './support/cpu-host.js';
import {
  constant,
  floats,
  givesWhatItGivesAlone,
  planned,
  weight,
  wholes,
  x,
  y,
} from './support/odd-models.js';
import { difference } from './support/runs.js';

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

  test.each(['client', 'direct'] as const)(
    'a model gives its weights, also one that no node takes, by the way %s',
    async (route) => {
      const given = (name: string, ...shape: number[]) => ({ name, type: 'FP32', shape }) as const;
      await givesWhatItGivesAlone(
        {
          inputs: [x(4, 6)],
          outputs: [y(4, 6), given('w', 6, 6), given('folded', 6), given('free', 3)],
          nodes: [
            { operator: 'MatMul', inputs: ['x', 'w'], outputs: ['product'] },
            { operator: 'Relu', inputs: ['folded'], outputs: ['constant'] },
            { operator: 'Add', inputs: ['product', 'constant'], outputs: ['sum'] },
            { operator: 'Mul', inputs: ['sum', 'weight of w'], outputs: ['y'] },
          ],
          weights: { w: weight(6, 6), folded: weight(6), free: weight(3), 'weight of w': weight(1) },
        },
        [{ x: floats(4, 6) }],
        { route },
      );
    },
  );

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

test('a model with functions of its own is refused with a sentence that says how to do without', async () => {
  const model = fromBinary(
    ModelProtoSchema,
    onnxBytes({
      inputs: [x(4, 6)],
      outputs: [y(4, 6)],
      nodes: [{ operator: 'Twice', inputs: ['x'], outputs: ['y'] }],
    }),
  );
  const opset = create(OperatorSetIdProtoSchema, { domain: '', version: 17n });
  model.irVersion = 8n;
  model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'own', version: 1n }));
  for (const node of model.graph?.node ?? []) node.domain = 'own';
  const add = create(NodeProtoSchema, { opType: 'Add', input: ['a', 'a'], output: ['b'] });
  model.functions.push(
    create(FunctionProtoSchema, {
      ...{ name: 'Twice', domain: 'own', input: ['a'], output: ['b'] },
      ...{ node: [add], opsetImport: [opset] },
    }),
  );
  const options = planOptions({ hosts: ['', ''] });
  await expect(planModel(toBinary(ModelProtoSchema, model), options)).rejects.toThrow(
    'node "node0" (Twice) is a function of the model itself, which does not go to hosts: put it into the graph with onnx.inliner.inline_local_functions of Python',
  );
});

describe('a node that is random', () => {
  const training = { name: 'training', type: 'BOOL', shape: [] } as const;
  const isTraining = new ort.Tensor('bool', Uint8Array.of(1), []);
  const half = { shape: [], values: Float32Array.of(0.5) };
  /** For each operator, the node that makes `random`. */
  const nodes = {
    RandomNormal: { inputs: [], attributes: { shape: [8, 16] } },
    RandomUniform: { inputs: [], attributes: { shape: [8, 16] } },
    RandomNormalLike: { inputs: ['x'] },
    RandomUniformLike: { inputs: ['x'] },
    Bernoulli: { inputs: ['sigmoid'] },
    Dropout: { inputs: ['x', 'half', 'training'] },
  };
  const modelOf = (operator: keyof typeof nodes): OnnxModel => ({
    inputs: operator === 'Dropout' ? [x(8, 16), training] : [x(8, 16)],
    outputs: [y(8, 32), { name: 'random', type: 'FP32', shape: [8, 16] }],
    nodes: [
      { operator: 'Sigmoid', inputs: ['x'], outputs: ['sigmoid'] },
      { operator, outputs: ['random'], ...nodes[operator] },
      { operator: 'Add', inputs: ['random', 'sigmoid'], outputs: ['sum'] },
      { operator: 'MatMul', inputs: ['sum', 'w'], outputs: ['y'] },
    ],
    weights: { w: weight(16, 32), ...(operator === 'Dropout' && { half }) },
  });

  test.each(Object.keys(nodes) as (keyof typeof nodes)[])(
    '%s runs on one host alone, so that all hosts compute with the same numbers',
    async (operator) => {
      for (const options of [
        { route: 'client' },
        { route: 'direct' },
        { route: 'direct', layers: true },
        { route: 'client', mesh: [1, 2] },
      ] as const) {
        const model = modelOf(operator);
        const plan = await planned(model, 2, options);
        const node = plan.report.nodes.find((one) => one.operator === operator);
        expect(node?.hosts).toHaveLength(1);
        const over = await load(plan, cpuHosts(2));
        const given = floats(8, 16);
        const feeds = { x: given, ...(operator === 'Dropout' && { training: isTraining }) };
        const { y: made, random } = await over.run(feeds);
        const numbers = (random as ort.Tensor).data as Float32Array;
        const product = (made as ort.Tensor).data as Float32Array;
        const w = model.weights?.w?.values as Float32Array;
        const sum = numbers.map((one, at) => one + 1 / (1 + Math.exp(-(given.data[at] as number))));
        const expected = Array.from(product, (_, at) => {
          const [row, column] = [Math.floor(at / 32), at % 32];
          let all = 0;
          for (let k = 0; k < 16; k += 1)
            all += (sum[row * 16 + k] as number) * (w[k * 32 + column] as number);
          return all;
        });
        expect(difference([...product], expected)).toBeLessThan(1e-5);
        await over.release();
      }
    },
  );

  test('a shape that comes from a random number is not taken for known', async () => {
    const model: OnnxModel = {
      inputs: [x(4, 6)],
      outputs: [y(1, 'found')],
      nodes: [
        { operator: 'RandomUniform', inputs: [], outputs: ['drawn'], attributes: { shape: [4] } },
        { operator: 'NonZero', inputs: ['drawn'], outputs: ['places'] },
        { operator: 'Cast', inputs: ['places'], outputs: ['y'], attributes: { to: 1 } },
      ],
    };
    await expect(planned(model, 2, {}).then((plan) => load(plan, cpuHosts(2)))).rejects.toThrow(
      'node "node1" (NonZero) gives as many elements as its values say, and such models run on one host only',
    );
  });
});
