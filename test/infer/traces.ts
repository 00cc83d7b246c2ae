import fc from 'fast-check';
import { at, type ModelCosts } from '#farlight/infer/schedule/costs.js';
import type { ScheduledGraph } from '#farlight/infer/schedule/types.js';
import type { SimulatedEvent, SimulatedHost } from '#farlight/infer/simulation/machine.js';

/** Everything that a simulation is given beside the dispatcher. */
export interface Trace {
  readonly hosts: readonly SimulatedHost[];
  readonly models: Readonly<Record<string, ModelCosts>>;
  readonly events: readonly SimulatedEvent[];
  readonly poison: ReadonlySet<number>;
  readonly cancelled: ReadonlySet<number>;
  readonly requests: number;
}

const affine = (base: number, perItem: number) =>
  fc.record({ base: fc.integer({ min: 0, max: base }), perItem: fc.integer({ min: 1, max: perItem }) });

const NONE = { base: 0, perItem: 0 };
const FREE: ModelCosts = {
  resource: 'cpu',
  maxBatch: 1,
  weights: 0,
  memory: NONE,
  output: 0,
  gpu: NONE,
  wait: { base: 3, perItem: 0 },
  load: 0,
};

const gpuModel: fc.Arbitrary<ModelCosts> = fc.record({
  resource: fc.constant('gpu' as const),
  maxBatch: fc.integer({ min: 1, max: 16 }),
  weights: fc.integer({ min: 0, max: 20 }),
  memory: affine(8, 6),
  output: fc.integer({ min: 0, max: 4 }),
  gpu: affine(10, 4),
  wait: affine(20, 2),
  load: fc.integer({ min: 0, max: 30 }),
});

/** Graphs over models m0 to m3 and a function: chains, forks that join, and crops. */
const GRAPHS: readonly ScheduledGraph['steps'][] = [
  [{ model: 'm0', after: [] }],
  [
    { model: 'm0', after: [] },
    { model: 'm1', after: [0] },
    { model: 'm2', after: [1] },
  ],
  [
    { model: 'm0', after: [] },
    { model: 'm1', after: [0] },
    { model: 'm2', after: [0] },
    { model: 'm3', after: [1, 2] },
  ],
  [
    { model: 'm0', after: [] },
    { model: 'crop', after: [0] },
    { model: 'm1', after: [1], each: 1 },
    { model: 'm2', after: [2], each: 1 },
    { model: 'crop', after: [3] },
  ],
];

/** How many elements a crop of a request has: none too. */
export const elementsOf = ({ request, count }: { request: number; count: number }): number =>
  (request % 4) * count;

/**
 * Traces on one or two hosts: graphs of models of unlike size, whose outputs stay on the GPU; a capacity that shrinks
 * and comes back; lanes that are lost; requests that are cancelled, that have a deadline, or that fail.
 */
export const traces: fc.Arbitrary<Trace> = fc
  .record({
    models: fc.tuple(gpuModel, gpuModel, gpuModel, gpuModel),
    requests: fc.array(
      fc.record({
        graph: fc.nat(GRAPHS.length - 1),
        at: fc.nat(400),
        items: fc.integer({ min: 1, max: 3 }),
        weight: fc.constantFrom(1, 1, 1, 4),
        deadline: fc.option(fc.integer({ min: 1, max: 600 }), { freq: 6, nil: undefined }),
        cancel: fc.option(fc.nat(200), { freq: 6, nil: undefined }),
      }),
      { minLength: 1, maxLength: 40 },
    ),
    poisoned: fc.integer({ min: 4, max: 100 }),
    room: fc.double({ min: 1, max: 3, noNaN: true }),
    shrinks: fc.option(
      fc.record({ at: fc.nat(300), for: fc.nat(500), to: fc.double({ min: 0.1, max: 1, noNaN: true }) }),
    ),
    lost: fc.array(fc.record({ at: fc.nat(400), lane: fc.constantFrom('a1', 'a2') }), { maxLength: 2 }),
    second: fc.boolean(),
  })
  .map(({ models: gpuModels, requests, poisoned, room, shrinks, lost, second }) => {
    const models: Record<string, ModelCosts> = { crop: FREE };
    for (const [index, costs] of gpuModels.entries()) models[`m${index}`] = costs;
    const graphs = GRAPHS.map((steps, index) => ({ name: `g${index}`, steps }));
    // Enough for the largest request by itself: each step has at most 9 items.
    const outputs = gpuModels.reduce((sum, { output }) => sum + output * 9, 0);
    const peak = Math.max(...gpuModels.map(({ weights, memory }) => weights + at(memory, 1)));
    const bytes = Math.ceil((peak + outputs) * room);
    const capacity = (now: number) => ({ bytes: now, limit: bytes });
    const lane = (name: string, host: string, resource: 'gpu' | 'cpu' = 'gpu') => ({ name, host, resource });
    const hosts: SimulatedHost[] = [
      { name: 'a', capacity: capacity(bytes), lanes: [lane('a1', 'a'), lane('a2', 'a')] },
      { name: 'here', capacity: capacity(0), lanes: [lane('cpu1', 'here', 'cpu')] },
    ];
    if (second) hosts.push({ name: 'b', capacity: capacity(bytes), lanes: [lane('b1', 'b')] });
    const events: SimulatedEvent[] = [];
    const poison = new Set<number>();
    const cancelled = new Set<number>();
    for (const [id, { graph, at, items, weight, deadline, cancel }] of requests.entries()) {
      const until = deadline === undefined ? {} : { deadline: at + deadline };
      const request = { id, graph: graphs[graph] as ScheduledGraph, items, weight, ...until };
      events.push({ at, request });
      if (id % poisoned === 3) poison.add(id);
      if (cancel === undefined) continue;
      cancelled.add(id);
      events.push({ at: at + cancel, cancel: id });
    }
    if (shrinks) {
      events.push({ at: shrinks.at, host: 'a', capacity: capacity(Math.floor(bytes * shrinks.to)) });
      events.push({ at: shrinks.at + shrinks.for, host: 'a', capacity: capacity(bytes) });
    }
    events.push(...lost);
    return { hosts, models, events, poison, cancelled, requests: requests.length };
  });
