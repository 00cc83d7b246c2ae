import { type Descriptor, type DeviceMesh, meshOf, type Placement, textOf } from './layout/descriptor.js';
import { divide } from './layout/region.js';
import { combinations } from './layout/transfer.js';
import { type Libraries, loadLibraries } from './onnx/libraries.js';
import { logicalGraph, type ObservedGraph } from './onnx/logical-graph.js';
import { type Model, readModel } from './onnx/model.js';
import {
  type Dimensions,
  dimensionsOf,
  inputsOf,
  type Observed,
  observe,
  seenIn,
  varying,
} from './onnx/observe.js';
import { bytesOf, type Link, type Route } from './plan/costs.js';
import { type LogicalTensor, tensorOf } from './plan/graph.js';
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
  /**
   * Bytes of weights that each host may hold, or one number a host, or so many times its share of the weights. Without
   * it there is no limit.
   */
  readonly memory?: number | readonly number[] | { readonly share: number };
  /** Whether nodes may also run on one host alone, so that the model is cut between layers. */
  readonly layers?: boolean;
  readonly link: Link;
  /** How bytes get from host to host; directly without it. */
  readonly route?: Route;
  /** Operations on numbers that a host does in a second. */
  readonly operationsPerSecond: number;
  /** Sizes of free dimensions by name. Two sizes: it differs from run to run, and the plan is made for the first. */
  readonly dimensions?: ReadonlyMap<string, number | readonly [number, number]>;
  /** Shapes of inputs by name. */
  readonly shapes?: ReadonlyMap<string, readonly number[]>;
  /** How inputs and outputs must lie if they stay on the hosts. The others are the client's. */
  readonly layouts?: ReadonlyMap<string, readonly Placement[]>;
  /** Outputs that stay on the hosts, each by the input that takes it in the next run. */
  readonly state?: ReadonlyMap<string, string>;
  /** About how many partial plans the search looks at; the search's own bound without it. */
  readonly effort?: number;
}

/** A plan with its problem. */
export interface ModelPlan {
  readonly problem: Problem;
  readonly choices: Choices;
  readonly report: PlanReport;
}

/** A model's file as a plan and a run of it need it. */
export interface PlannedModel extends ModelPlan {
  readonly libraries: Libraries;
  readonly model: Model;
  readonly observed: ReadonlyMap<string, Observed>;
  readonly operators: ObservedGraph['operators'];
}

/** The most hosts of one model. */
const MOST_HOSTS = 64;

/**
 * Plans how a model, given as the bytes of its ONNX file, runs over several hosts with the fewest moved bytes. Throws an
 * Error if the file is no model, and a RangeError if the model does not fit.
 */
export async function planModel(file: Uint8Array, options: PlanOptions): Promise<PlannedModel> {
  const read = await problemOf(file, options);
  const { problem, choices } = cheapest(
    statesOf(read.problem, options.state).map((given) => ({ ...read.problem, given })),
    options.effort,
  );
  return { ...read, ...planned(problem, choices, options) };
}

/** Plans by the walk that never looks ahead, for comparison. */
export async function walkModel(
  file: Uint8Array,
  options: PlanOptions,
): Promise<ModelPlan & ReturnType<typeof walkPlan>> {
  const { problem } = await problemOf(file, options);
  const walk = walkPlan(problem);
  return { ...walk, ...planned(problem, walk, options) };
}

function planned(problem: Problem, choices: Choices, options: PlanOptions): ModelPlan {
  const { operationsPerSecond, link } = options;
  return { problem, choices, report: reportOf(problem, choices, link, { operationsPerSecond }) };
}

