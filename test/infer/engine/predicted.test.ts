import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '#farlight/infer/engine/engine.js';
import { Learned } from '#farlight/infer/learned/learned.js';
import { LearnedStore } from '#farlight/infer/learned/learned-store.js';
import { at, type ModelCosts } from '#farlight/infer/schedule/costs.js';
import { Scheduler } from '#farlight/infer/schedule/scheduler.js';
import { type SimulatedEvent, type SimulationResult, simulate } from '#farlight/infer/simulation/machine.js';
import { seeded } from '../../support/random/seeded.js';
import { type FakeModel, int32, mapping } from './fake-lanes.js';
import { type Served, serve } from './served.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-predicted-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

type Costs = Readonly<Record<string, FakeModel['costs']>>;

interface Case {
  readonly costs: Costs;
  readonly bursts: readonly { readonly model: string; readonly at: number }[];
}

/** The requests of a burst. */
const BURST = 32;
/** The time of the first burst, in milliseconds. Before it, each model is loaded once. */
const FIRST = 1000;

const LANES = 3;
/** Memory for a fraction of the models with full batches. */
const BYTES = 3000;

/** Six models of unlike size. */
function costsOf(wait: number): Costs {
  const costs: Record<string, FakeModel['costs']> = {};
  for (let index = 0; index < 6; index += 1) {
    const size = [1, 4, 16][index % 3] as number;
    costs[`m${index}`] = {
      weights: 20 * size,
      memory: { base: 5 * size, perItem: 10 * size },
      gpu: { base: 4, perItem: size / 4 },
      wait: { base: wait, perItem: 0 },
      load: 30,
    };
  }
  return costs;
}

/** Bursts of requests, each to a random model. */
function burstsOf(seed: number, costs: Costs): Case {
  const random = seeded(seed);
  const bursts: { model: string; at: number }[] = [];
  for (let burst = 0; burst < 12; burst += 1) {
    bursts.push({ model: `m${Math.floor(random() * 6)}`, at: FIRST + burst * 60 });
  }
  return { costs, bursts };
}

/** The scheduler by itself on the simulated machine, which has the costs that the lanes have. */
function predict({ costs, bursts }: Case): SimulationResult {
  const models: Record<string, ModelCosts> = {};
  for (const [name, each] of Object.entries(costs)) {
    models[name] = { ...each, resource: 'gpu', maxBatch: BURST, output: 0 };
  }
  const request = (id: number, model: string) => ({
    id,
    items: 1,
    graph: { name: model, steps: [{ model, after: [] }] },
  });
  const first = bursts.length * BURST;
  const events: SimulatedEvent[] = Object.keys(costs).map((model, index) => ({
    at: 0,
    request: request(first + index, model),
  }));
  for (const [burst, { model, at }] of bursts.entries()) {
    for (let each = 0; each < BURST; each += 1)
      events.push({ at, request: request(burst * BURST + each, model) });
  }
  const host = {
    name: 'gpu',
    capacity: { bytes: BYTES, limit: BYTES },
    lanes: Array.from({ length: LANES }, (_, lane) => ({
      name: `gpu#${lane}`,
      host: 'gpu',
      resource: 'gpu' as const,
    })),
  };
  return simulate({ dispatcher: new Scheduler(), hosts: [host], models, events });
}

/** An engine on lanes of that machine. */
function serveOn(costs: Costs, store: LearnedStore): Promise<Served> {
  const models = Object.fromEntries(
    Object.entries(costs).map(([name, each]) => [name, mapping((x) => x, each)]),
  );
  return serve(models, { lanes: LANES, bytes: BYTES, store, files: filesOf(models) });
}

/** The figures that an engine learns by running each model with batches of one item to full ones. */
function learnedOf(costs: Costs): LearnedStore {
  const store = new LearnedStore('fake', mkdtempSync(join(folder, 'learned-')));
  for (const [name, { memory, gpu, wait }] of Object.entries(costs)) {
    const learned = new Learned();
    for (let batch = 1; batch <= BURST; batch *= 2) {
      const gpuMs = at(gpu, batch);
      const ms = gpuMs + at(wait, batch);
      learned.ran(batch, at(memory, batch));
      learned.took(
        batch,
        { outputs: {}, peak: at(memory, batch), ms, inputMs: 0, inferMs: ms, outputMs: 0 },
        { ms: gpuMs, busyMs: gpuMs },
        false,
      );
    }
    store.write(createHash('sha256').update(name).digest('hex'), new Map([['', learned]]));
  }
  return store;
}

/** How long an engine takes that has learned the models before. */
async function measure({ costs, bursts }: Case, learned: LearnedStore): Promise<number> {
  const { engine, time, host } = await serveOn(costs, learned);
  expect(host.runs).toEqual([]);
  // Lanes that are new have nothing loaded, as on the simulated machine.
  for (const lane of [...host.open]) lane.kill();
  await time.pass(1000);
  const begin = time.now();
  // All of a burst is there when the scheduler decides.
  const burstOf = async ({ model, at }: Case['bursts'][number]): Promise<void> => {
    await time.sleep(at);
    await ask(engine, model, BURST);
  };
  const once = Object.keys(costs).map((model) => ask(engine, model, 1));
  await time.until(Promise.all([...once, ...bursts.map(burstOf)]));
  return time.now() - begin;
}

/** So many requests for a model, at once. */
async function ask(engine: Engine, model: string, count: number): Promise<void> {
  const one = () => engine.infer({ model, inputs: [int32('x', [1, 2], [1, 2])] });
  await Promise.all(Array.from({ length: count }, one));
}

/** Models are told apart by the hash of their files. */
function filesOf(models: Readonly<Record<string, unknown>>): Record<string, string> {
  const files: Record<string, string> = {};
  for (const name of Object.keys(models)) {
    files[`${name}/1/model.onnx`] = name;
    files[`${name}/config.yaml`] = `maxBatch: ${BURST}\n`;
  }
  return files;
}

/** How much longer the engine takes than predicted, for each trace. */
async function ratios(wait: number): Promise<number[]> {
  const costs = costsOf(wait);
  const learned = learnedOf(costs);
  const found: number[] = [];
  for (let seed = 1; seed <= 20; seed += 1) {
    const trace = burstsOf(seed, costs);
    const predicted = predict(trace);
    expect(predicted.outOfMemory).toBe(0);
    found.push(((await measure(trace, learned)) - FIRST) / (predicted.makespan - FIRST));
  }
  return found;
}

describe('the makespan that the simulation predicts', () => {
  it.each([0, 120])("with %i ms of waiting, the predicted makespan is near the engine's", async (wait) => {
    for (const ratio of await ratios(wait)) {
      expect(ratio).toBeGreaterThan(0.95);
      expect(ratio).toBeLessThan(1.05);
    }
  });
});
