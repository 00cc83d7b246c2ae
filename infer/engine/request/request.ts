import { isKept, type KeptValue, type LaneInput } from '../../lanes/lane.js';
import { InferenceError, type InferenceRequest } from '../../service/service.js';
import { rowsOf, type Tensor, type TensorDeclaration } from '../../service/tensor.js';
import { fits } from './check-request.js';
import { outputsTaken, type Plan, type PlanStep, REQUEST, type Source } from './plan.js';
import type { Unit } from './unit.js';
import { asValue, describe, joined, type Part, rows, type Value, whole, zeros } from './values.js';

/** A step whose inputs are there: only then its shape and its items are known. */
export interface StepTask {
  readonly unit: Unit;
  /** Names the shape of its items, as its unit does. */
  readonly shape: string;
  readonly items: number;
  /** The shapes of the inputs of one item. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

interface StepState {
  task: StepTask | undefined;
  done: number;
  /** By output, the parts that are there, each with its first item. */
  parts: Map<string, { readonly from: number; readonly part: Part }[]>;
  /** By output, all of its parts. */
  readonly values: Map<string, Value>;
}

/** A request that waits or runs: its values, and how far its steps are. */
export class ActiveRequest {
  readonly id: number;
  readonly plan: Plan;
  /** Counts how often it began: a run of an earlier beginning is of no use. */
  attempt = 0;
  /** The error of its last failure. A failure need not end it: the scheduler then ends it for another reason, or not at all. */
  failure: { readonly reason: string; readonly error: InferenceError } | undefined;
  readonly #inputs: ReadonlyMap<string, Value>;
  readonly #wanted: readonly string[];
  #steps: StepState[] = [];

  constructor(
    id: number,
    plan: Plan,
    { inputs, outputs = [] }: Pick<InferenceRequest, 'inputs' | 'outputs'>,
  ) {
    this.id = id;
    this.plan = plan;
    this.#inputs = new Map(inputs.map((tensor) => [tensor.name, asValue(tensor)]));
    this.#wanted = outputs.length > 0 ? outputs : plan.outputs.map(({ name }) => name);
    this.#begin();
  }

