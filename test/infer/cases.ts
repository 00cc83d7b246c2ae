import fc from 'fast-check';
import type { ModelCosts } from '#farlight/infer/schedule/costs.js';
import type { Policy } from '#farlight/infer/schedule/policy.js';
import { Scheduler } from '#farlight/infer/schedule/scheduler.js';
import type { ScheduledGraph } from '#farlight/infer/schedule/types.js';
import { type SimulatedHost, type SimulationResult, simulate } from '#farlight/infer/simulation/machine.js';
import type { OracleCase } from './oracle.js';

const affine = (base: [number, number], perItem: [number, number]) =>
  fc.record({
    base: fc.integer({ min: base[0], max: base[1] }),
    perItem: fc.integer({ min: perItem[0], max: perItem[1] }),
  });

const NONE = { base: 0, perItem: 0 };

const model = (shared: boolean): fc.Arbitrary<ModelCosts> =>
  fc.record({
    resource: fc.constant('gpu' as const),
    maxBatch: fc.constant(8),
    weights: fc.constant(0),
    memory: affine([0, 4], [1, 4]),
    output: fc.constant(0),
    // On one host two runs gain by what they wait for; on two, each has a GPU of its own.
    gpu: affine([0, 12], [1, 6]),
    wait: shared ? affine([0, 20], [0, 4]) : fc.constant(NONE),
    load: fc.constant(0),
  });

/** One host with two lanes, or two hosts with one each. */
function hosts(shared: boolean, bytes: number): SimulatedHost[] {
  const lane = (name: string, host: string) => ({ name, host, resource: 'gpu' as const });
  const capacity = { bytes, limit: bytes };
  return shared
    ? [{ name: 'a', capacity, lanes: [lane('a1', 'a'), lane('a2', 'a')] }]
    : [
        { name: 'a', capacity, lanes: [lane('a1', 'a')] },
        { name: 'b', capacity, lanes: [lane('b1', 'b')] },
      ];
}

/** Small cases: at most 3 models, at most 8 requests, 2 lanes. */
export const smallCases = ({ late }: { late: boolean }): fc.Arbitrary<OracleCase> =>
  fc.boolean().chain((shared) =>
    fc
      .record({
        models: fc.array(model(shared), { minLength: 1, maxLength: 3 }),
        room: fc.integer({ min: 0, max: 16 }),
        requests: fc.array(
          fc.record({
            chain: fc.nat(3),
            at: late ? fc.integer({ min: 0, max: 60 }) : fc.constant(0),
          }),
          { minLength: 1, maxLength: 8 },
        ),
        chained: fc.boolean(),
      })
      .map(({ models, room, requests, chained }) => {
        const names = models.map((_, index) => `m${index}`);
        const largest = Math.max(...models.map(({ memory }) => memory.base + memory.perItem));
        const chains: string[][] = names.map((name) => [name]);
        if (chained && names.length > 1) chains.push([names[0] as string, names[1] as string]);
        return {
          models: Object.fromEntries(models.map((each, index) => [names[index] as string, each])),
          hosts: hosts(shared, largest + room),
          chains,
          requests: requests.map(({ chain, at }) => ({ chain: chain % chains.length, at })),
        };
      }),
  );

export function graphOf(chain: readonly string[]): ScheduledGraph {
  return {
    name: chain.join('-'),
    steps: chain.map((model, step) => ({ model, after: step === 0 ? [] : [step - 1] })),
  };
}

export function schedule(
  { models, hosts, chains, requests }: OracleCase,
  policy: Partial<Policy> = {},
): SimulationResult {
  const graphs = chains.map(graphOf);
  return simulate({
    dispatcher: new Scheduler({ lead: 0, ...policy }),
    hosts,
    models,
    events: requests.map(({ chain, at }, id) => ({
      at,
      request: { id, graph: graphs[chain] as ScheduledGraph, items: 1 },
    })),
  });
}

export function latencyOf({ ends }: SimulationResult): number {
  return [...ends.values()].reduce((sum, { ms }) => sum + ms, 0);
}
