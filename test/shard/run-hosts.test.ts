// Models over real hosts: each a worker with ONNX Runtime Web on a GPU of its own.
import * as ort from 'onnxruntime-web/wasm';
import { afterAll, describe, expect, test } from 'vitest';
import { elements } from '#farlight/infer/service/tensor.js';
import '../support/programs/liftoff.js';
import { type ShardOptions, shard } from '#farlight/shard/index.js';
import type { Route } from '#farlight/shard/plan/costs.js';
import { type TestHost, testHost } from '#farlight/testing/index.js';

import { until } from '../support/machine/processes.js';
import { seeded } from '../support/random/seeded.js';
import { runAlone } from './support/cpu-host.js';
import { decode, gptModel, gptState } from './support/gpt.mjs';
import { byLayers, difference, linesOf, noting } from './support/runs.js';
import { engineOver, inputsOf } from './support/served.js';
import { recognition, textImage } from './support/text-image.js';

const GPT = { layers: 1, width: 48, heads: 12, vocabulary: 97, positions: 80 };
const PROMPT = [1, 2, 3, 4, 5, 6, 7, 8];
const gpt = new Uint8Array(gptModel(GPT));
const asked: Omit<ShardOptions, 'hosts'> = {
  dimensions: { new: [1, 2], past: [8, 10], all: [9, 12] },
  state: gptState(GPT.layers),
  effort: 20_000,
};

/** Cases for `npm run shard`: software GPUs share the machine's cores. */
const inLongForm = <Case>(...cases: Case[]) => (process.env.FARLIGHT_SHARD ? cases : []);

const hosts: TestHost[] = [];

afterAll(async () => {
  for (const host of hosts) await host.close();
});

async function onSoftware(count: number): Promise<string[]> {
  while (hosts.length < count)
    hosts.push(
      await testHost({ adapter: 'software', peers: ['grpc://127.0.0.1:1', ...hosts.map(({ url }) => url)] }),
    );
  return hosts.slice(0, count).map(({ url }) => url);
}

describe('a GPT over GPUs', () => {
  test.each<[Route, number, Partial<ShardOptions>]>([
    ['direct', 2, {}],
    ['client', 2, {}],
    ...inLongForm<[Route, number, Partial<ShardOptions>]>(
      ['direct', 3, {}],
      ['client', 3, {}],
      ['direct', 3, { weights: [1, 2, 3] }],
      ['client', 3, { weights: [1, 2, 3] }],
      ['direct', 4, {}],
      ['client', 4, {}],
      ['direct', 4, { weights: [2, 1, 1, 2] }],
      ['client', 4, { weights: [2, 1, 1, 2] }],
    ),
  ])(
    'chooses (%s, %i hosts, %j) the 64 tokens that it chooses on one, with its cache on the hosts',
    async (route, count, options) => {
      const alone = await runAlone(gpt);
      const expected = await decode(alone, GPT, PROMPT, 64);
      const model = await shard(gpt, { ...asked, ...options, hosts: await onSoftware(count), route });
      const noted = noting(model);
      const { tokens, logits } = await decode(noted, GPT, PROMPT, 64);
      expect(tokens).toEqual(expected.tokens);
      for (const [step, one] of logits.entries())
        expect(difference(one, expected.logits[step] ?? [])).toBeLessThan(1e-5);
      expect(noted.runs[1]).toEqual(linesOf(model));
      // The mask alone grows with the cache.
      for (const [step, run] of noted.runs.entries())
        if (step > 0)
          for (const [at, { from, bytes }] of run.entries())
            expect(bytes - (noted.runs[1]?.[at]?.bytes ?? 0)).toBe(from === 'client' ? 4 * (step - 1) : 0);
      await model.release();
      await alone.release();
    },
    120_000,
  );

  test.runIf(process.env.FARLIGHT_SHARD)(
    'gives the same bits as one host where its layers lie on several',
    async () => {
      const one = await shard(gpt, { ...asked, hosts: await onSoftware(1) });
      const expected = await decode(one, GPT, PROMPT, 4);
      await one.release();
      const model = await shard(gpt, { ...asked, hosts: await onSoftware(2), ...byLayers });
      const signatures = model.plan.nodes.map(({ signature }) => signature);
      expect(signatures.filter((signature) => signature.includes('P'))).toEqual([]);
      expect(new Set(model.plan.nodes.flatMap(({ hosts }) => hosts)).size).toBe(2);
      const { logits } = await decode(model, GPT, PROMPT, 4);
      expect(logits).toEqual(expected.logits);
      await model.release();
    },
    120_000,
  );
});

