import type { Descriptor, DeviceMesh } from '../layout/descriptor.js';
import type { Objective } from './costs.js';
import type { LogicalGraph } from './graph.js';

/** A host as the planner sees it. */
export interface PlannedHost {
  readonly id: number;
  /** Bytes of weights that it may hold; Infinity without a limit. */
  readonly memory: number;
}

/** The problem that the planner solves. */
export interface Problem {
  readonly graph: LogicalGraph;
  readonly hosts: readonly PlannedHost[];
  /** The sets of hosts that a node may run on. */
  readonly meshes: readonly DeviceMesh[];
  /** How inputs and outputs of the graph must lie if they stay on the hosts. The others are the client's. */
  readonly given: ReadonlyMap<string, Descriptor>;
  readonly objective: Objective;
}
