import { CLIENT, type Descriptor, keyOf } from '../layout/descriptor.js';
import { throughClient } from '../layout/exchange.js';
import { wantedBy } from './candidates.js';
import { type Candidate, type LogicalGraph, tensorOf } from './graph.js';
import type { Choices, Move } from './partial-plan.js';

/**
 * When each node runs, where tensors go from host to host by way of the client. In one stage each host runs all nodes
 * whose inputs it then has, and the client waits for it once. A tensor that a host gets from others comes a stage later.
 */
export interface Stages {
  /** For each node of the graph, in its order. */
  readonly ofNodes: readonly number[];
  /** For each move of the plan, in its order: in which stage its tensor lies as wanted, at the earliest. */
  readonly ofMoves: readonly number[];
  readonly count: number;
}

/** The key of a tensor that lies in some way. */
export function valueKey(tensor: string, descriptor: Descriptor): string {
  return `${keyOf(descriptor)}/${tensor}`;
}

export function stagesOf(
  graph: LogicalGraph,
  { candidates, moves }: Pick<Choices, 'candidates' | 'moves'>,
  given: ReadonlyMap<string, Descriptor>,
): Stages {
  const reached = new Map<string, number>();
  for (const [name, descriptor] of given)
    if (graph.inputs.includes(name)) reached.set(valueKey(name, descriptor), 0);
  const ofMoves: number[] = [];
  const arrive = ({ tensor, from, to }: Move): void => {
    const { shape, bytesPerElement } = tensorOf(graph, tensor);
    const isAtClient = from.mesh.hosts[0] === CLIENT;
    const goesOver = !isAtClient && throughClient(from, to, shape, bytesPerElement).down.size > 0;
    const stage = (reached.get(valueKey(tensor, from)) ?? 0) + (goesOver ? 1 : 0);
    reached.set(valueKey(tensor, to), stage);
    ofMoves.push(stage);
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
  return { ofNodes, ofMoves, count: 1 + Math.max(0, ...ofNodes, ...ofMoves) };
}
