// The exact plan, by a dynamic program over the frontier of the graph. Two partial plans with the same remaining tensors
// in the same layout have the same future, so only the better one is kept. If memory is limited, a partial plan also
// stays if it leaves a host more room.
import { type Descriptor, keyOf, meshOf } from '../layout/descriptor.js';
import { candidatesOf, type Wanted, wantedBy } from './candidates.js';
import { bytesByHost, bytesOf, TransferTable } from './costs.js';
import {
  type Candidate,
  CLIENT,
  type LogicalGraph,
  type LogicalNode,
  type LogicalTensor,
  tensorOf,
} from './graph.js';
import type { Problem } from './problem.js';

/** A new layout of a tensor, for the first node that needs it so, or for the client. */
export interface Move {
  readonly tensor: string;
  readonly from: Descriptor;
  readonly to: Descriptor;
  /** The node that needs it; undefined for an output of the program. */
  readonly node: LogicalNode | undefined;
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
interface PartialPlan {
  readonly cost: number;
  readonly memory: readonly number[];
  /** The layouts of the tensors that later nodes need, one or several for each tensor. */
  readonly laid: ReadonlyMap<string, readonly Layout[]>;
  readonly before: PartialPlan | undefined;
  readonly candidate: Candidate | undefined;
  readonly moves: readonly Move[];
}

/** A descriptor with its key, which is computed once. */
type Layout = Pick<Wanted, 'descriptor' | 'key'>;

/** A candidate of a node with the layouts that it needs, computed once for all partial plans. */
interface Choice {
  readonly candidate: Candidate;
  readonly inputs: readonly (Wanted & {
    readonly tensor: LogicalTensor;
    readonly weight: readonly number[] | undefined;
  })[];
  readonly outputs: readonly Wanted[];
}

/** About how many partial plans a search looks at in all. This bounds its time and memory. */
const EFFORT = 600_000;
const LEAST_KEPT = 20;
/** With how many cheaper partial plans each one is compared. */
const COMPARED = 100;

/** The descriptor of the client, from which inputs come and to which outputs go. */
export const AT_CLIENT: Descriptor = { mesh: meshOf([CLIENT]), placements: ['B'] };

/**
 * The cheapest plan that fits. If none fits, throws a RangeError with the memory of the hosts and the need of the best
 * plan that was left.
 */
export function searchPlan(problem: Problem, effort: number = EFFORT): Choices {
  const { graph } = problem;
  const table = new TransferTable(problem.objective);
  const lastUse = lastUses(graph);
  const hosts = problem.hosts.map(({ id }) => id);
  const limits = problem.hosts.map(({ memory }) => memory);
  const unplaced = unplacedAfter(graph);
  const room = limits.reduce((sum, limit) => sum + limit, 0);
  const hasRoom = ({ memory }: PartialPlan, index: number) =>
    memory.every((bytes, host) => bytes <= (limits[host] as number)) &&
    // Each weight of a later node must lie somewhere too, whole or in parts.
    memory.reduce((sum, bytes) => sum + bytes, 0) + (unplaced[index] as number) <= room;
  let isExact = true;
  let partials: PartialPlan[] = [start(problem, hosts.length)];
  for (const [index, node] of graph.nodes.entries()) {
    const choices = candidatesOf(graph, node, problem.meshes).map((candidate) =>
      choice(problem, node, candidate),
    );
    const next = new Frontier(graph, table, limits.some(Number.isFinite));
    for (const partial of partials)
      for (const choice of choices) {
        const made = extend(partial, choice, { table, node, index, lastUse });
        if (hasRoom(made, index)) next.add(made);
      }
    partials = next.all();
    if (partials.length === 0) throw new RangeError(tooSmall(problem, node));
    const kept = Math.max(LEAST_KEPT, Math.floor(effort / graph.nodes.length / choices.length));
    if (partials.length > kept) {
      isExact = false;
      partials = trimmed(partials, kept);
    }
  }
  const ended = partials.map((partial) => finish(partial, problem, table));
  const best = ended.reduce((least, plan) => (plan.cost < least.cost ? plan : least));
  return {
    ...unwind(best),
    memory: new Map(hosts.map((host, at) => [host, best.memory[at] as number])),
    isExact,
  };
}

function start({ graph, given }: Problem, hosts: number): PartialPlan {
  const laid = new Map<string, readonly Layout[]>();
  for (const name of graph.inputs) laid.set(name, [layout(given.get(name) ?? AT_CLIENT)]);
  return {
    cost: 0,
    memory: Array<number>(hosts).fill(0),
    laid,
    before: undefined,
    candidate: undefined,
    moves: [],
  };
}

function layout(descriptor: Descriptor): Layout {
  return { descriptor, key: keyOf(descriptor) };
}

function choice({ graph, hosts }: Problem, node: LogicalNode, candidate: Candidate): Choice {
  const inputs = wantedBy(node, candidate, 'inputs').map((wanted) => {
    const tensor = tensorOf(graph, wanted.name);
    const bytes = graph.weights.has(wanted.name) ? bytesByHost(tensor, wanted.descriptor) : undefined;
    return { ...wanted, tensor, weight: bytes && hosts.map(({ id }) => bytes.get(id) ?? 0) };
  });
  return { candidate, inputs, outputs: wantedBy(node, candidate, 'outputs') };
}

interface Step {
  readonly table: TransferTable;
  readonly node: LogicalNode;
  readonly index: number;
  readonly lastUse: ReadonlyMap<string, number>;
}

function extend(partial: PartialPlan, choice: Choice, { table, node, index, lastUse }: Step): PartialPlan {
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
      moves.push({ tensor: name, from, to: descriptor, node });
    }
    laid.set(name, [...ways, wanted]);
  }
  for (const made of choice.outputs) laid.set(made.name, [made]);
  for (const name of [...node.inputs, ...node.outputs])
    if ((lastUse.get(name) ?? -1) <= index) laid.delete(name);
  return { cost, memory, laid, before: partial, candidate: choice.candidate, moves };
}

