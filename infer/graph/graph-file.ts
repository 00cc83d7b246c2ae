import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type CheckedFile, checkFile, type Problem } from '../../link/files/checked-file.js';
import { packageSchema } from '../../link/machine/package-files.js';
import type { Datatype, TensorDeclaration } from '../service/tensor.js';

/** A `graph.yaml`, as it is written. */
export interface GraphFile {
  readonly inputs: readonly string[];
  readonly steps: Readonly<Record<string, StepEntry>>;
  readonly outputs: Readonly<Record<string, string>>;
  readonly types?: Readonly<Record<string, string>>;
  /** The most items of a request: the first dimension of all inputs and outputs. Default: that dimension is no batch. */
  readonly maxBatch?: number;
}

export interface StepEntry {
  readonly model?: string;
  readonly version?: number;
  readonly function?: string;
  readonly resource?: 'cpu' | 'network';
  readonly each?: string;
  readonly inputs: Readonly<Record<string, string>>;
}

/** A graph, with its steps in an order in which they can run. */
export interface Graph {
  readonly name: string;
  readonly file: GraphFile;
  /** The names of the steps. Each comes after the steps that it depends on. */
  readonly order: readonly string[];
}

const schema = packageSchema<GraphFile>('infer/graph/graph');

/** Reads a graph, and reports every problem. `versionsOf` returns the versions of a model. */
export function readGraph(
  name: string,
  file: string,
  versionsOf: (model: string) => readonly number[] | undefined,
): { graph?: Graph; problems: Problem[] } {
  const { checked, problems } = checkFile(file, schema);
  if (!checked) return { problems };
  const found = [...meaning(checked, dirname(file), versionsOf)];
  if (found.length > 0) return { problems: found };
  const order = inOrder(checked.value.steps);
  if ('circle' in order) {
    const [first = ''] = order.circle;
    const circle = [...order.circle, first].join(', ');
    return {
      problems: [checked.problem(['steps', first], `These steps wait for each other: ${circle}.`, 'key')],
    };
  }
  const untyped = [...typeProblems(checked)];
  if (untyped.length > 0) return { problems: untyped };
  return { graph: { name, file: checked.value, order: order.order }, problems: [] };
}

/** A type as `types` has it: `UINT8[-1,-1,3]`. */
export function typeOf(text: string): Pick<TensorDeclaration, 'datatype' | 'shape'> {
  const [datatype = '', dimensions = ''] = text.slice(0, -1).split('[');
  return {
    datatype: datatype as Datatype,
    shape: dimensions === '' ? [] : dimensions.split(',').map(Number),
  };
}

/** Checks that the schema cannot express. */
function* meaning(
  { value, problem }: CheckedFile<GraphFile>,
  folder: string,
  versionsOf: (model: string) => readonly number[] | undefined,
): Generator<Problem> {
  const { inputs, steps, outputs } = value;
  const names = Object.keys(steps);
  const known = (reference: string): string | undefined => {
    if (!reference.includes('.')) {
      if (inputs.includes(reference)) return undefined;
      if (Object.hasOwn(steps, reference))
        return `"${reference}" is a step: name an output of it, as ${reference}.OUTPUT.`;
      return `There is no input "${reference}"${similar(reference, inputs)}.`;
    }
    const step = stepOf(reference);
    return Object.hasOwn(steps, step) ? undefined : `There is no step "${step}"${similar(step, names)}.`;
  };
  for (const [name, step] of Object.entries(steps)) {
    const path = ['steps', name];
    if (inputs.includes(name))
      yield problem(path, `"${name}" is an input already: give the step another name.`, 'key');
    yield* runProblems(name, step, (at, message, where) => problem([...path, ...at], message, where), {
      folder,
      beside: 'graph',
      versionsOf,
    });
    const { each } = step;
    const unknown = each === undefined ? undefined : known(each);
    if (unknown) yield problem([...path, 'each'], unknown);
    else if (each !== undefined && !each.includes('.')) {
      yield problem(
        [...path, 'each'],
        `"${each}" is an input: a step runs for each element of another step's output.`,
      );
    }
    for (const [input, reference] of Object.entries(step.inputs)) {
      const message = known(reference);
      if (message) yield problem([...path, 'inputs', input], message);
    }
  }
  for (const [name, reference] of Object.entries(outputs)) {
    const message = known(reference);
    if (message) yield problem(['outputs', name], message);
  }
}

