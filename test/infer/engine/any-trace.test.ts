import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InferenceError } from '#farlight/infer/service/service.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import { type FakeModel, int32, mapping, numbers } from './fake-lanes.js';
import { begin, type Served } from './served.js';

const NUM_RUNS = Number(process.env.FARLIGHT_TRACES ?? 40);
const NONE = { base: 0, perItem: 0 };
const POISON = 666;

/** A function of a graph. It returns as many rows as the first number of its input says. */
const crop: FakeModel = {
  inputs: [],
  outputs: [],
  costs: { weights: 0, memory: NONE, gpu: NONE, wait: { base: 3, perItem: 0 }, load: 0 },
  compute: ({ x }) => {
    const [first = 0, second = 0] = numbers(x as Tensor);
    const rows = Math.abs(first) % 4;
    return { images: int32('images', [rows, 2], Array(rows * 2).fill(second)) };
  },
};

const CHAIN = `
inputs: [x]
steps:
  a: { model: a, inputs: { x: x } }
  b: { model: b, inputs: { x: a.y } }
  c: { model: c, inputs: { x: a.y } }
outputs: { b: b.y, c: c.y }
`;
const CROPS = `
inputs: [x]
steps:
  a: { model: a, inputs: { x: x } }
  crops: { function: crops.mjs#crop, inputs: { x: a.y } }
  b: { model: b, each: crops.images, inputs: { x: crops.images } }
  c: { model: c, each: crops.images, inputs: { x: b.y } }
outputs: { y: c.y }
`;

const maps = { a: (x: number) => x + 1, b: (x: number) => 2 * x, c: (x: number) => -x };
/** The results of each model and graph for one row of two numbers. */
const expected: Record<string, (x: number) => number[]> = {
  a: (x) => [maps.a(x), maps.a(x)],
  any: (x) => [x, x],
  chain: (x) => [maps.b(maps.a(x)), maps.b(maps.a(x)), maps.c(maps.a(x)), maps.c(maps.a(x))],
  crops: (x) => Array((Math.abs(maps.a(x)) % 4) * 2).fill(maps.c(maps.b(maps.a(x)))),
};

const affine = (base: number, perItem: number) =>
  fc.record({ base: fc.integer({ min: 0, max: base }), perItem: fc.integer({ min: 1, max: perItem }) });

const costs = fc.record({
  weights: fc.integer({ min: 0, max: 30 }),
  memory: affine(10, 8),
  gpu: affine(10, 4),
  wait: affine(20, 2),
  load: fc.integer({ min: 0, max: 30 }),
});

const traces = fc.record({
  costs: fc.tuple(costs, costs, costs, costs),
  requests: fc.array(
    fc.record({
      model: fc.constantFrom('a', 'any', 'chain', 'crops'),
      at: fc.nat(300),
      x: fc.oneof({ weight: 12, arbitrary: fc.nat(50) }, { weight: 1, arbitrary: fc.constant(POISON) }),
      columns: fc.integer({ min: 2, max: 4 }),
      cancel: fc.option(fc.nat(100), { freq: 5, nil: undefined }),
      timeout: fc.option(fc.integer({ min: 1, max: 500 }), { freq: 5, nil: undefined }),
    }),
    { minLength: 1, maxLength: 30 },
  ),
  kills: fc.array(fc.record({ at: fc.nat(400), lane: fc.nat(2) }), { maxLength: 3 }),
  shrinks: fc.option(
    fc.record({ at: fc.nat(300), for: fc.nat(400), to: fc.double({ min: 0.2, max: 1, noNaN: true }) }),
  ),
  unloads: fc.array(
    fc.record({
      at: fc.nat(300),
      model: fc.constantFrom('a', 'b', 'any', 'chain', 'crops'),
      back: fc.nat(200),
    }),
    {
      maxLength: 2,
    },
  ),
  loads: fc.array(fc.record({ at: fc.nat(300), model: fc.constantFrom('a', 'c', 'chain', 'crops') }), {
    maxLength: 2,
  }),
});
type Trace = typeof traces extends fc.Arbitrary<infer T> ? T : never;

interface Followed {
  readonly served: Served;
  readonly outcomes: readonly { readonly code: string; readonly numbers: readonly number[] }[];
}