function finish(partial: PartialPlan, { graph, given }: Problem, table: TransferTable): PartialPlan {
  let { cost } = partial;
  const moves: Move[] = [];
  for (const name of graph.outputs) {
    const to = layout(given.get(name) ?? AT_CLIENT);
    const tensor = tensorOf(graph, name);
    const { from, price } = cheapest(partial.laid.get(name) ?? [], (way) =>
      table.cost(tensor, way.descriptor, to.descriptor, way.key, to.key),
    );
    cost += price;
    if (keyOf(from) !== to.key) moves.push({ tensor: name, from, to: to.descriptor, node: undefined });
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

/** For each node: the bytes of the weights that only later nodes take. */
function unplacedAfter(graph: LogicalGraph): number[] {
  const seen = new Set<string>();
  const taken = graph.nodes.map(({ inputs }) => {
    const bytes = inputs
      .filter((name) => graph.weights.has(name) && !seen.has(name))
      .map((name) => {
        seen.add(name);
        return bytesOf(tensorOf(graph, name));
      });
    return bytes.reduce((sum, one) => sum + one, 0);
  });
  let left = 0;
  return taken
    .map((_, index) => {
      const bytes = left;
      left += taken.at(-1 - index) as number;
      return bytes;
    })
    .reverse();
}

/** The cheapest plans of these, and as many that leave the most room, since the cheapest may not fit in the end. */
function trimmed(partials: readonly PartialPlan[], kept: number): PartialPlan[] {
  const total = ({ memory }: PartialPlan) => memory.reduce((sum, bytes) => sum + bytes, 0);
  const cheap = [...partials].sort((a, b) => a.cost - b.cost || total(a) - total(b));
  const roomy = [...partials].sort((a, b) => total(a) - total(b) || a.cost - b.cost);
  return [...new Set([...cheap.slice(0, Math.ceil(kept / 2)), ...roomy.slice(0, Math.floor(kept / 2))])];
}

/** The last node that needs each tensor. Outputs of the graph are needed to its end. */
function lastUses(graph: LogicalGraph): Map<string, number> {
  const last = new Map<string, number>();
  for (const [index, node] of graph.nodes.entries()) for (const name of node.inputs) last.set(name, index);
  for (const name of graph.outputs) last.set(name, Number.POSITIVE_INFINITY);
  return last;
}

function unwind(end: PartialPlan): Pick<Choices, 'candidates' | 'moves' | 'cost'> {
  const candidates: Candidate[] = [];
  const moves: Move[][] = [];
  for (let at: PartialPlan | undefined = end; at; at = at.before) {
    if (at.candidate) candidates.push(at.candidate);
    moves.push([...at.moves]);
  }
  return { candidates: candidates.reverse(), moves: moves.reverse().flat(), cost: end.cost };
}

const keys = (ways: readonly Layout[]) =>
  ways
    .map(({ key }) => key)
    .sort()
    .join('|');

/** PartialPlan plans after one node, without the ones that another plan beats in everything. */
class Frontier {
  readonly #byLayout = new Map<string, PartialPlan[]>();
  readonly #graph: LogicalGraph;
  readonly #table: TransferTable;
  readonly #countsMemory: boolean;

  constructor(graph: LogicalGraph, table: TransferTable, countsMemory: boolean) {
    this.#graph = graph;
    this.#table = table;
    this.#countsMemory = countsMemory;
  }

  add(partial: PartialPlan): void {
    const key = [...partial.laid]
      .map(([name, ways]) => `${name}:${ways.length === 1 ? (ways[0] as Layout).key : keys(ways)}`)
      .sort()
      .join('\n');
    const others = this.#byLayout.get(key) ?? [];
    if (others.some((other) => this.#costsNoMore(other, partial))) return;
    this.#byLayout.set(key, [...others.filter((other) => !this.#costsNoMore(partial, other)), partial]);
  }

  /** The plans that no other beats, the cheapest first. Each is compared with a limited number of cheaper ones. */
  all(): PartialPlan[] {
    const left: PartialPlan[] = [];
    for (const partial of [...this.#byLayout.values()].flat().sort((a, b) => a.cost - b.cost)) {
      const isBeaten = left
        .slice(0, COMPARED)
        .some((other) => this.#costsNoMore(other, partial) && this.#hasWhatIsIn(other, partial));
      if (!isBeaten) left.push(partial);
    }
    return left;
  }

  #costsNoMore(other: PartialPlan, partial: PartialPlan): boolean {
    if (other.cost > partial.cost) return false;
    return (
      !this.#countsMemory || other.memory.every((bytes, host) => bytes <= (partial.memory[host] as number))
    );
  }

  /**
   * Whether `other` has every layout of `partial`, or can make it without moving bytes. Then all later nodes cost no
   * more after `other`.
   */
  #hasWhatIsIn(other: PartialPlan, partial: PartialPlan): boolean {
    for (const [name, ways] of partial.laid) {
      const own = other.laid.get(name) ?? [];
      if (own === ways) continue;
      const tensor = tensorOf(this.#graph, name);
      const isWeight = this.#graph.weights.has(name);
      const has = (way: Layout) =>
        own.some(
          ({ key, descriptor }) =>
            key === way.key ||
            (!isWeight && this.#table.cost(tensor, descriptor, way.descriptor, key, way.key) === 0),
        );
      if (!ways.every(has)) return false;
    }
    return true;
  }
}

function tooSmall({ hosts, graph }: Problem, node: LogicalNode): string {
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const weights = [...graph.weights].reduce((sum, name) => sum + bytesOf(tensorOf(graph, name)), 0);
  const room = hosts.reduce((sum, { memory }) => sum + memory, 0);
  return `the weights of the model (${mib(weights)}) do not fit on these hosts (${mib(room)} in all): no plan has room for node "${node.name}"; give more hosts, or more memory`;
}
