import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LearnedStore } from '#farlight/infer/memory/learned-store.js';
import type { ModelCosts } from '#farlight/infer/schedule/costs.js';
import { Scheduler } from '#farlight/infer/schedule/scheduler.js';
import { type SimulatedEvent, type SimulationResult, simulate } from '#farlight/infer/simulation/machine.js';
import { seeded } from '../../support/random/seeded.js';
import { type FakeModel, int32, mapping } from './fake-lanes.js';
import { serve } from './served.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-predicted-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Case {
  readonly costs: Readonly<Record<string, FakeModel['costs']>>;
  readonly lanes: number;
  readonly bytes: number;
  readonly bursts: readonly { readonly model: string; readonly at: number }[];
}

/** The requests of a burst. */
const BURST = 32;
/** The time of the first burst, in milliseconds. Before it, each model is loaded once. */
const FIRST = 1000;

/** Bursts of requests, each to a random one of six models of unlike size, with memory for a fraction of them. */
function burstsOf(seed: number, wait: number): Case {
  const random = seeded(seed);
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
  const bursts: { model: string; at: number }[] = [];
  for (let burst = 0; burst < 12; burst += 1) {
    bursts.push({ model: `m${Math.floor(random() * 6)}`, at: FIRST + burst * 60 });
  }
  return { costs, lanes: 3, bytes: 3000, bursts };
}

/** The scheduler by itself on the simulated machine, which has the costs that the lanes have. */
function predict({ costs, lanes, bytes, bursts }: Case): SimulationResult {
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
    capacity: { bytes, limit: bytes },
    lanes: Array.from({ length: lanes }, (_, lane) => ({
      name: `gpu#${lane}`,
      host: 'gpu',
      resource: 'gpu' as const,
    })),
  };
  return simulate({ dispatcher: new Scheduler(), hosts: [host], models, events });
}

/** The engine on lanes of that machine. Another engine has learned the models before. */
async function measure({ costs, lanes, bytes, bursts }: Case): Promise<number> {
  const models = Object.fromEntries(
    Object.entries(costs).map(([name, each]) => [name, mapping((x) => x, each)]),
  );
  const store = new LearnedStore('fake', mkdtempSync(join(folder, 'learned-')));
  const options = { lanes, bytes, store, files: filesOf(models) };
  const first = await serve(models, options);
  await first.time.until(first.engine.close());
  const { engine, time, host } = await serve(models, options);
  expect(host.runs.filter(({ batch }) => batch > 1)).toEqual([]);
  // Lanes that are new have nothing loaded, as on the simulated machine.
  for (const lane of [...host.open]) lane.kill();
  await time.pass(1000);
  const begin = time.now();
  const ask = async (model: string): Promise<void> => {
    await engine.infer({ model, inputs: [int32('x', [1, 2], [1, 2])] });
  };
  // All of a burst is there when the scheduler decides.
  const burstOf = async ({ model, at }: Case['bursts'][number]): Promise<void> => {
    await time.sleep(at);
    await Promise.all(Array.from({ length: BURST }, () => ask(model)));
  };
  await time.until(Promise.all([...Object.keys(costs).map(ask), ...bursts.map(burstOf)]));
  return time.now() - begin;
}

/** Models are told apart by the hash of their files. */
function filesOf(models: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.keys(models).map((name) => [`${name}/1/model.onnx`, name]));
}

/** How much longer the engine takes than predicted, for each trace. */
async function ratios(wait: number): Promise<number[]> {
  const found: number[] = [];
  for (let seed = 1; seed <= 20; seed += 1) {
    const trace = burstsOf(seed, wait);
    const predicted = predict(trace);
    expect(predicted.outOfMemory).toBe(0);
    found.push(((await measure(trace)) - FIRST) / (predicted.makespan - FIRST));
  }
  return found;
}

describe('the makespan that the simulation predicts', () => {
  it.each([
    [0, 0.15],
    // One decision more or less near a tie changes the rest of a trace.
    [120, 0.3],
  ])('with %i ms of waiting is near what the engine takes', async (wait, off) => {
    const found = await ratios(wait);
    const mean = found.reduce((sum, ratio) => sum + ratio, 0) / found.length;
    expect(mean).toBeGreaterThan(0.95);
    expect(mean).toBeLessThan(1.05);
    for (const ratio of found) {
      expect(ratio).toBeGreaterThan(1 - off);
      expect(ratio).toBeLessThan(1 + off);
    }
  });
});
