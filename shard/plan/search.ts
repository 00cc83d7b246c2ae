// The exact plan, by a dynamic program over the frontier of the graph. Two partial plans with the same remaining tensors
// in the same layout have the same future, so only the better one is kept. If memory is limited, a partial plan also
// stays if it leaves a host more room.
import { candidatesOf } from './candidates.js';
import { bytesOf, TransferTable } from './costs.js';
import { type LogicalGraph, type LogicalNode, lastUses, tensorOf } from './graph.js';
import {
  type Choices,
  choiceOf,
  choicesOf,
  extend,
  finish,
  type Layout,
  type PartialPlan,
  start,
} from './partial-plan.js';
import type { Problem } from './problem.js';

/** About how many partial plans a search looks at in all. This bounds its time and memory. */
const EFFORT = 600_000;
const LEAST_KEPT = 20;
/** With how many cheaper partial plans each one is compared. */
const COMPARED = 100;

/**
 * The cheapest plan that fits. If none fits, throws a RangeError with the memory of the hosts and the need of the best
 * plan that was left.
 */
export function searchPlan(problem: Problem, effort: number = EFFORT): Choices {
  const { graph } = problem;
  const table = new TransferTable(problem.objective);
  const lastUse = lastUses(graph);
  const limits = problem.hosts.map(({ memory }) => memory);
  const unplaced = unplacedAfter(graph);
  const room = limits.reduce((sum, limit) => sum + limit, 0);
  const hasRoom = ({ memory }: PartialPlan, index: number) =>
    memory.every((bytes, host) => bytes <= (limits[host] as number)) &&
    // Each weight of a later node must lie somewhere too, whole or in parts.
    memory.reduce((sum, bytes) => sum + bytes, 0) + (unplaced[index] as number) <= room;
  let isExact = true;
  let partials = [start(problem)];
  for (const [index, node] of graph.nodes.entries()) {
    const choices = candidatesOf(graph, node, problem.meshes).map((candidate) =>
      choiceOf(problem, node, candidate),
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
  return choicesOf(problem, best, isExact);
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

const keys = (ways: readonly Layout[]) =>
  ways
    .map(({ key }) => key)
    .sort()
    .join('|');

/** The partial plans after one node, without the ones that another plan beats in everything. */
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
