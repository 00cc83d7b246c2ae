import { type Graph, type StepEntry, typeOf } from '../../graph/graph-file.js';
import type { ScheduledGraph } from '../../schedule/types.js';
import type { TensorDeclaration } from '../../service/tensor.js';
import type { Unit } from './unit.js';
import { describe } from './values.js';

/** The origin of a value: an output of a step, by the step's index, or an input of the request (-1). */
export interface Source {
  readonly step: number;
  readonly name: string;
}

export interface StepInput {
  readonly name: string;
  readonly from: Source;
  /** An item takes one row of the value. Otherwise it takes all of it. */
  readonly byRow: boolean;
}

export interface PlanStep {
  readonly title: string;
  readonly unit: Unit;
  readonly inputs: readonly StepInput[];
  /** The step has an item for each row of this value. */
  readonly each: Source | undefined;
}

/** The steps of a graph that is served; a model by itself is a graph of one step. */
export interface Plan {
  readonly name: string;
  readonly version: string;
  readonly isGraph: boolean;
  /** The most items of a batch; 0 where the first dimension is no batch. */
  readonly maxBatch: number;
  readonly steps: readonly PlanStep[];
  readonly inputs: readonly TensorDeclaration[];
  readonly outputs: readonly (TensorDeclaration & { readonly from: Source })[];
  readonly scheduled: ScheduledGraph;
}

export const REQUEST = -1;

/** A model by itself. */
export function modelPlan(name: string, version: string, unit: Unit): Plan {
  const { inputs, outputs, batches } = unit;
  const step: PlanStep = {
    title: unit.title,
    unit,
    inputs: inputs.map((input) => ({
      name: input.name,
      from: { step: REQUEST, name: input.name },
      byRow: batches,
    })),
    each: undefined,
  };
  return {
    name,
    version,
    isGraph: false,
    maxBatch: batches ? unit.maxBatch : 0,
    steps: [step],
    inputs,
    outputs: outputs.map((output) => ({ ...output, from: { step: 0, name: output.name } })),
    scheduled: { name, steps: [{ model: unit.key, after: [] }] },
  };
}

/**
 * The plan of a graph. `unitOf` gives the unit of each step.
 * @throws Error that says in a sentence which step does not go with its model
 */
export function graphPlan({ name, file, order }: Graph, unitOf: (step: StepEntry) => Unit): Plan {
  const source = (reference: string): Source => {
    const dot = reference.indexOf('.');
    if (dot < 0) return { step: REQUEST, name: reference };
    return { step: order.indexOf(reference.slice(0, dot)), name: reference.slice(dot + 1) };
  };
  const steps: PlanStep[] = [];
  for (const title of order) {
    const entry = file.steps[title] as StepEntry;
    const unit = unitOf(entry);
    const each = entry.each === undefined ? undefined : source(entry.each);
    // Two steps that run for each row of one value go along: an item of the later takes a row of the earlier's outputs.
    const goesAlong = (from: Source): boolean =>
      each !== undefined && (same(from, each) || same(steps[from.step]?.each, each));
    const inputs = Object.entries(entry.inputs).map(([input, reference]) => {
      const from = source(reference);
      return { name: input, from, byRow: each === undefined ? unit.batches : goesAlong(from) };
    });
    steps.push({ title, unit, inputs, each });
  }
  checkWiring(steps);
  const types = new Map(Object.entries(file.types ?? {}).map(([of, type]) => [of, typeOf(type)]));
  const ofInput = (input: string): Type => types.get(input) ?? inputType(steps, input);
  const outputs = Object.entries(file.outputs).map(([output, reference]) => {
    const from = source(reference);
    const type =
      types.get(output) ??
      (from.step === REQUEST ? ofInput(from.name) : outputType(steps[from.step] as PlanStep, from));
    return { name: output, ...type, from };
  });
  const inputs = file.inputs.map((input) => ({ name: input, ...ofInput(input) }));
  const { maxBatch = 0 } = file;
  const unbatched = maxBatch > 0 && [...inputs, ...outputs].find(({ shape }) => shape[0] !== -1);
  if (unbatched)
    throw new Error(
      `"${unbatched.name}" has no first dimension of any length, -1, for the items that maxBatch allows: it is ${describe(unbatched.datatype, unbatched.shape)}.`,
    );
  return {
    name,
    version: '1',
    isGraph: true,
    maxBatch,
    steps,
    inputs,
    outputs,
    scheduled: { name, steps: steps.map((step, index) => scheduledStep(step, stays(index, steps, outputs))) },
  };
}

