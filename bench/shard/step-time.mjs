// The time of a step of a model over two hosts, predicted by its plan and measured on emulated links. Each dispatch takes
// a given time on the hosts' GPUs (timed-executor.mjs).
//
//   node --liftoff-only bench/shard/step-time.mjs [--route client] [--dispatch MS] [--steps N]
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-web/wasm';
import { Daemon } from '../../dist/server/daemon.js';
import { shard } from '../../dist/shard/index.js';
import { emulateLink } from '../../dist/testing/index.js';
import { gptModel, gptState } from '../../examples/shard/gpt.mjs';

const GPT = { layers: 2, width: 384, heads: 12, vocabulary: 1000, positions: 64 };
const NEW = 32;
const PAST = 8;
const STATE = Object.entries(gptState(GPT.layers));
const { values: flags } = parseArgs({
  options: {
    route: { type: 'string', default: 'direct' },
    dispatch: { type: 'string', default: '4' },
    steps: { type: 'string', default: '25' },
  },
});
const STEPS = Number(flags.steps);
const WARM_UP = 10;
const counts = mkdtempSync(join(tmpdir(), 'farlight-dispatches-'));
process.env.FARLIGHT_DISPATCH_MS = flags.dispatch;
process.env.FARLIGHT_DISPATCHES = counts;

/** The dispatches of each executor so far. */
const dispatches = () => readdirSync(counts).map((name) => Number(readFileSync(join(counts, name), 'utf8')));
/** Other programs of the machine only make steps longer, so the faster steps tell more. */
const lowerQuartile = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 4)];
const zeros = (shape) => new ort.Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b)), shape);
const whole = (of) =>
  new ort.Tensor(
    'int64',
    BigInt64Array.from({ length: NEW }, (_, at) => of(at)),
    [1, NEW],
  );

const file = gptModel(GPT);
console.log(`${flags.route}, ${flags.dispatch} ms a dispatch`);
console.log('   rtt      mbit  stages  predicted  measured   ratio');
for (const mbit of [1000, 100])
  for (const rttMs of [1, 10, 30]) {
    const daemons = [];
    const links = [];
    for (let host = 0; host < 2; host += 1) {
      const executorEntry = new URL('./timed-executor.mjs', import.meta.url);
      const peers = ['grpc://127.0.0.1:1', ...links.map(({ url }) => url)];
      const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', executorEntry, peers });
      daemons.push(daemon);
      links.push(await emulateLink({ target: daemon.url, rttMs, mbit }));
    }
    const model = await shard(file, {
      hosts: links.map(({ url }) => url),
      dimensions: { new: NEW, past: PAST, all: NEW + PAST },
      effort: 20_000,
      route: flags.route,
      link: { bitsPerSecond: mbit * 1e6, roundTrip: rttMs / 1000 },
      // The time of the GPUs is counted below.
      operationsPerSecond: Number.POSITIVE_INFINITY,
    });
    const cache = Object.fromEntries(
      STATE.map(([input]) => [input, zeros([1, GPT.heads, PAST, GPT.width / GPT.heads])]),
    );
    const step = async () => {
      const feeds = { ids: whole(() => 1n), positions: whole(BigInt), mask: zeros([NEW, NEW + PAST]) };
      const start = performance.now();
      await model.run({ ...feeds, ...cache });
      return performance.now() - start;
    };
    for (let at = 0; at < WARM_UP; at += 1) await step();
    const before = dispatches();
    const times = [];
    for (let at = 0; at < STEPS; at += 1) times.push(await step());
    const ofStep = Math.max(...dispatches().map((count, at) => count - (before[at] ?? 0))) / STEPS;
    const measured = lowerQuartile(times);
    const predicted = model.plan.seconds.whole * 1000 + ofStep * Number(flags.dispatch);
    console.log(
      [
        rttMs,
        mbit,
        model.plan.stages,
        predicted.toFixed(1),
        measured.toFixed(1),
        (predicted / measured).toFixed(2),
      ]
        .map((value, at) => String(value).padStart([6, 10, 8, 11, 10, 8][at]))
        .join(''),
    );
    await model.release();
    for (const link of links) await link.close();
    for (const daemon of daemons) await daemon.close();
    for (const name of readdirSync(counts)) rmSync(join(counts, name));
  }
rmSync(counts, { recursive: true });
