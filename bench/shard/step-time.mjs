// The time of a step of a model over two hosts, predicted by its plan and measured on emulated links. The hosts have the
// null adapter, which computes nothing: the time that the plan gives a stage for computing passes before it is asked.
//
//   node --liftoff-only bench/shard/step-time.mjs [--computing MS]
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-web/wasm';
import { planModel } from '../../dist/shard/index.js';
import { HostWorker } from '../../dist/shard/run/host-worker.js';
import { load, planOptions } from '../../dist/shard/shard.js';
import { emulateLink, testHost } from '../../dist/testing/index.js';
import { gptModel, gptState } from '../../examples/shard/gpt.mjs';

const GPT = { layers: 2, width: 384, heads: 12, vocabulary: 1000, positions: 64 };
const NEW = 32;
const PAST = 8;
const STEPS = 25;
const WARM_UP = 10;
const STATE = Object.entries(gptState(GPT.layers));
const { values: flags } = parseArgs({ options: { computing: { type: 'string', default: '60' } } });
/** How long the whole model takes on one host. */
const COMPUTING_MS = Number(flags.computing);

/** A host on a link of its own. `delay` is what each stage takes there, in milliseconds. */
class DelayedHost {
  delay = 0;
  constructor(url) {
    this.worker = new HostWorker(url, 60_000);
    this.lost = this.worker.lost;
  }
  async ask(request) {
    if (request.ask === 'run') await sleep(this.delay);
    return this.worker.ask(request);
  }
  close() {
    return this.worker.close();
  }
}

/** Other programs of the machine only make steps longer, so the faster steps tell more. */
const lowerQuartile = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 4)];

const file = gptModel(GPT);
const hosts = [await testHost({ adapter: 'null' }), await testHost({ adapter: 'null' })];
const dimensions = { new: NEW, past: PAST, all: NEW + PAST };
const OPERATIONS = 2 * NEW * GPT.width * (12 * GPT.layers * GPT.width + GPT.vocabulary);
const zeros = (shape) => new ort.Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b)), shape);
const whole = (of) =>
  new ort.Tensor(
    'int64',
    BigInt64Array.from({ length: NEW }, (_, at) => of(at)),
    [1, NEW],
  );

console.log('   rtt      mbit  stages  predicted  measured   ratio');
for (const mbit of [1000, 100])
  for (const rttMs of [1, 10, 30]) {
    const links = await Promise.all(hosts.map(({ url }) => emulateLink({ target: url, rttMs, mbit })));
    const planned = await planModel(
      file,
      planOptions({
        hosts: links.map(({ url }) => url),
        dimensions,
        effort: 20_000,
        link: { bitsPerSecond: mbit * 1e6, roundTrip: rttMs / 1000 },
        operationsPerSecond: (OPERATIONS * 1000) / COMPUTING_MS,
      }),
    );
    const own = links.map(({ url }) => new DelayedHost(url));
    const model = await load(planned, own);
    // Half of the work, and in as many stages.
    const delay = COMPUTING_MS / hosts.length / planned.report.stages;
    for (const host of own) host.delay = delay;
    const cache = Object.fromEntries(
      STATE.map(([input]) => [input, zeros([1, GPT.heads, PAST, GPT.width / GPT.heads])]),
    );
    const times = [];
    for (let step = 0; step < STEPS; step += 1) {
      const feeds = { ids: whole(() => 1n), positions: whole(BigInt), mask: zeros([NEW, NEW + PAST]) };
      const start = performance.now();
      await model.run({ ...feeds, ...cache });
      times.push(performance.now() - start);
    }
    times.splice(0, WARM_UP);
    const measured = lowerQuartile(times);
    const predicted = planned.report.seconds.whole * 1000;
    console.log(
      [
        rttMs,
        mbit,
        planned.report.stages,
        predicted.toFixed(1),
        measured.toFixed(1),
        (predicted / measured).toFixed(2),
      ]
        .map((value, at) => String(value).padStart([6, 10, 8, 11, 10, 8][at]))
        .join(''),
    );
    await model.release();
    for (const link of links) await link.close();
  }
for (const host of hosts) await host.close();