describe.skipIf(!process.env.FARLIGHT_SHARD)('a text recognition over GPUs (npm run shard)', () => {
  test.each<[Route, number, Partial<ShardOptions>]>([
    ['direct', 2, { weights: [1, 2] }],
    ['client', 2, {}],
    ['direct', 3, { weights: [1, 2, 3] }],
    ['client', 3, { weights: [1, 2, 3] }],
    ['direct', 4, {}],
    ['client', 4, {}],
    ['direct', 4, { weights: [2, 1, 1, 2] }],
    ['client', 4, { weights: [2, 1, 1, 2] }],
  ])(
    'reads (%s, %i hosts, %j) what it reads alone',
    async (route, count, options) => {
      const alone = await runAlone(new Uint8Array(recognition));
      const [expected] = Object.values(await alone.run({ x: textImage() })) as [ort.Tensor];
      const model = await shard(recognition, {
        ...options,
        hosts: await onSoftware(count),
        route,
        effort: 20_000,
        shapes: { x: textImage().dims },
      });
      const [result] = Object.values(await model.run({ x: textImage() })) as [ort.Tensor];
      expect(difference(result.data as Float32Array, expected.data as Float32Array)).toBeLessThan(1e-5);
      expect(model.moved).toEqual(linesOf(model));
      await model.release();
      await alone.release();
    },
    300_000,
  );
});

describe('a GPT over two hosts of the inference server', () => {
  test('a GPT over two hosts of the server answers as it does alone, and leaves their lanes so much less memory', async () => {
    const MEMORY = 64 * 2 ** 20;
    const served = await engineOver(gpt, await onSoftware(2), MEMORY);
    await served.engine.loaded;
    expect(served.log).toEqual([]);
    const { inputs, maxBatchSize } = served.engine.configuration('gpt');
    expect(inputs.slice(0, 3).map(({ shape }) => shape)).toEqual([
      [1, 1],
      [1, 1],
      [1, -1],
    ]);
    expect(maxBatchSize).toBe(0);
    const alone = await runAlone(gpt);
    for (const past of [8, 10]) {
      const random = seeded(past);
      const given = inputsOf(GPT, past, random);
      const { outputs } = await served.engine.infer({ model: 'gpt', inputs: given });
      const feeds = given.map(({ name, datatype, shape, data }) => {
        const type = datatype === 'FP32' ? 'float32' : 'int64';
        return [name, new ort.Tensor(type, elements(datatype, data as Uint8Array) as Float32Array, shape)];
      });
      const expected = await alone.run(Object.fromEntries(feeds));
      expect(outputs.map(({ name }) => name)).toEqual(['logits', '0.key.all', '0.value.all']);
      for (const { name, datatype, shape, data } of outputs) {
        const { dims, data: wanted } = expected[name] as ort.Tensor;
        expect(shape).toEqual(dims);
        const values = elements(datatype, data as Uint8Array) as Float32Array;
        expect(difference(values, wanted as Float32Array)).toBeLessThan(1e-5);
      }
    }
    const left = () => served.hosts.map(({ memory }) => memory.capacity.bytes);
    for (const bytes of left()) expect(MEMORY - bytes).toBeGreaterThan(30_000);
    await served.engine.unload('gpt');
    await until(() => left().every((bytes) => bytes === MEMORY));
    await served.close();
    await alone.release();
  }, 120_000);
});
