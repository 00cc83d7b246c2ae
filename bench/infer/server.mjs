// Bursts of requests to the real server, over HTTP: its own scheduler, and servers of today in its place. Everything else
// is the same: protocol, engine, lanes, ONNX Runtime, the host and its memory. The simulation's runs take the times that
// runs took on the server.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { close, create } from '../../dist/client/index.js';
import { inferenceTrust } from '../../dist/infer/door/trust.js';
import { Engine } from '../../dist/infer/engine/engine.js';
import { gpuHost } from '../../dist/infer/hosts/engine-hosts.js';
import { InferenceServer } from '../../dist/infer/inference-server.js';
import { hashFile, LearnedStore } from '../../dist/infer/learned/learned-store.js';
import { at } from '../../dist/infer/schedule/costs.js';
import { Scheduler } from '../../dist/infer/schedule/scheduler.js';
import { emulateLink } from '../../dist/testing/index.js';
import { figure, printTable } from '../print.mjs';
import { startHost } from '../processes.mjs';
import { leastMean, predict, searchBest } from './clairvoyant.mjs';
import { GivenGpu, LanePool } from './lanes.mjs';
import { shapeOf, writeModels } from './models.mjs';
import { noBatches, Presets, presetsThatFitAlone, presetsThatFitTogether, RateLimiter } from './rivals.mjs';
import { timesOf } from './run-times.mjs';
import { asItCame, burstsOf, latencies, withoutTenant } from './trace.mjs';

const BURST = 64;
const LANES = 4;
const MIB = 1 << 20;

const SIX = [1, 1, 4, 4, 16, 16];
const TWELVE = [...SIX, ...SIX];

/**
 * `load`: of the GPU, as long as it has all of the machine. A software GPU shares the processors with the server, and half
 * of it is most of the machine. `given`: the host's GPU computes nothing, and a run of b items of a model of size s takes
 * `given * sqrt(s) * (4 + b)` ms of it.
 */
const PLACES = [
  { name: 'software GPU', adapter: 'software', rttMs: 0, load: 0.5, bursts: 40, workloads: [SIX, TWELVE] },
  {
    name: 'software GPU, line of 30 ms',
    adapter: 'software',
    rttMs: 30,
    load: 0.5,
    bursts: 40,
    workloads: [SIX, TWELVE],
  },
  {
    name: 'given times, line of 30 ms',
    adapter: 'null',
    given: 1,
    rttMs: 30,
    load: 0.7,
    bursts: 60,
    workloads: [SIX, TWELVE],
  },
  {
    name: 'given times',
    adapter: 'null',
    given: 4,
    rttMs: 0,
    load: 0.7,
    bursts: 40,
    workloads: [[1, 1, 1, 1, 1, 1]],
  },
];

/** Measures at these of PLACES, by their numbers from 1 on. */
export async function measureServer(places, seed = 1) {
  // V8 would optimise ONNX Runtime's module on all cores.
  setFlagsFromString('--liftoff-only');
  const results = [];
  for (const place of places.map((number) => PLACES[number - 1])) {
    for (const sizes of place.workloads) {
      process.stderr.write(`infer: ${sizes.length} models on ${place.name} ...\n`);
      const result = await measure(place, sizes, seed);
      print(result);
      results.push(result);
    }
  }
  return results;
}

