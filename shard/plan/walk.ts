// The walk of patent CN110955734B. It goes downstream, and each node takes the signature that moves the fewest bytes from
// the nodes before it. It never looks ahead, and serves for comparison with the exact plan.
import { type Descriptor, keyOf } from '../layout/descriptor.js';
import { candidatesOf, wantedBy } from './candidates.js';
import { bytesByHost, TransferTable } from './costs.js';
import { type Candidate, tensorOf } from './graph.js';
import type { Problem } from './problem.js';
import { AT_CLIENT, type Choices, type Move } from './search.js';

/** The cost of a node's candidate in the walk. */
export interface Explained {
  readonly candidate: Candidate;
  /** For each input, in order: the cost, by the objective, to lay it as the candidate needs it. */
  readonly inputs: readonly number[];
  readonly cost: number;
  /** Whether the hosts have room for its weights beside those of the nodes before. */
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
  const { graph, given, hosts } = problem;
  const table = new TransferTable(problem.objective);
  const memory = new Map(hosts.map(({ id }) => [id, 0]));
  const limits = new Map(hosts.map(({ id, memory: most }) => [id, most]));
  const laid = new Map<string, Descriptor[]>(
    graph.inputs.map((name) => [name, [given.get(name) ?? AT_CLIENT]]),
  );
  const moves: Move[] = [];
  const chosen: Candidate[] = [];
  const explained: Explained[][] = [];
  let cost = 0;

  const nearest = (name: string, to: Descriptor) => {
    const prices = (laid.get(name) ?? []).map((from) => ({
      from,
      price: keyOf(from) === keyOf(to) ? 0 : table.cost(tensorOf(graph, name), from, to),
    }));
    return prices.reduce((best, one) => (one.price < best.price ? one : best));
  };
  const isLaid = (name: string, to: Descriptor) =>
    (laid.get(name) ?? []).some((way) => keyOf(way) === keyOf(to));

  for (const node of graph.nodes) {
    let best: (Explained & { weights: Map<number, number>; bytes: number }) | undefined;
    const all: Explained[] = [];
    for (const candidate of candidatesOf(graph, node, problem.meshes)) {
      const weights = new Map<number, number>();
      const wanted = new Set<string>();
      const inputs = wantedBy(node, candidate, 'inputs').map(({ name, descriptor }) => {
        // A tensor that a node takes twice in the same way is laid out once.
        const key = `${name} ${keyOf(descriptor)}`;
        if (wanted.has(key) || isLaid(name, descriptor)) return 0;
        wanted.add(key);
        if (!graph.weights.has(name)) return nearest(name, descriptor).price;
        for (const [host, bytes] of bytesByHost(tensorOf(graph, name), descriptor))
          weights.set(host, (weights.get(host) ?? 0) + bytes);
        return 0;
      });
      const fits = [...weights].every(
        ([host, bytes]) => (memory.get(host) as number) + bytes <= (limits.get(host) as number),
      );
      const one = { candidate, inputs, cost: inputs.reduce((sum, price) => sum + price, 0), fits };
      all.push(one);
      const bytes = [...weights.values()].reduce((sum, more) => sum + more, 0);
      if (fits && (!best || one.cost < best.cost || (one.cost === best.cost && bytes < best.bytes)))
        best = { ...one, weights, bytes };
    }
    explained.push(all);
    if (!best)
      throw new RangeError(`no signature of node "${node.name}" has room: give more hosts, or more memory`);
    cost += best.cost;
    chosen.push(best.candidate);
    for (const [host, bytes] of best.weights) memory.set(host, (memory.get(host) as number) + bytes);
    for (const { name, descriptor } of wantedBy(node, best.candidate, 'inputs')) {
      if (isLaid(name, descriptor)) continue;
      if (!graph.weights.has(name))
        moves.push({ tensor: name, from: nearest(name, descriptor).from, to: descriptor, node });
      laid.set(name, [...(laid.get(name) ?? []), descriptor]);
    }
    for (const { name, descriptor } of wantedBy(node, best.candidate, 'outputs'))
      laid.set(name, [descriptor]);
  }
  for (const name of graph.outputs) {
    const to = given.get(name) ?? AT_CLIENT;
    const { from, price } = nearest(name, to);
    cost += price;
    if (keyOf(from) !== keyOf(to)) moves.push({ tensor: name, from, to, node: undefined });
  }
  return { candidates: chosen, moves, cost, memory, isExact: false, explained };
}
