// A model over several hosts gives what it gives on one, and moves the bytes that its plan says. Here the hosts are the
// CPU kernels of ONNX Runtime; `run-hosts.test.ts` runs the same on GPUs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as ort from 'onnxruntime-web/wasm';
import { describe, expect, test } from 'vitest';
import { deferred } from '#farlight/link/machine/deferred.js';
import { planModel } from '#farlight/shard/plan-model.js';
import { whyNotDirect } from '#farlight/shard/program/pieces.js';
import type { Host } from '#farlight/shard/run/messages.js';
import { load, planOptions, type ShardOptions } from '#farlight/shard/shard.js';

import { REPOSITORY } from '../support/repository.js';
import { type CpuHost, cpuHosts, runAlone } from './support/cpu-host.js';
import { decode, gptModel, gptState } from './support/gpt.mjs';
import { byLayers, difference, linesOf, noting } from './support/runs.js';
import { recognition, textImage } from './support/text-image.js';

const GPT = { layers: 2, width: 48, heads: 12, vocabulary: 97, positions: 80 };
const PROMPT = [1, 2, 3, 4, 5, 6, 7, 8];
const gpt = new Uint8Array(gptModel(GPT));
const ofGpt = {
  dimensions: { new: [1, 2], past: [8, 10], all: [9, 12] },
  state: gptState(GPT.layers),
} as const;

type Options = Omit<ShardOptions, 'hosts'>;

async function overCpus(file: Uint8Array, count: number, options: Options) {
  const hosts = cpuHosts(count);
  const asked = planOptions({ effort: 20_000, ...options, hosts: hosts.map(() => '') });
  const planned = await planModel(file, { ...asked, route: options.route ?? 'client' });
  if (options.route === 'direct') expect(whyNotDirect(planned)).toBeUndefined();
  return { hosts, model: await load(planned, hosts) };
}

/** The values that lie on hosts when all that was asked is done. */
async function left(hosts: readonly Host[]) {
  await Promise.all(hosts.map((host) => host.ask({ ask: 'drop', values: [] })));
  return (hosts as CpuHost[]).flatMap(({ values }) => [...values.keys()]);
}

/** Cases for `npm run shard`: their plans take long. */
const inLongForm = (...cases: [string, number, Options][]) => (process.env.FARLIGHT_SHARD ? cases : []);

/** A line on which exchanges cost nothing but their bytes, so that sums are added in two exchanges. */
const ofBytes = { bitsPerSecond: 1e9, roundTrip: 0 };

describe.each<[string, number, Options]>([
  ['two hosts', 2, {}],
  ['three hosts', 3, {}],
  ['four hosts', 4, {}],
  ['a grid of hosts', 4, { mesh: [2, 2] }],
  ['two uneven hosts', 2, { weights: [1, 2] }],
  ['three uneven hosts', 3, { weights: [1, 2, 3] }],
  ['two hosts with layers', 2, { layers: true }],
  ['one host', 1, {}],
  ['two hosts that talk to each other', 2, { route: 'direct' }],
  ['three hosts that talk to each other', 3, { route: 'direct', link: ofBytes }],
  ['three uneven hosts that talk to each other', 3, { weights: [1, 2, 3], route: 'direct' }],
  ...inLongForm(
    ['four hosts that talk to each other', 4, { route: 'direct' }],
    ['four hosts in two exchanges', 4, { route: 'direct', link: ofBytes }],
    ['a grid of hosts that talk to each other', 4, { mesh: [2, 2], route: 'direct' }],
  ),
])('a GPT over %s', (_, count, options) => {
  test('a split GPT chooses the tokens that it chooses alone, and moves the bytes of its plan', async () => {
    const { model, hosts } = await overCpus(gpt, count, { ...ofGpt, ...options });
    const alone = await runAlone(gpt);
    const steps = 12;
    const noted = noting(model);
    const { tokens, logits } = await decode(noted, GPT, PROMPT, steps);
    const expected = await decode(alone, GPT, PROMPT, steps);
    expect(tokens).toEqual(expected.tokens);
    for (const [step, one] of logits.entries())
      expect(difference(one, expected.logits[step] ?? [])).toBeLessThan(1e-5);
    // The plan is for one token behind eight others.
    expect(noted.runs[1]).toEqual(linesOf(model));
    const again = await decode(model, GPT, PROMPT, steps);
    expect(again.logits).toEqual(logits);
    expect(await left(hosts)).toEqual([]);
    await model.release();
    await alone.release();
  }, 60_000);
});

