import { type Descriptor, meshOf, type Placement } from './layout/descriptor.js';
import { loadLibraries } from './onnx/libraries.js';
import { logicalGraph } from './onnx/logical-graph.js';
import { readModel } from './onnx/model.js';
import { observe } from './onnx/observe.js';
import type { Link } from './plan/costs.js';
import type { Choices } from './plan/partial-plan.js';
import type { Problem } from './plan/problem.js';
import { type PlanReport, reportOf } from './plan/report.js';
import { searchPlan } from './plan/search.js';
import { walkPlan } from './plan/walk.js';

export interface PlanOptions {
  /** How many hosts there are. */
  readonly hosts: number;
  /** The hosts as a grid, such as [2, 2]; one row of them without it. */
  readonly mesh?: readonly number[];
  /** How much of a split tensor each host takes, one number a host; equal parts without it. Only for one row. */
  readonly weights?: readonly number[];
  /** Bytes of weights that each host may hold. Without it there is no limit. */
  readonly memory?: number;
  /** Whether nodes may also run on one host alone, so that the model is cut between layers. */
  readonly layers?: boolean;
  readonly link: Link;
  /** Operations on numbers that a host does in a second. */
  readonly operationsPerSecond: number;
  /** Sizes of free dimensions by name. */
  readonly dimensions?: ReadonlyMap<string, number>;
  /** Shapes of inputs by name. */
  readonly shapes?: ReadonlyMap<string, readonly number[]>;
  /** How inputs and outputs must lie if they stay on the hosts. The others are the client's. */
  readonly layouts?: ReadonlyMap<string, readonly Placement[]>;
}

/** A plan with its problem. */
export interface ModelPlan {
  readonly problem: Problem;
  readonly choices: Choices;
  readonly report: PlanReport;
}

/** The most hosts of one model. */
const MOST_HOSTS = 64;

/**
 * Plans how a model, given as the bytes of its ONNX file, runs over several hosts with the fewest moved bytes. Throws an
 * Error if the file is no model, and a RangeError if the model does not fit.
 */
export async function planModel(file: Uint8Array, options: PlanOptions): Promise<ModelPlan> {
  const problem = await problemOf(file, options);
  return planned(problem, searchPlan(problem), options);
}

/** Plans by the walk that never looks ahead, for comparison. */
export async function walkModel(
  file: Uint8Array,
  options: PlanOptions,
): Promise<ModelPlan & ReturnType<typeof walkPlan>> {
  const problem = await problemOf(file, options);
  const walk = walkPlan(problem);
  return { ...walk, ...planned(problem, walk, options) };
}

function planned(problem: Problem, choices: Choices, options: PlanOptions): ModelPlan {
  const { operationsPerSecond, link } = options;
  return { problem, choices, report: reportOf(problem, choices, link, { operationsPerSecond }) };
}

async function problemOf(file: Uint8Array, options: PlanOptions): Promise<Problem> {
  const { hosts, memory = Number.POSITIVE_INFINITY, link } = options;
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > MOST_HOSTS)
    throw new RangeError(`a model runs over 1 to ${MOST_HOSTS} hosts, and ${hosts} were asked for`);
  const libraries = await loadLibraries();
  const model = readModel(libraries, file);
  const observed = await observe(libraries, model, {
    byName: options.dimensions ?? new Map(),
    byInput: options.shapes ?? new Map(),
  });
  const graph = logicalGraph(model, observed);
  const ids = [...Array(hosts).keys()];
  const shape = options.mesh ?? [hosts];
  const mesh = options.weights ? meshOf(ids, shape, [options.weights]) : meshOf(ids, shape);
  const given = new Map<string, Descriptor>();
  for (const [name, placements] of options.layouts ?? []) {
    if (!graph.inputs.includes(name) && !graph.outputs.includes(name))
      throw new Error(
        `the model has no input or output "${name}": it has ${[...graph.inputs, ...graph.outputs].join(', ')}`,
      );
    given.set(name, { mesh, placements });
  }
  return {
    graph,
    hosts: ids.map((id) => ({ id, memory })),
    meshes: options.layers ? [mesh, ...ids.map((id) => meshOf([id]))] : [mesh],
    given,
    objective: { bytesPerHop: (link.roundTrip * link.bitsPerSecond) / 8 },
  };
}