async function measure(place, sizes, seed) {
  const temporary = mkdtempSync(join(tmpdir(), 'farlight-bench-'));
  const folder = join(temporary, 'models');
  try {
    const names = writeModels(folder, sizes, BURST);
    const shapes = Object.fromEntries(names.map((name, index) => [name, shapeOf(sizes[index])]));
    const gpuTimes =
      place.given &&
      Object.fromEntries(
        names.map((name, index) => [name, givenTime(place.given * Math.sqrt(sizes[index]))]),
      );
    const store = new LearnedStore(place.name, join(temporary, 'learned'));
    const served = { ...place, folder, names, shapes, gpuTimes, store, seed };
    const alone = await learnCosts(served);
    return { place: place.name, sizes, ...(await compare(served, alone)) };
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

function givenTime(ms) {
  return { base: 4 * ms, perItem: ms };
}

/** The models' costs, from bursts by themselves on a host with memory for all of them. */
async function learnCosts(served) {
  const place = await open(served, 0);
  try {
    await serve(served, { pool: place.pool, lanes: 1 }, async (url) => {
      for (const model of served.names)
        for (let round = 0; round < 3; round += 1) await ask(url, served, [{ at: 0, model }]);
    });
  } finally {
    await place.close();
  }
  return costsOf(served, place.pool);
}

/** The models' costs, as the engine has learned them. */
async function costsOf({ names, folder, store }, { loads }) {
  const costs = {};
  for (const name of names) {
    const [learned] = store.read(await hashFile(join(folder, name, '1', 'model.onnx'))).values();
    costs[name] = {
      ...learned.costs({ maxBatch: BURST, guess: 0, output: 0 }),
      resource: 'gpu',
      ...loads[name],
      output: 0,
    };
  }
  return costs;
}

async function compare(served, alone) {
  const { names, seed, load, bursts: count } = served;
  const bytes = Math.round(sum(names.map((name) => alone[name].weights + at(alone[name].memory, BURST))) / 3);
  const left = withoutTenant(bytes);
  const work = Object.fromEntries(names.map((name) => [name, at(alone[name].gpu, BURST)]));
  const trace = burstsOf({ work, load, bursts: count, seed });
  const rivals = {
    'no batches': { lanes: names.length, scheduler: () => new Presets(noBatches(alone)) },
    presets: { lanes: names.length, scheduler: () => new Presets(presetsThatFitTogether(alone, left)) },
    limiter: { lanes: 1, scheduler: () => new RateLimiter(presetsThatFitAlone(alone, left)) },
    farlight: { lanes: LANES, scheduler: () => new Scheduler() },
  };
  const place = await open(served, bytes);
  const measured = {};
  try {
    for (const [rival, { lanes, scheduler }] of Object.entries(rivals)) {
      process.stderr.write(`  ${rival} ...\n`);
      const { pool } = place;
      [pool.outOfMemory, pool.refused] = [0, 0];
      measured[rival] = await serve(
        served,
        { pool, lanes, scheduler: scheduler() },
        async (url, engine, seen) => {
          // Each model is loaded before the bursts begin.
          for (const model of names) await ask(url, served, [{ at: 0, model }]);
          const before = countsOf(engine, names);
          seen.length = 0;
          pool.runs.length = 0;
          const taken = place.tenant.take(bytes - left, trace.end);
          const asked = await ask(url, served, trace.bursts);
          await taken;
          const after = countsOf(engine, names);
          return {
            ...latencies(asked.ms),
            seen: [...seen],
            runs: [...pool.runs],
            failed: asked.failed,
            perSecond: (1000 * asked.ms.length) / asked.makespan,
            batch: (after.items - before.items) / (after.runs - before.runs),
            outOfMemory: pool.outOfMemory,
            refused: pool.refused,
          };
        },
      );
    }
  } finally {
    await place.close();
  }
  const models = await costsOf(served, place.pool);
  const least = { meanMs: leastMean(trace, { models, burst: BURST }) };
  const { seen, runs } = measured.farlight;
  const known = { models, bytes, burst: BURST, lanes: LANES, times: timesOf(models, runs) };
  const inEngine = {
    ...latencies(seen.map(({ ms }) => ms)),
    ...bestOf(asItCame(trace, seen, BURST), known),
  };
  return { bytes, models, measured, ...bestOf(trace, known), inEngine, least };
}

/** How Farlight's scheduler does in the simulation, and a schedule that knows all bursts before. */
function bestOf(trace, known) {
  return { predicted: predict(trace, known), clairvoyant: searchBest(trace, known) };
}

/** A host with so many bytes (0: all there are), and lanes to it. */
async function open(served, bytes) {
  const { adapter, rttMs, name, gpuTimes } = served;
  const host = await startHost(adapter, [
    '--contents',
    'off',
    '--gpu-capacity',
    bytes > 0 ? `${bytes}` : '4GiB',
  ]);
  const link = rttMs > 0 ? await emulateLink({ target: host.url, rttMs }) : undefined;
  const url = link?.url ?? host.url;
  const pool = new LanePool(
    await gpuHost({ name, host: url, lanes: 1 }),
    served,
    gpuTimes && new GivenGpu(gpuTimes),
  );
  const tenant = await openTenant(host.url);
  return {
    tenant,
    pool,
    async close() {
      tenant.close();
      await pool.close();
      await link?.close();
      await host.stop();
    },
  };
}

/** Serves the folder while `act` uses it. */
async function serve({ folder, store }, { pool, lanes, scheduler }, act) {
  const log = (message) => process.stderr.write(`  ${message}\n`);
  await pool.prepare(lanes);
  const engine = new Engine({
    folder,
    hosts: [pool.host(lanes)],
    store,
    log,
    ...(scheduler && { scheduler }),
  });
  const trust = inferenceTrust({ http: '127.0.0.1:0', grpc: undefined }, log);
  const { service, seen } = watched(engine);
  const server = new InferenceServer({ service, trust, name: 'bench', version: '0', onError: log });
  await server.listen();
  try {
    await engine.loaded;
    return await act(server.httpUrl, engine, seen);
  } finally {
    await server.close(0);
    await engine.close();
  }
}

/** The engine, and its requests in their order: when each came to it, and how long it was there. */
function watched(engine) {
  const seen = [];
  const infer = async (request, signal) => {
    const entry = { model: request.model, at: performance.now() };
    seen.push(entry);
    try {
      return await engine.infer(request, signal);
    } finally {
      entry.ms = performance.now() - entry.at;
    }
  };
  const service = new Proxy(engine, {
    get(_, name) {
      const value = name === 'infer' ? infer : engine[name];
      return typeof value === 'function' ? value.bind(engine) : value;
    },
  });
  return { service, seen };
}

/** Has a thread of its own ask. */
async function ask(url, { shapes }, bursts) {
  const client = new Worker(new URL('./burst-client.mjs', import.meta.url), {
    workerData: { url, bursts, burst: BURST, shapes },
  });
  return new Promise((resolve, reject) => client.once('message', resolve).once('error', reject));
}

/**
 * Another program of the host. `take` has it take so many bytes of the memory, from a third of the time to two thirds. Its
 * session is there before: opening one takes as much of the processor as ten runs.
 */
async function openTenant(url) {
  const gpu = create({ host: url });
  const device = await (await gpu.requestAdapter()).requestDevice();
  return {
    async take(bytes, time) {
      await setTimeout(time / 3);
      const buffer = device.createBuffer({ size: bytes - (bytes % 4), usage: 0x8 });
      await device.queue.onSubmittedWorkDone();
      await setTimeout(time / 3);
      buffer.destroy();
      await device.queue.onSubmittedWorkDone();
    },
    close: () => close(gpu),
  };
}

function countsOf(engine, names) {
  const all = names.flatMap((name) => engine.statistics(name));
  return {
    items: sum(all.map((each) => each.inferenceCount)),
    runs: sum(all.map((each) => each.executionCount)),
  };
}

function sum(values) {
  return values.reduce((all, each) => all + each, 0);
}

function print({ place, sizes, bytes, models, measured, predicted, clairvoyant, inEngine, least }) {
  console.log(
    `\n${sizes.length} models of sizes ${[...new Set(sizes)].join(':')}, ${place}, ${(bytes / MIB).toFixed(2)} MiB`,
  );
  for (const size of new Set(sizes)) {
    const { gpu, wait, memory } = models[`m${sizes.indexOf(size)}`];
    const line = ({ base, perItem }, unit = 1) => `${figure(base / unit)} + ${figure(perItem / unit)} b`;
    console.log(`  size ${size}: GPU ${line(gpu)} ms, the rest ${line(wait)} ms, ${line(memory, 1024)} KiB`);
  }
  const rows = [
    [
      '',
      'mean ms',
      'p99 ms',
      'requests/s',
      'mean batch',
      'mean, beside',
      'p99, beside',
      'out of memory',
      'refused',
    ],
  ];
  for (const [name, { meanMs, p99Ms, perSecond, batch, outOfMemory, refused, failed }] of Object.entries(
    measured,
  )) {
    const beside = [meanMs / measured.farlight.meanMs, p99Ms / measured.farlight.p99Ms];
    rows.push([
      `  ${name}`,
      ...[meanMs, p99Ms, perSecond, batch].map(figure),
      ...beside.map((value) => `${value.toFixed(2)} x`),
      `${outOfMemory}`,
      `${refused}`,
    ]);
    for (const reason of new Set(failed)) console.log(`  ${name}: ${failed.length} failed: ${reason}`);
  }
  rows.push(['  simulated', figure(predicted.meanMs), figure(predicted.p99Ms)]);
  rows.push(['  clairvoyant', figure(clairvoyant.meanMs), figure(clairvoyant.p99Ms)]);
  rows.push(['  no schedule below', figure(least.meanMs), '']);
  rows.push(['  in the engine', figure(inEngine.meanMs), figure(inEngine.p99Ms)]);
  rows.push([
    '  simulated, as they came',
    figure(inEngine.predicted.meanMs),
    figure(inEngine.predicted.p99Ms),
  ]);
  rows.push([
    '  clairvoyant, as they came',
    figure(inEngine.clairvoyant.meanMs),
    figure(inEngine.clairvoyant.p99Ms),
  ]);
  printTable(rows.map((row) => [...row, ...Array(9 - row.length).fill('')]));
  const share = (best, own) => (best.clairvoyant.meanMs / own.meanMs).toFixed(2);
  console.log(
    `  clairvoyant / farlight: ${share({ clairvoyant }, measured.farlight)}; in the engine, for requests as they came to it: ${share(inEngine, inEngine)}`,
  );
}
