// A model that is larger than the GPU memory of one host.
import * as ort from 'onnxruntime-web/wasm';
import { afterAll, expect, test } from 'vitest';
import '../support/programs/liftoff.js';
import { type ShardOptions, shard } from '#farlight/shard/index.js';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { gptModel, gptState } from './support/gpt.mjs';

/** 14 MiB of weights. */
const GPT = { layers: 1, width: 512, heads: 8, vocabulary: 500, positions: 16 };
const MIB = 2 ** 20;
const ROOM = 12 * MIB;
const gpt = new Uint8Array(gptModel(GPT));
const asked: Omit<ShardOptions, 'hosts'> = {
  dimensions: { new: 1, past: 8, all: 9 },
  state: gptState(GPT.layers),
  effort: 5_000,
};
const servers: ServeProcess[] = [];

afterAll(async () => {
  for (const { child, ended } of servers) {
    child.kill('SIGKILL');
    await ended;
  }
});

async function withRoom(count: number): Promise<string[]> {
  while (servers.length < count) servers.push(await ServeProcess.start('--gpu-memory', String(ROOM)));
  return servers.slice(0, count).map(({ url }) => url);
}

test('a model that is too large for one host runs over two, and on one it is refused with the figures', async () => {
  const one = await withRoom(1);
  await expect(shard(gpt, { ...asked, hosts: one, memory: ROOM })).rejects.toThrow(
    /^the weights of the model \(14\.\d MiB\) do not fit on these hosts \(12\.0 MiB in all\)/,
  );
  // Where the plan knows of no limit, the host says it.
  await expect(shard(gpt, { ...asked, hosts: one })).rejects.toThrow(/^host \S+: .*14\.\d MiB of weights/s);
  const half = (1.05 * gpt.length) / 2;
  const model = await shard(gpt, { ...asked, hosts: await withRoom(2), memory: half });
  for (const { weights } of model.plan.hosts) expect(weights).toBeLessThanOrEqual(half);
  const cache = () => new ort.Tensor('float32', new Float32Array(8 * 512), [1, 8, 8, 64]);
  const whole = (value: bigint) => new ort.Tensor('int64', BigInt64Array.of(value), [1, 1]);
  const results = await model.run({
    ids: whole(1n),
    positions: whole(8n),
    mask: new ort.Tensor('float32', new Float32Array(9), [1, 9]),
    ...Object.fromEntries(Object.keys(gptState(1)).map((name) => [name, cache()])),
  });
  expect(results.logits?.dims).toEqual([1, 1, 500]);
  await model.release();
}, 120_000);