  /** How many items it brings: the rows of the inputs that a model takes by rows. */
  get items(): number {
    for (const { inputs, each } of this.plan.steps) {
      const input = inputs.find(({ from, byRow }) => from.step === REQUEST && byRow && !each);
      if (input) return rowsOf((this.#inputs.get(input.from.name) as Value).shape);
    }
    return 1;
  }

  /**
   * The task of a step. The steps that it depends on must be done.
   * @throws InferenceError where the step cannot take its inputs
   */
  taskOf(index: number): StepTask {
    const state = this.#steps[index] as StepState;
    state.task ??= this.#findTask(this.plan.steps[index] as PlanStep);
    return state.task;
  }

  /** The outputs of a step that are of use to it. */
  outputsTaken(step: number): string[] {
    const outputs = this.plan.outputs.filter(({ name }) => this.#wanted.includes(name));
    return outputsTaken(step, { steps: this.plan.steps, outputs });
  }

  /** The inputs of some items of a step. */
  inputsOf(index: number, from: number, count: number): Record<string, LaneInput[]> {
    const step = this.plan.steps[index] as PlanStep;
    const inputs: Record<string, LaneInput[]> = {};
    for (const { name, from: source, byRow } of step.inputs) {
      const value = this.#valueOf(source);
      if (byRow) inputs[name] = rows(value, from, count);
      else {
        const all = rows(value, 0, rowsOf(value.shape));
        // Of a batch, each item takes it.
        inputs[name] = step.unit.batches ? Array.from({ length: count }, () => all).flat() : all;
      }
    }
    return inputs;
  }

  isDone(index: number): boolean {
    const { task, done } = this.#steps[index] as StepState;
    return task !== undefined && done === task.items;
  }

  /** Some items of a step are done. Returns the kept values that no step needs any more. */
  take(
    index: number,
    from: number,
    count: number,
    outputs: Readonly<Record<string, Tensor | KeptValue>>,
  ): KeptValue[] {
    const state = this.#steps[index] as StepState;
    this.taskOf(index);
    const isRow = this.plan.steps[index]?.each !== undefined;
    for (const [name, given] of Object.entries(outputs)) {
      // The results of all elements are joined: a scalar is one row of them.
      const value = isRow && given.shape.length === 0 ? { ...given, shape: [1] } : given;
      const parts = state.parts.get(name) ?? [];
      parts.push({ from, part: { value, rows: rowsOf(value.shape) } });
      state.parts.set(name, parts);
    }
    state.done += count;
    return this.isDone(index) ? this.#forgetInputs() : [];
  }

  /** Replaces kept values by tensors, because the next step runs on another lane. */
  replace(kept: ReadonlyMap<KeptValue, Tensor>): void {
    for (const { values } of this.#steps) {
      for (const [name, value] of values) {
        const parts = value.parts.map(({ value, rows }) => ({
          value: (isKept(value) ? kept.get(value) : undefined) ?? value,
          rows,
        }));
        values.set(name, { ...value, parts });
      }
    }
  }

  /** Begins again. Returns the kept values, which nobody needs now. */
  restart(): KeptValue[] {
    const kept = this.release();
    this.attempt += 1;
    this.#begin();
    return kept;
  }

  /** Gives up all values. Returns the kept ones. */
  release(): KeptValue[] {
    const kept: KeptValue[] = [];
    for (const { parts, values } of this.#steps) {
      const all = [...parts.values()].flat().map(({ part }) => part);
      for (const value of values.values()) all.push(...value.parts);
      kept.push(...keptOf(all));
      parts.clear();
      values.clear();
    }
    return kept;
  }

  /**
   * The outputs that the client wants. All steps must be done.
   * @throws InferenceError where a function's output does not match the graph's declaration
   */
  result(): Tensor[] {
    return this.#wanted.map((name) => {
      const output = this.plan.outputs.find((each) => each.name === name) as Plan['outputs'][number];
      const value = this.#valueOf(output.from);
      if (value.datatype !== output.datatype || !fits(value.shape, output.shape)) {
        const declared = describe(output.datatype, output.shape);
        throw new InferenceError(
          'internal',
          `Output "${name}" of ${this.plan.name} must be ${declared}, and is ${describe(value.datatype, value.shape)}.`,
        );
      }
      return whole(name, value);
    });
  }

  #begin(): void {
    this.#steps = this.plan.steps.map(() => ({
      task: undefined,
      done: 0,
      parts: new Map(),
      values: new Map(),
    }));
  }

  #valueOf({ step: index, name }: Source): Value {
    if (index === REQUEST) return this.#inputs.get(name) as Value;
    const { values, parts } = this.#steps[index] as StepState;
    let value = values.get(name);
    if (!value) {
      const step = this.plan.steps[index] as PlanStep;
      const declared = step.unit.outputs.find((output) => output.name === name);
      const inOrder = (parts.get(name) ?? []).sort((a, b) => a.from - b.from).map(({ part }) => part);
      const [first] = inOrder;
      if (!first) value = this.#emptyValue({ step: index, name }, declared);
      else {
        const datatype = isKept(first.value) ? declared?.datatype : first.value.datatype;
        if (!datatype) throw new Error(`${step.title}.${name} is kept, and not declared`);
        value = joined(inOrder, datatype, `Output "${name}" of step "${step.title}"`);
      }
      parts.delete(name);
      values.set(name, value);
    }
    return value;
  }

  /** An output of a step that had no items. A length that only a run can tell is 0. */
  #emptyValue({ step, name }: Source, declared: TensorDeclaration | undefined): Value {
    const { title } = this.plan.steps[step] as PlanStep;
    if (this.taskOf(step).items > 0) {
      throw new InferenceError('invalid', `Step "${title}" of ${this.plan.name} has no output "${name}".`);
    }
    const known = declared ?? this.#wantedAs({ step, name });
    const { datatype, shape } = known ?? { datatype: 'BYTES', shape: [-1] };
    const empty = [0, ...shape.slice(1).map((length) => Math.max(0, length))];
    return asValue(zeros(name, datatype, empty));
  }

  /** The type that the graph or one of its models declares for the output of a function. */
  #wantedAs({ step, name }: Source): Pick<TensorDeclaration, 'datatype' | 'shape'> | undefined {
    const { steps, outputs } = this.plan;
    const takes = ({ from }: { from: Source }) => from.step === step && from.name === name;
    const output = outputs.find(takes);
    if (output) return output;
    for (const { unit, inputs } of steps) {
      const input = inputs.find(takes);
      const declared = unit.inputs.find((each) => each.name === input?.name);
      if (declared) return declared;
    }
    return undefined;
  }

  #findTask({ title, unit, inputs, each }: PlanStep): StepTask {
    const of = `step "${title}" of ${this.plan.name}`;
    let items = each ? rowsOf(this.#valueOf(each).shape) : unit.batches ? undefined : 1;
    const shapes = new Map<string, readonly number[]>();
    for (const { name, from, byRow } of inputs) {
      const { datatype, shape } = this.#valueOf(from);
      const ofItem = byRow ? [1, ...shape.slice(1)] : shape;
      shapes.set(name, ofItem);
      if (byRow) items ??= rowsOf(shape);
      const problem = byRow && rowsOf(shape) !== items ? `${items} entries, as its other inputs` : undefined;
      const declared = unit.inputs.find((input) => input.name === name);
      const expected = declared && describe(declared.datatype, declared.shape);
      const isRight =
        !declared ||
        (declared.datatype === datatype &&
          fits(ofItem, declared.shape) &&
          (byRow || !unit.batches || shape[0] === 1));
      if (problem || !isRight) {
        throw new InferenceError(
          'invalid',
          `Input "${name}" of ${of} must have ${problem ?? `the type ${expected}`}, and gets ${describe(datatype, shape)}.`,
        );
      }
    }
    return { unit, shape: unit.shapeOf(shapes), items: items ?? 1, shapes };
  }

  /** Forgets the values that no step and no output takes any more. Returns the kept ones. */
  #forgetInputs(): KeptValue[] {
    const { steps, outputs } = this.plan;
    const kept: KeptValue[] = [];
    for (const [index, { values, parts }] of this.#steps.entries()) {
      if (!this.isDone(index)) continue;
      for (const name of new Set([...values.keys(), ...parts.keys()])) {
        const takes = ({ from }: { from: Source }) => from.step === index && from.name === name;
        const isNeeded =
          outputs.some(takes) ||
          steps.some(
            (step, at) =>
              !this.isDone(at) && [...step.inputs, ...(step.each ? [{ from: step.each }] : [])].some(takes),
          );
        if (isNeeded) continue;
        kept.push(
          ...keptOf([...(values.get(name)?.parts ?? []), ...(parts.get(name) ?? []).map(({ part }) => part)]),
        );
        values.delete(name);
        parts.delete(name);
      }
    }
    return kept;
  }
}

function keptOf(parts: readonly Part[]): KeptValue[] {
  return parts.flatMap(({ value }) => (isKept(value) ? [value] : []));
}
