import { createHash } from 'node:crypto';
import type { ValidateFunction } from 'ajv';
import { type CheckedFile, checkText, type Path, type Problem } from '../../link/files/checked-file.js';
import { compileSchema } from '../../link/files/compile-schema.js';
import { packageSchema } from '../../link/machine/package-files.js';
import type { JobLimits } from '../../pool/engines/engine.js';
import { namesIn } from '../render/leaf.js';
import type { Scope } from '../select/scope.js';

export type Scalar = string | number | boolean;
export type ParameterValue = Scalar | readonly Scalar[];

/** A value that a request may give, as a JSON schema. */
export interface Parameter {
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array';
  readonly description?: string;
  readonly default?: ParameterValue;
}

export interface TaskTemplate {
  readonly count?: { readonly default?: number; readonly most?: number };
  readonly gpu?: 'asked' | 'here' | 'none';
  readonly folder?: 'output' | 'program';
  readonly command: readonly Scalar[];
  readonly environment?: Readonly<Record<string, Scalar>>;
  readonly limits?: Pick<JobLimits, 'minutes'>;
}

/** A template, as it is written. */
export interface TemplateFile {
  readonly name: string;
  readonly version: number;
  readonly about: string;
  readonly for?: Pick<Scope, 'framework' | 'kind'>;
  readonly deprecates?: { readonly versions: readonly number[]; readonly why: string };
  readonly parameters?: Readonly<Record<string, Parameter>>;
  readonly tasks: Readonly<Record<string, TaskTemplate>>;
  readonly retries?: { readonly most?: number; readonly seconds?: number };
}

/** A template that was checked. */
export interface Template {
  readonly file: TemplateFile;
  /** The file's text: a job keeps it, so that it does not depend on the store. */
  readonly text: string;
  /** The hash of the text. */
  readonly sha256: string;
  /** Checks the values that a request gives for the parameters. */
  readonly parameters: ValidateFunction;
  /** Whether a command or a variable names this value. */
  uses(value: string): boolean;
}

/** The values that every template may name, and whether they are lists. */
const KNOWN: Readonly<Record<string, boolean>> = {
  arguments: true,
  boot: false,
  dataset: false,
  farlight: true,
  id: false,
  name: false,
  output: false,
  program: false,
  results: false,
  'task.count': false,
  'task.index': false,
  'task.type': false,
};

const schema = packageSchema<TemplateFile>('jobs/templates/template');

/** Checks the text of a template, and reports every problem; `file` is what they call it. */
export function parseTemplate(file: string, text: string): { template?: Template; problems: Problem[] } {
  const { checked, problems } = checkText(file, text, schema);
  if (!checked) return { problems };
  const { schema: ofParameters, problems: inParameters } = parameterSchema(checked);
  const used = new Set<string>();
  const found = [...inParameters, ...leafProblems(checked, used), ...countProblems(checked)];
  if (found.length > 0 || !ofParameters) return { problems: found };
  const template: Template = {
    file: checked.value,
    text,
    sha256: createHash('sha256').update(text).digest('hex'),
    parameters: ofParameters,
    uses: (value) => used.has(value),
  };
  return { template, problems: [] };
}

/** The JSON schema of all parameters together, for editors and forms. */
export function jsonSchemaOf({ parameters = {} }: TemplateFile): object {
  const required = Object.keys(parameters).filter((name) => parameters[name]?.default === undefined);
  return { type: 'object', additionalProperties: false, properties: parameters, required };
}

function parameterSchema({ value, problem, check }: CheckedFile<TemplateFile>): {
  schema?: ValidateFunction;
  problems: Problem[];
} {
  const problems: Problem[] = [];
  for (const [name, parameter] of Object.entries(value.parameters ?? {})) {
    const path: Path = ['parameters', name];
    if (name in Object.prototype)
      problems.push(problem(path, `A parameter cannot be called "${name}".`, 'key'));
    try {
      const one = compileSchema(parameter);
      if (parameter.default !== undefined)
        problems.push(...check([...path, 'default'], parameter.default, one));
    } catch (error) {
      problems.push(problem(path, `"${name}" is no schema: ${(error as Error).message}.`, 'key'));
    }
  }
  return problems.length > 0 ? { problems } : { schema: compileSchema(jsonSchemaOf(value)), problems };
}

/** Checks the names of values in the leaves, and gathers them. */
function* leafProblems({ value, problem }: CheckedFile<TemplateFile>, used: Set<string>): Generator<Problem> {
  const isList = (name: string): boolean | undefined => {
    const [first, parameter] = name.split('.');
    if (first !== 'parameters') return Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
    const { parameters = {} } = value;
    return Object.hasOwn(parameters, parameter ?? '')
      ? parameters[parameter ?? '']?.type === 'array'
      : undefined;
  };
  for (const [type, { command, environment = {} }] of Object.entries(value.tasks)) {
    const leaves = [
      ...command.map((leaf, at) => [['tasks', type, 'command', at], leaf, true] as const),
      ...Object.entries(environment).map(
        ([name, leaf]) => [['tasks', type, 'environment', name], leaf, false] as const,
      ),
    ];
    for (const [path, leaf, mayBeList] of leaves) {
      let names: ReturnType<typeof namesIn>;
      try {
        names = namesIn(String(leaf));
      } catch (error) {
        yield problem(path, `${(error as Error).message}.`);
        continue;
      }
      for (const { name, isAlone } of names) {
        used.add(name);
        const list = isList(name);
        if (list === undefined) yield problem(path, `There is no value "${name}".`);
        else if (list && !(isAlone && mayBeList))
          yield problem(path, `"${name}" is a list, which can only be an argument by itself.`);
      }
    }
  }
}

function* countProblems({ value, problem }: CheckedFile<TemplateFile>): Generator<Problem> {
  for (const [type, { count }] of Object.entries(value.tasks)) {
    const { default: usual = 1, most = 1 } = count ?? {};
    if (usual > Math.max(most, 1))
      yield problem(['tasks', type, 'count', 'default'], `"${type}" has at most ${most} by its own "most".`);
  }
}
