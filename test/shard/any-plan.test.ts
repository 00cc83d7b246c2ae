// The program of any plan gives what the model gives alone, not only that of the best plan.
import * as ort from 'onnxruntime-web/wasm';
import { expect, test } from 'vitest';
import { candidatesOf } from '#farlight/shard/plan/candidates.js';
import { TransferTable } from '#farlight/shard/plan/costs.js';
import { lastUses } from '#farlight/shard/plan/graph.js';
import { choiceOf, choicesOf, extend, finish, start } from '#farlight/shard/plan/partial-plan.js';
import { reportOf } from '#farlight/shard/plan/report.js';
import { type PlannedModel, planModel } from '#farlight/shard/plan-model.js';
import { load, planOptions } from '#farlight/shard/shard.js';
import { type OnnxModel, onnxBytes } from '../infer/lanes/models.js';
import { seeded } from '../support/random/seeded.js';
import { cpuHosts, runAlone } from './support/cpu-host.js';
import { difference, linesOf } from './support/runs.js';

const values = (shape: readonly [number, number], seed: number) => {
  const random = seeded(seed);
  return Float32Array.from({ length: shape[0] * shape[1] }, () => random() - 0.5);
};
const weight = (...shape: [number, number]) => ({ shape, values: values(shape, shape[0]) });
const node = (operator: string, inputs: string[], made: string, axis?: number) => ({
  operator,
  inputs,
  outputs: [made],
  ...(axis !== undefined && { attributes: { axis } }),
});
const value = (name: string) => ({ name, type: 'FP32', shape: [6, 8] }) as const;

/** Its inputs are taken early and late. */
const model: OnnxModel = {
  inputs: [value('a'), value('b')],
  outputs: ['sum', 'less', 'soft', 'last'].map(value),
  weights: { v: weight(8, 8), w: weight(8, 8) },
  nodes: [
    node('MatMul', ['a', 'v'], 'first'),
    node('Add', ['b', 'first'], 'sum'),
    node('Sub', ['sum', 'b'], 'less'),
    node('Softmax', ['less'], 'soft', 0),
    node('MatMul', ['soft', 'w'], 'second'),
    node('Add', ['second', 'a'], 'more'),
    node('Mul', ['more', 'b'], 'last'),
  ],
};
const file = onnxBytes(model);

/** A plan that takes any candidate of each node. */
async function anyPlan(seed: number, hosts: number, route: 'direct' | 'client'): Promise<PlannedModel> {
  const random = seeded(seed);
  const asked = planOptions({ hosts: Array<string>(hosts).fill(''), effort: 100, memory: 2 ** 20 });
  const best = await planModel(file, { ...asked, route });
  const { problem } = best;
  const { graph } = problem;
  const [table, lastUse] = [new TransferTable(problem.objective), lastUses(graph)];
  let plan = start(problem);
  for (const [index, one] of graph.nodes.entries()) {
    const candidates = candidatesOf(graph, one, problem.meshes);
    const candidate = candidates[Math.floor(random() * candidates.length)];
    if (!candidate) throw new Error('each node may run whole');
    plan = extend(plan, choiceOf(problem, one, candidate), { table, node: one, index, lastUse });
  }
  const choices = choicesOf(problem, finish(plan, problem, table), false);
  return { ...best, choices, report: reportOf(problem, choices, asked.link, { operationsPerSecond: 1e12 }) };
}

test.each([
  ['by way of the client', 2, 'client'],
  ['directly', 2, 'direct'],
  ['directly, over three hosts', 3, 'direct'],
] as const)(
  '60 plans, chosen by chance, give what the model gives alone, and move what they say: %s',
  async (_, count, route) => {
    const feeds = Object.fromEntries(
      ['a', 'b'].map((name, at) => [name, new ort.Tensor('float32', values([6, 8], at + 1), [6, 8])]),
    );
    const alone = await runAlone(file);
    const expected = await alone.run(feeds);
    for (let seed = 1; seed <= 60; seed += 1) {
      const hosts = cpuHosts(count);
      const over = await load(await anyPlan(seed, count, route), hosts);
      const results = await over.run(feeds);
      for (const [name, { data }] of Object.entries(expected)) {
        const made = (results[name] as ort.Tensor).data as Float32Array;
        expect(difference(made, data as Float32Array), `${name} of the plan ${seed}`).toBeLessThan(1e-5);
      }
      expect(over.moved, `the plan ${seed}`).toEqual(linesOf(over));
      await Promise.all(hosts.map((host) => host.ask({ ask: 'drop', values: [] })));
      expect(hosts.flatMap((host) => [...host.values.keys()])).toEqual([]);
      await over.release();
    }
    await alone.release();
  },
  60_000,
);
