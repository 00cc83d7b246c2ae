// The time of a step of a model over two hosts, predicted by its plan and measured on emulated links. The hosts have the
// null adapter, which computes nothing: the time that the plan gives a stage for computing passes before it is asked.
import { setTimeout as sleep } from 'node:timers/promises';
import { planModel } from '../../dist/shard/index.js';
import { HostWorker } from '../../dist/shard/run/host-worker.js';
import { load, planOptions } from '../../dist/shard/shard.js';
import { emulateLink, testHost } from '../../dist/testing/index.js';
import { gptModel, gptState } from '../../examples/shard/gpt.mjs';
import * as ort from 'onnxruntime-web/wasm';

const GPT = { layers: 2, width: 384, heads: 12, vocabulary: 1000, positions: 64 };
const NEW = 32;
const STEPS = 15;
/** The whole model on one host takes this long. */
const COMPUTING_MS = Number(process.env.MS ?? 60);

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

const file = gptModel(GPT);
const hosts = [await testHost({ adapter: 'null' }), await testHost({ adapter: 'null' })];
const dims = { new: NEW, past: 8, all: NEW + 8 };
const zeros = (shape) => new ort.Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b)), shape);
const whole = (of) => new ort.Tensor('int64', BigInt64Array.from({ length: NEW }, of), [1, NEW]);

console.log('   rtt      mbit  stages  predicted  measured   ratio');
for (const mbit of [1000, 100])
  for (const rttMs of [1, 10, 30]) {
    const links = await Promise.all(hosts.map(({ url }) => emulateLink({ target: url, rttMs, mbit })));
    const operations = 2 * 12 * GPT.layers * GPT.width ** 2 * NEW;
    const planned = await planModel(
      file,
      planOptions({
        hosts: links.map(({ url }) => url),
        dimensions: dims,
        state: gptState(GPT.layers),
        effort: 20_000,
        link: { bitsPerSecond: mbit * 1e6, roundTrip: rttMs / 1000 },
        operationsPerSecond: operations / (COMPUTING_MS / 1000),
      }),
    );
    const own = links.map(({ url }) => new DelayedHost(url));
    const model = await load(planned, own);
    const stages = planned.report.stages;
    for (const host of own) host.delay = (planned.report.seconds.computing * 1000) / stages;
    let cache = Object.fromEntries(
      Object.keys(gptState(GPT.layers)).map((name) => [name, zeros([1, 12, 8, GPT.width / 12])]),
    );
    const times = [];
    for (let step = 0; step < STEPS; step += 1) {
      const feeds = { ids: whole(() => 1n), positions: whole((_, at) => BigInt(at)), mask: zeros([NEW, NEW + 8]) };
      const start = performance.now();
      const results = await model.run({ ...feeds, ...cache });
      times.push(performance.now() - start);
      for (const output of Object.values(gptState(GPT.layers))) results[output].dispose();
    }
    const measured = times.slice(5).sort((a, b) => a - b)[5];
    const predicted = planned.report.seconds.whole * 1000;
    console.log(
      [rttMs, mbit, stages, predicted.toFixed(1), measured.toFixed(1), (predicted / measured).toFixed(2)]
        .map((value, at) => String(value).padStart([6, 10, 8, 11, 10, 8][at]))
        .join(''), times.map(t=>t.toFixed(0)).join(' ')
    );
    await model.release();
    for (const link of links) await link.close();
  }
for (const host of hosts) await host.close();
