// The costs of a step over several hosts on the wire: how often it waits, and the bytes beside its tensors.
import * as ort from 'onnxruntime-web/wasm';
import { afterAll, describe, expect, test } from 'vitest';
import '../support/programs/liftoff.js';
import { type HostTensor, type ShardOptions, shard } from '#farlight/shard/index.js';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { seeded } from '../support/random/seeded.js';
import { gptModel, gptState } from './support/gpt.mjs';

const WARM_UP = 20;
const STEPS = 10;
const state = gptState(1);
const hosts: TestHost[] = [];

afterAll(async () => {
  for (const host of hosts) await host.close();
});

/** Runs a small GPT on new values each time. Returns what the hosts count in ten steps, and what the model counts. */
async function stepsOf(fresh: number, past: number, options: Partial<ShardOptions>, warmUp = WARM_UP) {
  while (hosts.length < 2)
    hosts.push(await testHost({ adapter: 'null', peers: [hosts[0]?.url ?? 'grpc://127.0.0.1:1'] }));
  const GPT = { layers: 1, width: 64, heads: 4, vocabulary: 31, positions: 256 };
  const model = await shard(new Uint8Array(gptModel(GPT)), {
    hosts: hosts.map(({ url }) => url),
    dimensions: { new: fresh, past, all: fresh + past },
    state,
    effort: 5_000,
    route: 'client',
    ...options,
  });
  const random = seeded(3);
  const floats = (shape: number[]) => {
    const size = shape.reduce((product, length) => product * length, 1);
    return new ort.Tensor('float32', Float32Array.from({ length: size }, random), shape);
  };
  const whole = () => {
    const numbers = BigInt64Array.from({ length: fresh }, () => BigInt(Math.floor(random() * 31)));
    return new ort.Tensor('int64', numbers, [1, fresh]);
  };
  const step = async () => {
    const results = await model.run({
      ids: whole(),
      positions: whole(),
      mask: floats([fresh, fresh + past]),
      ...Object.fromEntries(Object.keys(state).map((name) => [name, floats([1, 4, past, 16])])),
    });
    for (const output of Object.values(state)) (results[output] as HostTensor).dispose();
  };
  const counted = async () => {
    // Hosts report their counts a few times a second.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return hosts.map(({ counters }) => ({ ...counters }));
  };
  for (let at = 0; at < warmUp; at += 1) await step();
  const [before, moved] = [await counted(), model.moved];
  for (let at = 0; at < STEPS; at += 1) await step();
  const after = await counted();
  expect(model.plan.route).toBe(options.route ?? 'client');
  const payload = model.moved.map(({ bytes }, at) => bytes - (moved[at]?.bytes ?? 0));
  const of = (name: keyof (typeof hosts)[0]['counters']) =>
    after.map((counters, host) => counters[name] - (before[host]?.[name] ?? 0));
  await model.release();
  return { stages: model.plan.stages, payload, of };
}

test('a step over hosts that talk to each other waits once', async () => {
  const { stages, of } = await stepsOf(1, 8, { route: 'direct' });
  expect(stages).toBeGreaterThan(2);
  expect(of('framesDown')).toEqual([STEPS, STEPS]);
}, 120_000);

test('by way of the client, a step waits once for each of its stages', async () => {
  const { stages, of } = await stepsOf(1, 8, {});
  expect(stages).toBeGreaterThan(2);
  expect(of('framesDown')).toEqual([STEPS * stages, STEPS * stages]);
}, 120_000);

describe('the bytes between two hosts', () => {
  test.each([
    [2048, 8, 1.03],
    [65_536, 256, 1.001],
  ])(
    'are hardly more than those of the tensors of %i bytes that go over',
    async (size, fresh, most) => {
      const { payload, of } = await stepsOf(fresh, 8, { route: 'direct' }, 1);
      // The lines to and from the client come first.
      const between = payload.slice(4);
      expect(between.length).toBe(2);
      for (const [host, bytes] of between.entries()) {
        expect(bytes).toBeGreaterThanOrEqual(STEPS * size);
        for (const wire of [of('bytesToHosts')[host] ?? 0, of('bytesFromHosts')[1 - host] ?? 0]) {
          expect(wire).toBeGreaterThan(bytes);
          expect(wire / bytes).toBeLessThan(most);
        }
      }
    },
    120_000,
  );
});

describe('the bytes on the wire', () => {
  test.each([
    [2048, 16, 16, 1.03],
    [65_536, 128, 128, 1.001],
  ])(
    'are hardly more than those of %i bytes of new values',
    async (size, fresh, past, most) => {
      // With this much room nothing is split: all that moves are inputs, which are new each time, and outputs.
      const { stages, payload, of } = await stepsOf(fresh, past, { memory: 1e9 });
      expect(stages).toBe(1);
      const [down = 0, up = 0] = payload;
      expect(down).toBeGreaterThan(STEPS * size);
      for (const [wire = 0, tensors] of [
        [of('bytesUp')[0], down],
        [of('bytesDown')[0], up],
      ] as const) {
        expect(wire).toBeGreaterThan(tensors);
        expect(wire / tensors).toBeLessThan(most);
      }
    },
    120_000,
  );
});