async function problemOf(file: Uint8Array, options: PlanOptions): Promise<PlannedProblem> {
  const { hosts, link } = options;
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > MOST_HOSTS)
    throw new RangeError(`a model runs over 1 to ${MOST_HOSTS} hosts, and ${hosts} were asked for`);
  const ids = [...Array(hosts).keys()];
  const shape = options.mesh ?? [hosts];
  checkNumbers(options, shape);
  const mesh = options.weights ? meshOf(ids, shape, [options.weights]) : meshOf(ids, shape);
  const libraries = await loadLibraries();
  const model = readModel(libraries, file);
  const names = inputsOf(model).map(({ name }) => name);
  for (const name of options.shapes?.keys() ?? []) checkName(name, names, 'input');
  for (const name of options.dimensions?.keys() ?? []) checkName(name, dimensionsOf(model), 'free dimension');
  const observed = await observeRuns(libraries, model, options);
  const { graph, operators } = logicalGraph(model, observed);
  const given = new Map<string, Descriptor>();
  for (const [name, placements] of options.layouts ?? []) {
    checkName(name, [...graph.inputs, ...graph.outputs], 'input or output');
    checkLayout(tensorOf(graph, name), placements, mesh);
    given.set(name, { mesh, placements });
  }
  const { memory = Number.POSITIVE_INFINITY, weights: shares = ids.map(() => 1) } = options;
  const bytes = (names: Iterable<string>) =>
    [...names].reduce((sum, name) => sum + bytesOf(tensorOf(graph, name)), 0);
  // Axes, shapes and the like: each host has them.
  const numbers = bytes([...graph.weights].filter((name) => seenIn(observed, name).values !== undefined));
  const divided = bytes(graph.weights) - numbers;
  const total = shares.reduce((sum, share) => sum + share, 0);
  const memoryOf = (id: number) => {
    if (typeof memory === 'number') return memory;
    if ('share' in memory) return numbers + (memory.share * divided * (shares[id] as number)) / total;
    return memory[id] as number;
  };
  const problem: Problem = {
    graph,
    hosts: ids.map((id) => ({ id, memory: memoryOf(id) })),
    meshes: options.layers ? [mesh, ...ids.map((id) => meshOf([id]))] : [mesh],
    given,
    objective: {
      bytesPerHop: (link.roundTrip * link.bitsPerSecond) / 8,
      route: options.route ?? 'direct',
    },
  };
  return { libraries, model, observed, operators, problem };
}

type PlannedProblem = Pick<PlannedModel, 'libraries' | 'model' | 'observed' | 'operators' | 'problem'>;

/** The model's tensors, by one run, or by two if dimensions differ from run to run. */
async function observeRuns(
  libraries: Libraries,
  model: Model,
  { dimensions = new Map(), shapes = new Map() }: PlanOptions,
): Promise<Map<string, Observed>> {
  // A plan for tensors without elements splits nothing.
  const isEmpty = [...dimensions.values()].some((size) => typeof size !== 'number' && size[0] === 0);
  const order = isEmpty ? ([1, 0] as const) : ([0, 1] as const);
  const run = (which: 0 | 1): Dimensions => ({
    byName: new Map(
      [...dimensions].map(([name, size]) => [name, typeof size === 'number' ? size : size[order[which]]]),
    ),
    byInput: shapes,
  });
  const first = await observe(libraries, model, run(0));
  if ([...dimensions.values()].every((size) => typeof size === 'number')) return first;
  return varying(first, await observe(libraries, model, run(1)));
}

/** Every choice of how the state lies on the hosts: split along the same axis, as far as it can be, or whole. */
function statesOf(
  { graph, meshes, given }: Problem,
  state: ReadonlyMap<string, string> | undefined,
): ReadonlyMap<string, Descriptor>[] {
  if (!state || state.size === 0) return [given];
  const tensors = [...state].map(([input, output]): [string, LogicalTensor] => {
    checkName(input, graph.inputs, 'input');
    checkName(output, graph.outputs, 'output');
    return [output, tensorOf(graph, input)];
  });
  const mesh = meshes[0] as DeviceMesh;
  const axes = new Set(tensors.flatMap(([, { shape }]) => [...shape.keys()]));
  return combinations<Placement>([...axes, 'B'], mesh.shape.length).map((placements) => {
    const laid = new Map(given);
    for (const [output, { name, shape, varying = [] }] of tensors) {
      const own = placements.map((placement, axis) => {
        const isSplit =
          typeof placement === 'number' &&
          new Set(divide(shape[placement] ?? 0, mesh.weights[axis] ?? [])).size > (mesh.shape[axis] ?? 0) &&
          !varying.includes(placement);
        return isSplit ? placement : 'B';
      });
      laid.set(name, { mesh, placements: own });
      laid.set(output, { mesh, placements: own });
    }
    return laid;
  });
}

