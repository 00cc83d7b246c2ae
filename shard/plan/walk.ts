// The walk of patent CN110955734B. It goes downstream, and each node takes the signature that moves the fewest bytes from
// the nodes before it. It never looks ahead, and serves for comparison with the exact plan.
import { keyOf } from '../layout/descriptor.js';
import { candidatesOf } from './candidates.js';
import { TransferTable } from './costs.js';
import { type Candidate, lastUses } from './graph.js';
import {
  type Choice,
  type Choices,
  choiceOf,
  choicesOf,
  extend,
  finish,
  type PartialPlan,
  start,
} from './partial-plan.js';
import type { Problem } from './problem.js';

/** The cost of a node's candidate in the walk. */
export interface Explained {
  readonly candidate: Candidate;
  /** For each input, in order: the cost, by the objective, to lay it as the candidate needs it. */
  readonly inputs: readonly number[];
  readonly cost: number;
  /** Whether the hosts have room for its weights beside the weights of the nodes before. */
  readonly fits: boolean;
}

export interface Walk extends Choices {
  /** For each node, in the graph's order, each candidate with its costs. */
  readonly explained: readonly (readonly Explained[])[];
}

/**
 * Plans node by node. Of candidates with equal costs it takes the one with the fewest bytes of weights, then the first in
 * the order of the node's signatures. Throws a RangeError if no candidate of a node fits.
 */
export function walkPlan(problem: Problem): Walk {
  const { graph, hosts } = problem;
  const table = new TransferTable(problem.objective);
  const lastUse = lastUses(graph);
  const explained: Explained[][] = [];
  let plan = start(problem);
  for (const [index, node] of graph.nodes.entries()) {
    const ways = candidatesOf(graph, node, problem.meshes).map((candidate) => {
      const choice = choiceOf(problem, node, candidate);
      const made = extend(plan, choice, { table, node, index, lastUse });
      const fits = made.memory.every((bytes, host) => bytes <= (hosts[host]?.memory ?? 0));
      const inputs = inputCosts(choice, made);
      return { candidate, inputs, cost: inputs.reduce((sum, price) => sum + price, 0), fits, made };
    });
    explained.push(ways.map(({ made, ...way }) => way));
    const fitting = ways.filter(({ fits }) => fits).map(({ made }) => made);
    if (fitting.length === 0)
      throw new RangeError(`no signature of node "${node.name}" has room: give more hosts, or more memory`);
    plan = fitting.reduce((best, made) =>
      made.cost < best.cost || (made.cost === best.cost && weightsOf(made) < weightsOf(best)) ? made : best,
    );
  }
  return { ...choicesOf(problem, finish(plan, problem, table), false), explained };
}

/** The cost of each input of a node, in order. A tensor that a node takes twice in the same way is moved once. */
function inputCosts({ inputs }: Choice, { moves }: PartialPlan): number[] {
  const left = [...moves];
  return inputs.map(({ name, descriptor }) => {
    const at = left.findIndex(({ tensor, to }) => tensor === name && keyOf(to) === keyOf(descriptor));
    return at < 0 ? 0 : (left.splice(at, 1)[0]?.cost ?? 0);
  });
}

function weightsOf({ memory }: PartialPlan): number {
  return memory.reduce((sum, bytes) => sum + bytes, 0);
}
