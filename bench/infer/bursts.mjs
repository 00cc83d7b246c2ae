// Bursts of 64 requests, each to a random model, on a simulated GPU: the scheduler beside servers of today.

import { at } from '../../dist/infer/schedule/costs.js';
import { Scheduler } from '../../dist/infer/schedule/scheduler.js';
import { simulate } from '../../dist/infer/simulation/machine.js';
import { noBatches, Presets, presetsThatFitAlone, presetsThatFitTogether, RateLimiter } from './rivals.mjs';

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

/** Random, the same each time. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
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
    const least = Math.round((bytes * 2) / 3);
    const next = random(seed);
    const work = names.map((name) => at(models[name].gpu, BURST));
    const mean = work.reduce((sum, ms) => sum + ms, 0) / names.length / load;
    let time = 0;
    let id = 0;
    const events = [];
    for (let burst = 0; burst < bursts; burst += 1) {
      const model = names[Math.floor(next() * names.length)];
      const graph = { name: model, steps: [{ model, after: [] }] };
      for (let item = 0; item < BURST; item += 1)
        events.push({ at: time, request: { id: id++, graph, items: 1 } });
      time += -Math.log(1 - next()) * mean;
    }
    const capacity = (free) => ({ bytes: free, limit: bytes });
    events.push({ at: time / 3, host: 'host', capacity: capacity(least) });
    events.push({ at: (2 * time) / 3, host: 'host', capacity: capacity(bytes) });

    const run = (dispatcher, lanes) => {
      const host = {
        name: 'host',
        capacity: capacity(bytes),
        lanes: Array.from({ length: lanes }, (_, index) => ({
          name: `lane${index}`,
          host: 'host',
          resource: 'gpu',
        })),
      };
      return summary(simulate({ dispatcher, hosts: [host], models, events }));
    };
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
  const ms = [...ends.values()].map((end) => end.ms).sort((a, b) => a - b);
  return {
    requests: ends.size,
    done: [...ends.values()].filter(({ outcome }) => outcome.is === 'done').length,
    meanMs: ms.reduce((sum, each) => sum + each, 0) / ms.length,
    p99Ms: ms[Math.floor(ms.length * 0.99)],
    perSecond: (1000 * ends.size) / makespan,
    batch: ends.size / runs.length,
    loads: runs.filter(({ load }) => load).length,
    outOfMemory,
  };
}