/** The cheapest plan of several problems, the first of equals. Throws if none of them has a plan. */
function cheapest(
  problems: readonly Problem[],
  effort: number | undefined,
): Pick<ModelPlan, 'problem' | 'choices'> {
  let best: Pick<ModelPlan, 'problem' | 'choices'> | undefined;
  let failure: unknown;
  const seen = new Set<string>();
  for (const problem of problems) {
    const key = [...problem.given.values()].map(({ placements }) => placements.join()).join(';');
    if (seen.has(key)) continue;
    seen.add(key);
    try {
      const choices = searchPlan(problem, effort);
      if (!best || choices.cost < best.choices.cost) best = { problem, choices };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      failure ??= error;
    }
  }
  if (!best) throw failure;
  return best;
}

/** Throws a RangeError if numbers of the options cannot be those of a plan. */
function checkNumbers(
  { hosts, weights, memory, dimensions, shapes }: PlanOptions,
  mesh: readonly number[],
): void {
  if (!mesh.every((length) => Number.isInteger(length) && length > 0))
    throw new RangeError(`a mesh of ${mesh.join('x')} is none: give whole numbers from 1 on`);
  if (weights && mesh.length > 1)
    throw new RangeError('only hosts in one row may have weights: leave out the weights, or the mesh');
  const perHost = [
    ['weights', weights],
    ['memory', Array.isArray(memory) ? (memory as readonly number[]) : undefined],
  ] as const;
  for (const [what, numbers] of perHost) {
    // Memory may be without end. A share of one weight without end is no number.
    const isOne = (number: number) => number >= 0 && (what === 'memory' || Number.isFinite(number));
    if (numbers && (numbers.length !== hosts || !numbers.every(isOne)))
      throw new RangeError(
        `${what} has ${numbers.join()}: give one number from 0 on for each of ${hosts} hosts`,
      );
  }
  if (weights && !weights.some((weight) => weight > 0))
    throw new RangeError('no host has a weight: give at least one of them a number above 0');
  if (typeof memory === 'number' && !(memory >= 0))
    throw new RangeError(`${memory} bytes of memory are none: give a number from 0 on`);
  const lengths = [...(dimensions ?? []), ...(shapes ?? [])];
  for (const [name, sizes] of lengths)
    if (![sizes].flat().every((size) => Number.isSafeInteger(size) && (size as number) >= 0))
      throw new RangeError(
        `"${name}" cannot have the size ${[sizes].flat().join()}: give whole numbers from 0 on`,
      );
}

/** Throws a RangeError if a tensor cannot lie so. */
function checkLayout(
  { name, shape }: LogicalTensor,
  placements: readonly Placement[],
  mesh: DeviceMesh,
): void {
  const text = textOf({ placements });
  if (placements.length !== mesh.shape.length)
    throw new RangeError(
      `"${name}" lies ${text}, and the hosts are a mesh of ${mesh.shape.join('x')}: give one layout for each of its axes`,
    );
  if (placements.some((placement) => typeof placement === 'number' && !(placement in shape)))
    throw new RangeError(`"${name}" cannot lie ${text}: its axes are ${[...shape.keys()].join()}`);
}

function checkName(name: string, names: readonly string[], what: string): void {
  if (!names.includes(name))
    throw new Error(`the model has no ${what} "${name}": it has ${names.join(', ') || 'none'}`);
}
