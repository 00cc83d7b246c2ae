// Models whose shapes are known only in a run give over several hosts what they give on one.
import { describe, expect, test } from 'vitest';
import { load } from '#farlight/shard/shard.js';
import type { OnnxModel } from '../infer/lanes/models.js';
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