/** Has an engine live through a trace, until all requests have ended and all models are loaded again. */
async function follow(trace: Trace): Promise<Followed> {
  const [a, b, c, any] = trace.costs.map((costs) => costs) as [Cost, Cost, Cost, Cost];
  const poisoned = (map: (x: number) => number) => (x: number) => {
    if (x === POISON) throw new Error('It is poison.');
    return map(x);
  };
  // Enough for any request by itself, with its outputs between steps.
  const bytes =
    200 + Math.max(...trace.costs.map(({ weights, memory }) => weights + memory.base + memory.perItem));
  const served = begin(
    {
      a: mapping(poisoned(maps.a), a),
      b: mapping(maps.b, b),
      c: mapping(maps.c, c),
      any: mapping(
        poisoned((x) => x),
        any,
        [-1, -1],
      ),
    },
    {
      files: { 'chain/graph.yaml': CHAIN, 'crops/graph.yaml': CROPS, 'crops/crops.mjs': '' },
      functions: { crop },
      lanes: 2,
      bytes,
    },
  );
  const { time, engine, host } = served;
  await time.until(engine.loaded);
  const doings: Promise<unknown>[] = [];
  const at = (ms: number, act: () => unknown): void => {
    doings.push(time.sleep(ms).then(act));
  };
  const outcomes: { code: string; numbers: number[] }[] = [];
  for (const [index, { model, at: ms, x, columns, cancel, timeout }] of trace.requests.entries()) {
    at(ms, async () => {
      const control = new AbortController();
      if (cancel !== undefined) time.after(cancel, () => control.abort());
      const width = model === 'any' ? columns : 2;
      const inputs = [int32('x', [1, width], Array(width).fill(x))];
      try {
        const request = { model, inputs, ...(timeout !== undefined && { timeout }) };
        const { outputs } = await engine.infer(request, control.signal);
        outcomes[index] = { code: 'done', numbers: outputs.flatMap(numbers) };
      } catch (error) {
        if ((error as InferenceError).name !== 'InferenceError') throw error;
        outcomes[index] = { code: (error as InferenceError).code, numbers: [] };
      }
    });
  }
  for (const { at: ms, lane } of trace.kills) at(ms, () => [...host.open][lane]?.kill());
  if (trace.shrinks) {
    const { at: ms, for: long, to } = trace.shrinks;
    at(ms, () => host.setBytes(Math.floor(bytes * to)));
    at(ms + long, () => host.setBytes(bytes));
  }
  for (const { at: ms, model, back } of trace.unloads) {
    at(ms, () => engine.unload(model));
    at(ms + back, () => engine.load(model).catch(() => {}));
  }
  for (const { at: ms, model } of trace.loads) at(ms, () => engine.load(model).catch(() => {}));
  await time.until(Promise.all(doings));
  return { served, outcomes };
}

type Cost = FakeModel['costs'];

async function always(claim: (trace: Trace, followed: Followed) => void | Promise<void>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(traces, async (trace) => {
      const followed = await follow(trace);
      await claim(trace, followed);
    }),
    { numRuns: NUM_RUNS, interruptAfterTimeLimit: 60_000 },
  );
}

describe('an engine, whatever is lost, cancelled, loaded and unloaded', { timeout: 120_000 }, () => {
  it('each request ends with the right numbers, or with a true reason', async () => {
    await always((trace, { outcomes }) => {
      for (const [index, request] of trace.requests.entries()) {
        const outcome = outcomes[index];
        const { model, x, cancel, timeout, columns } = request;
        const numbers = expected[model]?.(x) ?? [];
        const right = model === 'any' ? Array(columns).fill(x) : numbers;
        switch (outcome?.code) {
          case 'done':
            expect(outcome.numbers).toEqual(right);
            break;
          case 'cancelled':
            expect(cancel).toBeDefined();
            break;
          case 'expired':
            expect(timeout).toBeDefined();
            break;
          case 'invalid':
            expect(x).toBe(POISON);
            break;
          case 'unavailable':
            expect(trace.unloads.length + trace.loads.length).toBeGreaterThan(0);
            break;
          case 'internal':
            expect(trace.kills.length).toBe(3);
            break;
          default:
            expect.fail(`request ${index} to ${model} ended with ${outcome?.code}`);
        }
      }
    });
  });

  it('runs never take more memory than the host has', async () => {
    await always((trace, { served: { host } }) => {
      if (trace.shrinks) return;
      expect(host.peak).toBeLessThanOrEqual(host.memory.capacity.bytes);
    });
  });

  it('no memory is kept when all requests have ended and all models are unloaded', async () => {
    await always(async (_, { served: { engine, time, host, functions } }) => {
      expect(engine.requests).toBe(0);
      await time.pass(20_000);
      const lanes = [...host.open, ...functions.open];
      expect(lanes.length).toBe(3);
      expect(lanes.map(({ kept }) => kept.size)).toEqual([0, 0, 0]);
      for (const model of ['crops', 'chain', 'a', 'b', 'c', 'any']) await time.until(engine.unload(model));
      await time.pass(1);
      expect([...host.open, ...functions.open].map(({ loaded }) => loaded)).toEqual([0, 0, 0]);
      expect(host.used).toBe(0);
    });
  });
});