test('a model whose layers lie on two hosts gives the same bits as on one', async () => {
  const shallow = { ...GPT, layers: 1 };
  const file = new Uint8Array(gptModel(shallow));
  const asked = { ...ofGpt, state: gptState(1) };
  const one = await overCpus(file, 1, asked);
  const two = await overCpus(file, 2, { ...asked, ...byLayers });
  expect(two.model.plan.nodes.filter(({ signature }) => /[PS]/.test(signature))).toEqual([]);
  expect(new Set(two.model.plan.nodes.flatMap((node) => node.hosts)).size).toBe(2);
  const { logits } = await decode(two.model, shallow, PROMPT, 4);
  expect(logits).toEqual((await decode(one.model, shallow, PROMPT, 4)).logits);
  await one.model.release();
  await two.model.release();
}, 60_000);

describe.each<[string, number, Options]>([
  ['two hosts', 2, {}],
  ['three uneven hosts', 3, { weights: [1, 2, 3] }],
  ['two hosts that talk to each other', 2, { route: 'direct' }],
  ...inLongForm(
    ['three uneven hosts that talk to each other', 3, { weights: [1, 2, 3], route: 'direct' }],
    ['four hosts', 4, {}],
    ['four hosts that talk to each other', 4, { route: 'direct' }],
  ),
])('a text recognition over %s', (_, count, options) => {
  test('a split recognition reads what it reads alone, and moves the bytes of its plan', async () => {
    const { model, hosts } = await overCpus(recognition, count, {
      ...options,
      shapes: { x: textImage().dims },
    });
    const alone = await runAlone(new Uint8Array(recognition));
    const [name = ''] = model.outputNames;
    const results = await model.run({ x: textImage() });
    const expected = await alone.run({ x: textImage() });
    expect(results[name]?.dims).toEqual(expected[name]?.dims);
    const values = (tensor: unknown) => (tensor as ort.Tensor).data as Float32Array;
    expect(difference(values(results[name]), values(expected[name]))).toBeLessThan(1e-5);
    expect(model.moved).toEqual(linesOf(model));
    expect(model.moved.some(({ from, bytes }) => from !== 'client' && bytes > 0)).toBe(true);
    expect(await left(hosts)).toEqual([]);
    await model.release();
    await alone.release();
  }, 120_000);
});

test('a model that loses a host gives its hosts back once, and leaves the error of that to release()', async () => {
  const [real] = cpuHosts(1) as [CpuHost];
  const { promise: lost, resolve: lose } = deferred<Error>();
  const host: Host = { ask: (request) => real.ask(request), close: () => real.close(), lost };
  let times = 0;
  const closed = async () => {
    times += 1;
    throw new Error('the pool does not answer');
  };
  const file = new Uint8Array(gptModel({ layers: 1, width: 24, heads: 4, vocabulary: 31, positions: 16 }));
  const asked = planOptions({ dimensions: { new: 1, past: 8, all: 9 }, effort: 5_000, hosts: [''] });
  const model = await load(await planModel(file, asked), [host], { closed });
  lose(new Error('host a: its GPU is lost'));
  expect((await model.lost).message).toBe('host a: its GPU is lost');
  await expect(model.run({})).rejects.toThrow('host a: its GPU is lost');
  await expect(model.release()).rejects.toThrow('the pool does not answer');
  expect(times).toBe(1);
}, 60_000);

test('a model with nodes that have graphs of their own is refused', async () => {
  const silero = readFileSync(
    join(REPOSITORY, 'node_modules/@ricky0123/vad-web/dist/silero_vad_legacy.onnx'),
  );
  const shapes = { input: [1, 512], sr: [], h: [2, 1, 64], c: [2, 1, 64] };
  await expect(overCpus(silero, 1, { shapes })).rejects.toThrow(
    'node "If_25" (If) has graphs of its own, and such models run on one host only',
  );
}, 30_000);