/** The types of inputs and outputs that no model declares have to be there, and no others. */
function* typeProblems({ value, problem }: CheckedFile<GraphFile>): Generator<Problem> {
  const { inputs, steps, outputs, types = {} } = value;
  const ofModels = (input: string): boolean =>
    Object.values(steps).some(
      (step) => step.model !== undefined && Object.values(step.inputs).includes(input),
    );
  for (const [index, input] of inputs.entries()) {
    if (types[input] !== undefined || ofModels(input)) continue;
    yield problem(
      ['inputs', index],
      `No model says what "${input}" is: give its type, as types: { ${input}: "UINT8[-1,-1,3]" }.`,
    );
  }
  for (const [output, reference] of Object.entries(outputs)) {
    const step = steps[stepOf(reference)];
    if (types[output] !== undefined || step?.function === undefined) continue;
    yield problem(
      ['outputs', output],
      `No model says what "${output}" is: give its type, as types: { ${output}: "FP32[-1,4]" }.`,
      'key',
    );
  }
  for (const name of Object.keys(types)) {
    if (inputs.includes(name) || outputs[name] !== undefined) continue;
    yield problem(['types', name], `"${name}" is neither an input nor an output of the graph.`, 'key');
  }
}

/** The part of a step that says what runs. */
type Run = Pick<StepEntry, 'model' | 'version' | 'function' | 'resource'>;

/** Reports a problem at a place in a step. */
type Report = (at: readonly string[], message: string, where?: 'key') => Problem;

/** The surroundings of the file that a step is in. */
interface Surroundings {
  /** Modules are beside the file, or below. */
  readonly folder: string;
  /** How the file is called in sentences. */
  readonly beside: 'graph' | 'file';
  versionsOf(model: string): readonly number[] | undefined;
  /** The names of models that a wrong one may be meant for. */
  readonly models?: readonly string[];
}

/** Checks which model or function a step runs. */
export function* runProblems(
  name: string,
  { model, version, function: run, resource }: Run,
  problem: Report,
  surroundings: Surroundings,
): Generator<Problem> {
  if ((model === undefined) === (run === undefined)) {
    yield problem([], `Step "${name}" must have either a model or a function.`, 'key');
  }
  if (model !== undefined) {
    const { versionsOf, models = [] } = surroundings;
    const versions = versionsOf(model);
    if (!versions) {
      yield problem(['model'], `There is no model "${model}" in the folder${similar(model, models)}.`);
    } else if (version !== undefined && !versions.includes(version)) {
      yield problem(
        ['version'],
        `Model "${model}" has no version ${version}; it has ${versions.join(', ')}.`,
      );
    }
    if (resource !== undefined) {
      yield problem(['resource'], 'What a model takes is found out: only a function has a resource.', 'key');
    }
  }
  if (run !== undefined) {
    if (version !== undefined) yield problem(['version'], 'A function has no version.', 'key');
    yield* moduleProblems(run, (message) => problem(['function'], message), surroundings);
  }
}

/** Checks where the module of a function is. */
export function* moduleProblems(
  run: string,
  problem: (message: string) => Problem,
  { folder, beside }: Pick<Surroundings, 'folder' | 'beside'>,
): Generator<Problem> {
  const [module = ''] = run.split('#');
  const inside = !module.startsWith('/') && !module.split('/').includes('..');
  if (!inside) yield problem(`"${module}" is not in the folder of the ${beside}.`);
  else if (!existsSync(join(folder, module)) || !statSync(join(folder, module)).isFile()) {
    yield problem(`There is no file "${module}" beside the ${beside}.`);
  }
}

/** The part of a step that its place in the order depends on. */
interface Ordered {
  readonly each?: string;
  readonly inputs: Readonly<Record<string, string>>;
}

/** The steps whose outputs a step needs. */
function dependencies({ each, inputs }: Ordered, steps: Readonly<Record<string, Ordered>>): string[] {
  const references = [...Object.values(inputs), ...(each === undefined ? [] : [each])];
  return [...new Set(references.filter((reference) => reference.includes('.')).map(stepOf))].filter(
    (step) => steps[step],
  );
}

/** The names of steps, each after the steps that it depends on; or steps that wait for each other. */
export function inOrder(
  steps: Readonly<Record<string, Ordered>>,
): { order: string[] } | { circle: string[] } {
  const order: string[] = [];
  const visiting: string[] = [];
  const visit = (step: string): string[] | undefined => {
    if (order.includes(step)) return undefined;
    if (visiting.includes(step)) return visiting.slice(visiting.indexOf(step));
    visiting.push(step);
    for (const before of dependencies(steps[step] as Ordered, steps)) {
      const circle = visit(before);
      if (circle) return circle;
    }
    visiting.pop();
    order.push(step);
    return undefined;
  };
  for (const step of Object.keys(steps)) {
    const circle = visit(step);
    if (circle) return { circle };
  }
  return { order };
}

function stepOf(reference: string): string {
  return reference.slice(0, reference.indexOf('.'));
}

/** `; did you mean "…"?` if a known name differs by at most two letters. */
export function similar(name: string, names: readonly string[]): string {
  const near = names.find((each) => distance(name, each) <= 2);
  return near === undefined ? '' : `; did you mean "${near}"`;
}

/** How many letters must be changed, added or removed. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(same, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
