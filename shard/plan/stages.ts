import { CLIENT, type Descriptor, keyOf } from '../layout/descriptor.js';
import { throughClient } from '../layout/exchange.js';
import { hop, transfer } from '../layout/transfer.js';
import { wantedBy } from './candidates.js';
import type { Objective } from './costs.js';
import { type Candidate, type LogicalGraph, tensorOf } from './graph.js';
import type { Choices, Move } from './partial-plan.js';

/** A move in one exchange, or in none if each host has its part already. */
export type Step = Pick<Move, 'tensor' | 'from' | 'to' | 'node'>;

/**
 * When each node runs. In one stage each host runs all nodes whose inputs it then has. A tensor that a host gets from
 * others comes a stage later.
 */
export interface Stages {
  /** For each node of the graph, in its order. */
  readonly ofNodes: readonly number[];
  /** The steps of the plan's moves, in their order, each with the stage in which its tensor lies as wanted. */
  readonly steps: readonly { readonly step: Step; readonly stage: number }[];
  readonly count: number;
}

/** The key of a tensor that lies in some way. */
export function valueKey(tensor: string, descriptor: Descriptor): string {
  return `${keyOf(descriptor)}/${tensor}`;
}

/** The steps of a move. Between hosts that talk to each other it may have two. */
export function stepsOf(
  graph: LogicalGraph,
  { tensor, from, to, node }: Move,
  { route, bytesPerHop }: Objective,
): Step[] {
  if (route === 'client') return [{ tensor, from, to, node }];
  const { shape, bytesPerElement, varying } = tensorOf(graph, tensor);
  const { hops } = transfer(from, to, shape, bytesPerElement, bytesPerHop, varying);
  const ways = hops.slice(0, -1).map((each): Descriptor => ({ ...each.to, towards: keyOf(to) }));
  const layouts = [from, ...ways, to];
  return layouts.slice(1).map((next, at) => ({ tensor, from: layouts[at] as Descriptor, to: next, node }));
}

export function stagesOf(
  graph: LogicalGraph,
  { candidates, moves }: Pick<Choices, 'candidates' | 'moves'>,
  given: ReadonlyMap<string, Descriptor>,
  objective: Objective,
): Stages {
  const reached = new Map<string, number>();
  for (const [name, descriptor] of given)
    if (graph.inputs.includes(name)) reached.set(valueKey(name, descriptor), 0);
  const steps: { step: Step; stage: number }[] = [];
  const arrive = (move: Move): void => {
    for (const step of stepsOf(graph, move, objective)) {
      const { tensor, from, to } = step;
      const goesOver = isExchange(graph, step, objective);
      const stage = (reached.get(valueKey(tensor, from)) ?? 0) + (goesOver ? 1 : 0);
      reached.set(valueKey(tensor, to), stage);
      steps.push({ step, stage });
    }
  };
  let next = 0;
  const ofNodes = graph.nodes.map((node, index) => {
    for (; moves[next]?.node === node; next += 1) arrive(moves[next] as Move);
    const candidate = candidates[index] as Candidate;
    const stage = wantedBy(node, candidate, 'inputs')
      .map(({ name, descriptor }) => reached.get(valueKey(name, descriptor)) ?? 0)
      .reduce((latest, one) => Math.max(latest, one), 0);
    for (const { name, descriptor } of wantedBy(node, candidate, 'outputs'))
      reached.set(valueKey(name, descriptor), stage);
    return stage;
  });
  for (; next < moves.length; next += 1) arrive(moves[next] as Move);
  return { ofNodes, steps, count: 1 + Math.max(0, ...ofNodes, ...steps.map(({ stage }) => stage)) };
}

/** Whether a step goes from hosts to hosts, so that its tensor comes a stage later. */
function isExchange(graph: LogicalGraph, { tensor, from, to }: Step, { route }: Objective): boolean {
  if (from.mesh.hosts[0] === CLIENT || to.mesh.hosts[0] === CLIENT) return false;
  const { shape, bytesPerElement } = tensorOf(graph, tensor);
  if (route === 'direct') return hop(from, to, shape, bytesPerElement).bytes > 0;
  return throughClient(from, to, shape, bytesPerElement).down.size > 0;
}
