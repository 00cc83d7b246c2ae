// Bursts of 64 requests, each to a random model, on a simulated GPU: the scheduler beside servers of today.

import { at } from '../../dist/infer/schedule/costs.js';
import { Scheduler } from '../../dist/infer/schedule/scheduler.js';
import { simulate } from '../../dist/infer/simulation/machine.js';
import { noBatches, Presets, presetsThatFitAlone, presetsThatFitTogether, RateLimiter } from './rivals.mjs';
import { burstsOf, eventsOf, latencies, simulatedHost, withoutTenant } from './trace.mjs';

const BURST = 64;
const MAX_BATCH = 64;
const MIB = 1 << 20;

/** How many bursts of each workload; `ways` of their times. */
const BURSTS = 200;
const LANES = 4;

/** Sizes: a model of size s has s times the fixed and the item's time of the first, and of its memory. */
const WORKLOADS = [
  { name: '6 equal models', sizes: [1, 1, 1, 1, 1, 1], waitMs: 0 },
  { name: '6 equal models, 20 ms of waiting', sizes: [1, 1, 1, 1, 1, 1], waitMs: 20 },
  { name: '6 models, 1:4:16', sizes: [1, 1, 4, 4, 16, 16], waitMs: 0 },
  { name: '6 models, 1:4:16, 20 ms of waiting', sizes: [1, 1, 4, 4, 16, 16], waitMs: 20 },
  { name: '6 models, 1:4:16, 120 ms of waiting', sizes: [1, 1, 4, 4, 16, 16], waitMs: 120 },
  {
    name: '12 models, 1:4:16, 20 ms of waiting',
    sizes: [1, 1, 1, 1, 4, 4, 4, 4, 16, 16, 16, 16],
    waitMs: 20,
  },
  {
    name: '12 models, 1:4:16, 120 ms of waiting',
    sizes: [1, 1, 1, 1, 4, 4, 4, 4, 16, 16, 16, 16],
    waitMs: 120,
  },
];

function modelsOf({ sizes, waitMs }) {
  return Object.fromEntries(
    sizes.map((size, index) => [
      `m${index}`,
      {
        resource: 'gpu',
        maxBatch: MAX_BATCH,
        weights: size * 2 * MIB,
        memory: { base: size * MIB, perItem: (size * MIB) / 2 },
        output: 0,
        gpu: { base: 4 * Math.sqrt(size), perItem: Math.sqrt(size) },
        wait: { base: waitMs, perItem: 0 },
        load: 10 * Math.sqrt(size),
      },
    ]),
  );
}

export function measureBursts({ seed = 1, load = 0.7, workloads = WORKLOADS, bursts = BURSTS } = {}) {
  return workloads.map((workload) => {
    const models = modelsOf(workload);
    const names = Object.keys(models);
    // A third of what all models take together with full batches; a tenant beside takes a third of that midway.
    const all = Object.values(models).reduce(
      (sum, costs) => sum + costs.weights + at(costs.memory, MAX_BATCH),
      0,
    );
    const bytes = Math.round(all / 3);
    const least = withoutTenant(bytes);
    const work = Object.fromEntries(names.map((name) => [name, at(models[name].gpu, BURST)]));
    const events = eventsOf(burstsOf({ work, load, bursts, seed }), { burst: BURST, bytes });
    const run = (dispatcher, lanes) =>
      summary(simulate({ dispatcher, hosts: [simulatedHost(bytes, lanes)], models, events }));
    return {
      workload: workload.name,
      results: {
        'no batches': run(new Presets(noBatches(models)), names.length),
        presets: run(new Presets(presetsThatFitTogether(models, least)), names.length),
        limiter: run(new RateLimiter(presetsThatFitAlone(models, least)), 1),
        farlight: run(new Scheduler(), LANES),
      },
    };
  });
}

function summary({ ends, makespan, outOfMemory, runs }) {
  const all = [...ends.values()];
  return {
    requests: ends.size,
    done: all.filter(({ outcome }) => outcome.is === 'done').length,
    ...latencies(all.map(({ ms }) => ms)),
    perSecond: (1000 * ends.size) / makespan,
    batch: ends.size / runs.length,
    loads: runs.filter(({ load }) => load).length,
    outOfMemory,
  };
}
