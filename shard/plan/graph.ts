import type { DeviceMesh, Placement } from '../layout/descriptor.js';

/** A tensor of the graph with a known shape. `bytesPerElement` counts an element on its way between hosts. */
export interface LogicalTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly bytesPerElement: number;
  /** Axes whose length differs from run to run, such as the positions of a cache. They are never split. */
  readonly varying?: readonly number[];
}

/**
 * One way to run a node over the hosts of one axis of a mesh: how each input must lie, and how each output then lies.
 * (SBP signatures: Yuan et al., "OneFlow", arXiv 2110.15032; the logical node of patent CN110955734B.)
 */
export interface Signature {
  readonly inputs: readonly Placement[];
  readonly outputs: readonly Placement[];
  /**
   * How many groups the split axes consist of, such as the heads of an attention. Each host must get whole groups, or
   * the signature is not possible.
   */
  readonly groups?: number;
}

/** A node of the graph as the model has it, before it is laid over hosts. */
export interface LogicalNode {
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The signatures that the node may have along one axis of a mesh, the preferred ones first. The first is all 'B'. */
  readonly signatures: readonly Signature[];
  /** About how many operations on numbers the whole node takes. */
  readonly operations: number;
  /** The node is random: hosts would make different numbers, so one host makes them for all. */
  readonly runsAlone?: boolean;
}

/** A model's graph. Each node comes after the nodes whose outputs it takes. */
export interface LogicalGraph {
  readonly tensors: ReadonlyMap<string, LogicalTensor>;
  readonly nodes: readonly LogicalNode[];
  /** Tensors that the program gives with each run. */
  readonly inputs: readonly string[];
  /** Tensors that the program gets from each run. */
  readonly outputs: readonly string[];
  /** The model's own tensors. Each host loads its part of them once, in any layout. */
  readonly weights: ReadonlySet<string>;
}

/** A possible choice for a node: the hosts that run it, and its signature on each axis of their mesh. */
export interface Candidate {
  readonly mesh: DeviceMesh;
  readonly signatures: readonly Signature[];
}

/** The tensor of this name. Throws an Error if the graph has none. */
export function tensorOf(graph: LogicalGraph, name: string): LogicalTensor {
  const tensor = graph.tensors.get(name);
  if (!tensor) throw new Error(`the graph has no tensor "${name}"`);
  return tensor;
}

/** The last node that needs each tensor, by its number. Outputs of the graph are needed to its end, and beyond. */
export function lastUses(graph: LogicalGraph): Map<string, number> {
  const last = new Map<string, number>();
  for (const [index, node] of graph.nodes.entries()) for (const name of node.inputs) last.set(name, index);
  for (const name of graph.outputs) last.set(name, Number.POSITIVE_INFINITY);
  return last;
}
