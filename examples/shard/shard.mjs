// A small GPT over two hosts, each with half of its weights and half of the heads of its cache. It chooses the tokens
// that it chooses on the CPU of this machine.
//
//   node --liftoff-only shard.mjs [--host URL --host URL ...] [--steps N]
//
// Without addresses it starts two hosts with a software GPU.
import { parseArgs } from 'node:util';
import { shard } from 'farlight/shard';
import { testHost } from 'farlight/testing';
import * as ort from 'onnxruntime-web/wasm';
import { decode } from './decode.mjs';
import { gptModel, gptState } from './gpt.mjs';

const { values: flags } = parseArgs({
  options: { host: { type: 'string', multiple: true }, steps: { type: 'string', default: '16' } },
});
const GPT = { layers: 1, width: 48, heads: 12, vocabulary: 97, positions: 512 };
const PROMPT = [1, 2, 3, 4, 5, 6, 7, 8];
const file = gptModel(GPT);

const started = flags.host ? [] : [await testHost(), await testHost()];
const hosts = flags.host ?? started.map(({ url }) => url);
const model = await shard(file, {
  hosts,
  // One token after another: the cache grows, and so does the mask.
  dimensions: { new: [1, 2], past: [8, 10], all: [9, 12] },
  // These outputs stay on the hosts, and go into the next run.
  state: gptState(GPT.layers),
});
const start = performance.now();
const { tokens } = await decode(model, GPT, PROMPT, Number(flags.steps));
const ms = (performance.now() - start) / Number(flags.steps);
console.log(`tokens ${tokens.join(' ')}`);
console.log(`${ms.toFixed(1)} ms a token over ${hosts.length} hosts`);
for (const { host, weights } of model.plan.hosts) console.log(`host ${host}: ${weights} bytes of weights`);
for (const { from, to, bytes } of model.moved) console.log(`${from} to ${to}: ${bytes} bytes`);
await model.release();
for (const host of started) await host.close();

ort.env.wasm.numThreads = 1;
const expected = await decode(await ort.InferenceSession.create(file), GPT, PROMPT, Number(flags.steps));
if (expected.tokens.join() !== tokens.join())
  throw new Error(`the CPU of this machine chooses ${expected.tokens.join(' ')}`);
console.log('the CPU of this machine chooses the same tokens');
