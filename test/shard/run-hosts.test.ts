// Models over real hosts: each a worker with ONNX Runtime Web on a GPU of its own.
import { afterAll, describe, expect, test } from 'vitest';
import '../support/programs/liftoff.js';
import { type ShardOptions, shard } from '#farlight/shard/index.js';
import { type TestHost, testHost } from '#farlight/testing/index.js';

import { runAlone } from './support/cpu-host.js';
import { decode, gptModel, gptState } from './support/gpt.mjs';
import { byLayers, difference, linesOf, noting } from './support/runs.js';

const GPT = { layers: 1, width: 48, heads: 12, vocabulary: 97, positions: 80 };
const PROMPT = [1, 2, 3, 4, 5, 6, 7, 8];
const gpt = new Uint8Array(gptModel(GPT));
const asked: Omit<ShardOptions, 'hosts'> = {
  dimensions: { new: [1, 2], past: [8, 10], all: [9, 12] },
  state: gptState(GPT.layers),
  effort: 20_000,
};

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
  test.each([
    ['direct', 2],
    ['client', 2],
    ...(process.env.FARLIGHT_SHARD
      ? ([
          ['direct', 3],
          ['direct', 4],
        ] as const)
      : []),
  ] as const)(
    'chooses (%s, %i hosts) the 64 tokens that it chooses on one, with its cache on the hosts',
    async (route, count) => {
      const alone = await runAlone(gpt);
      const expected = await decode(alone, GPT, PROMPT, 64);
      const model = await shard(gpt, { ...asked, hosts: await onSoftware(count), route });
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