/** Whether an output stays on its lane: where only models take it, on lanes of the same kind. */
export function staysOnLane(
  step: number,
  name: string,
  { steps, outputs }: Pick<Plan, 'steps' | 'outputs'>,
): boolean {
  const from = { step, name };
  const { unit, each } = steps[step] as PlanStep;
  if (!unit.isOnGpu || outputs.some((output) => same(output.from, from))) return false;
  // Scalars of several elements are joined here: a lane joins rows alone.
  if (each && unit.outputs.find((output) => output.name === name)?.shape.length === 0) return false;
  const takers = steps.filter(({ inputs, each }) =>
    [each, ...inputs.map((input) => input.from)].some((each) => same(each, from)),
  );
  return takers.length > 0 && takers.every((taker) => taker.unit.isOnGpu);
}

/** The outputs of a step that another step takes, or the request. */
export function outputsTaken(step: number, { steps, outputs }: Pick<Plan, 'steps' | 'outputs'>): string[] {
  const sources = [
    ...outputs.map(({ from }) => from),
    ...steps.flatMap(({ inputs, each }) => [...inputs.map(({ from }) => from), ...(each ? [each] : [])]),
  ];
  return [...new Set(sources.filter((source) => source.step === step).map(({ name }) => name))];
}

function same(a: Source | undefined, b: Source | undefined): boolean {
  return a !== undefined && b !== undefined && a.step === b.step && a.name === b.name;
}

function stays(step: number, steps: readonly PlanStep[], outputs: Plan['outputs']): boolean {
  return (steps[step]?.unit.outputs ?? []).some(({ name }) => staysOnLane(step, name, { steps, outputs }));
}

function scheduledStep({ unit, inputs, each }: PlanStep, stays: boolean): ScheduledGraph['steps'][number] {
  const sources = [...inputs.map(({ from }) => from.step), ...(each ? [each.step] : [])];
  const after = [...new Set(sources.filter((step) => step !== REQUEST))].sort((a, b) => a - b);
  return { model: unit.key, after, ...(each && { each: each.step }), ...(!stays && { leaves: true }) };
}

type Type = Pick<TensorDeclaration, 'datatype' | 'shape'>;

/** The type of a graph's input, by the models that take it. A dimension is free where it is free for all of them. */
function inputType(steps: readonly PlanStep[], input: string): Type {
  let type: Type | undefined;
  for (const { unit, inputs } of steps) {
    for (const { name, from } of inputs) {
      if (from.step !== REQUEST || from.name !== input) continue;
      const declared = unit.inputs.find((each) => each.name === name);
      if (!declared) continue;
      const { datatype, shape } = declared;
      type = type
        ? { ...type, shape: type.shape.map((length, at) => (length === -1 ? (shape[at] ?? -1) : length)) }
        : { datatype, shape };
    }
  }
  if (!type) throw new Error(`no model takes the input ${input}, and it has no type`);
  return type;
}

function outputType({ unit, each }: PlanStep, { name }: Source): Type {
  const { datatype, shape } = declarationOf(unit, name);
  return { datatype, shape: each ? [-1, ...shape.slice(1)] : shape };
}

function declarationOf({ title, outputs }: Unit, name: string): TensorDeclaration {
  const declared = outputs.find((each) => each.name === name);
  if (declared) return declared;
  throw new Error(
    `There is no output "${name}": ${title} has ${outputs.map((each) => each.name).join(', ')}.`,
  );
}

function checkWiring(steps: readonly PlanStep[]): void {
  for (const { title, unit, inputs, each } of steps) {
    for (const from of [...inputs.map((input) => input.from), ...(each ? [each] : [])]) {
      const source = steps[from.step];
      if (source && !source.unit.isFunction) declarationOf(source.unit, from.name);
    }
    if (unit.isFunction) continue;
    for (const { name, datatype } of unit.inputs) {
      const input = inputs.find((given) => given.name === name);
      if (!input) throw new Error(`Step "${title}" has no input "${name}", which ${unit.title} needs.`);
      const source = steps[input.from.step];
      const given =
        source && !source.unit.isFunction ? declarationOf(source.unit, input.from.name) : undefined;
      if (!given || given.datatype === datatype) continue;
      throw new Error(`Input "${name}" of step "${title}" must be ${datatype}, and is ${given.datatype}.`);
    }
    const unknown = inputs.find(({ name }) => unit.inputs.every((declared) => declared.name !== name));
    if (unknown)
      throw new Error(`Step "${title}" gives an input "${unknown.name}", which ${unit.title} has not.`);
  }
}
