// A partial plan has the choices for the nodes up to some node. Both planners extend it node by node.
import { CLIENT, type Descriptor, keyOf, meshOf } from '../layout/descriptor.js';
import { type Wanted, wantedBy } from './candidates.js';
import { bytesByHost, type TransferTable } from './costs.js';
import { type Candidate, type LogicalNode, type LogicalTensor, tensorOf } from './graph.js';
import type { Problem } from './problem.js';

/** A new layout of a tensor, for the first node that needs it so, or for the client. */
export interface Move {
  readonly tensor: string;
  readonly from: Descriptor;
  readonly to: Descriptor;
  /** The node that needs it; undefined for an output of the program. */
  readonly node: LogicalNode | undefined;
  /** By the problem's objective. */
  readonly cost: number;
}

export interface Choices {
  /** For each node of the graph, in its order. */
  readonly candidates: readonly Candidate[];
  readonly moves: readonly Move[];
  /** By the problem's objective. */
  readonly cost: number;
  /** Bytes of weights by host. */
  readonly memory: ReadonlyMap<number, number>;
  /** Whether no plan is cheaper. False if the search had to drop partial plans, because then it is unknown. */
  readonly isExact: boolean;
}

/** A partial plan: the choices up to some node. */
export interface PartialPlan {
  readonly cost: number;
  readonly memory: readonly number[];
  /** The layouts of the tensors that later nodes need, one or several for each tensor. */
  readonly laid: ReadonlyMap<string, readonly Layout[]>;
  readonly before: PartialPlan | undefined;
  readonly candidate: Candidate | undefined;
  readonly moves: readonly Move[];
}

/** A descriptor with its key, which is computed once. */
export type Layout = Pick<Wanted, 'descriptor' | 'key'>;

/** A candidate of a node with the layouts that it needs, computed once for all partial plans. */
export interface Choice {
  readonly candidate: Candidate;
  readonly inputs: readonly (Wanted & {
    readonly tensor: LogicalTensor;
    readonly weight: readonly number[] | undefined;
  })[];
  readonly outputs: readonly Wanted[];
}

/** The descriptor of the client: inputs come from there, and outputs go there. */
export const AT_CLIENT: Descriptor = { mesh: meshOf([CLIENT]), placements: ['B'] };

/** The partial plan before the first node: the inputs lie where they are given. */
export function start({ graph, given, hosts }: Problem): PartialPlan {
  const laid = new Map<string, readonly Layout[]>();
  for (const name of graph.inputs) laid.set(name, [layout(given.get(name) ?? AT_CLIENT)]);
  return {
    cost: 0,
    memory: hosts.map(() => 0),
    laid,
    before: undefined,
    candidate: undefined,
    moves: [],
  };
}

function layout(descriptor: Descriptor): Layout {
  return { descriptor, key: keyOf(descriptor) };
}

/** Computes the layouts that a candidate needs, and the bytes of its weights on each host. */
export function choiceOf({ graph, hosts }: Problem, node: LogicalNode, candidate: Candidate): Choice {
  const inputs = wantedBy(node, candidate, 'inputs').map((wanted) => {
    const tensor = tensorOf(graph, wanted.name);
    const bytes = graph.weights.has(wanted.name) ? bytesByHost(tensor, wanted.descriptor) : undefined;
    return { ...wanted, tensor, weight: bytes && hosts.map(({ id }) => bytes.get(id) ?? 0) };
  });
  return { candidate, inputs, outputs: wantedBy(node, candidate, 'outputs') };
}

export interface Step {
  readonly table: TransferTable;
  readonly node: LogicalNode;
  readonly index: number;
  readonly lastUse: ReadonlyMap<string, number>;
}

/** The partial plan with this choice for the next node. Each tensor that does not lie as needed is moved, once. */
export function extend(
  partial: PartialPlan,
  choice: Choice,
  { table, node, index, lastUse }: Step,
): PartialPlan {
  const laid = new Map(partial.laid);
  let { cost, memory } = partial;
  const moves: Move[] = [];
  for (const wanted of choice.inputs) {
    const { name, tensor, weight, descriptor, key } = wanted;
    const ways = laid.get(name) ?? [];
    if (ways.some((way) => way.key === key)) continue;
    if (weight) memory = memory.map((bytes, host) => bytes + (weight[host] as number));
    else {
      const { from, price } = cheapest(ways, (way) =>
        table.cost(tensor, way.descriptor, descriptor, way.key, key),
      );
      cost += price;
      moves.push({ tensor: name, from, to: descriptor, node, cost: price });
    }
    laid.set(name, [...ways, wanted]);
  }
  for (const made of choice.outputs) laid.set(made.name, [made]);
  for (const name of [...node.inputs, ...node.outputs])
    if ((lastUse.get(name) ?? -1) <= index) laid.delete(name);
  return { cost, memory, laid, before: partial, candidate: choice.candidate, moves };
}

/** The plan of all nodes, with the moves of the outputs to where they must lie. */
export function finish(partial: PartialPlan, { graph, given }: Problem, table: TransferTable): PartialPlan {
  let { cost } = partial;
  const moves: Move[] = [];
  for (const name of graph.outputs) {
    const to = layout(given.get(name) ?? AT_CLIENT);
    const tensor = tensorOf(graph, name);
    const { from, price } = cheapest(partial.laid.get(name) ?? [], (way) =>
      table.cost(tensor, way.descriptor, to.descriptor, way.key, to.key),
    );
    cost += price;
    if (keyOf(from) !== to.key)
      moves.push({ tensor: name, from, to: to.descriptor, node: undefined, cost: price });
  }
  return { ...partial, cost, moves, before: partial, candidate: undefined };
}

/** The layout from which a move costs least, the first of equals. */
function cheapest(ways: readonly Layout[], priceOf: (way: Layout) => number) {
  let best: { from: Descriptor; price: number } | undefined;
  for (const way of ways) {
    const price = priceOf(way);
    if (!best || price < best.price) best = { from: way.descriptor, price };
  }
  if (!best) throw new Error('a node takes a tensor that nothing makes');
  return best;
}

/** The choices that led to this plan. */
export function choicesOf({ hosts }: Problem, end: PartialPlan, isExact: boolean): Choices {
  const candidates: Candidate[] = [];
  const moves: Move[][] = [];
  for (let at: PartialPlan | undefined = end; at; at = at.before) {
    if (at.candidate) candidates.push(at.candidate);
    moves.push([...at.moves]);
  }
  return {
    candidates: candidates.reverse(),
    moves: moves.reverse().flat(),
    cost: end.cost,
    memory: new Map(hosts.map(({ id }, at) => [id, end.memory[at] as number])),
    isExact,
  };
}
