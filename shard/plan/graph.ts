import type { DeviceMesh, Placement } from '../layout/descriptor.js';

/** A tensor of the graph, of a shape that is known. `bytesPerElement` is that of what travels between hosts. */
export interface LogicalTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly bytesPerElement: number;
}

/**
 * One way to run a node over the hosts of one axis of a mesh: how each input must lie, and how each output then lies.
 * (SBP signatures: Yuan et al., "OneFlow", arXiv 2110.15032; the logical node of patent CN110955734B.)
 */
export interface Signature {
  readonly inputs: readonly Placement[];
  readonly outputs: readonly Placement[];
  /**
   * Where axes are split that consist of groups (the heads of an attention): how many groups there are. Hosts get equal
   * numbers of whole groups, or the signature cannot be had.
   */
  readonly groups?: number;
}

/** A node of the graph as the model has it, before it is laid over hosts. */
export interface LogicalNode {
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** What it may do along one axis of a mesh, in the order in which equals are preferred. The first is all 'B'. */
  readonly signatures: readonly Signature[];
  /** How many operations on numbers the whole node takes, about. */
  readonly operations: number;
}

/** A model's graph. Its nodes are in an order in which each comes after those whose outputs it takes. */
export interface LogicalGraph {
  readonly tensors: ReadonlyMap<string, LogicalTensor>;
  readonly nodes: readonly LogicalNode[];
  /** Tensors that the program gives with each run. */
  readonly inputs: readonly string[];
  /** Tensors that the program gets from each run. */
  readonly outputs: readonly string[];
  /** Tensors that the model has: each host loads its part of them once, whatever way they are laid. */
  readonly weights: ReadonlySet<string>;
}

/** The client, as a place where a run's inputs come from and its outputs go to. */
export const CLIENT = -1;

/** What may be chosen for a node: the hosts that run it, and its signature on each axis of their mesh. */
export interface Candidate {
  readonly mesh: DeviceMesh;
  readonly signatures: readonly Signature[];
}

/** The tensor of this name. Throws an Error where the graph has none. */
export function tensorOf(graph: LogicalGraph, name: string): LogicalTensor {
  const tensor = graph.tensors.get(name);
  if (!tensor) throw new Error(`the graph has no tensor "${name}"`);
  return tensor;
}
