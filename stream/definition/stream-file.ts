import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { inOrder, moduleProblems, runProblems, similar, typeOf } from '../../infer/graph/graph-file.js';
import { type Model, readModelFolder } from '../../infer/graph/model-folder.js';
import { tensorFromJson } from '../../infer/protocol/tensor-coding.js';
import { ELEMENT_BYTES, elementsOf, type Tensor } from '../../infer/service/tensor.js';
import { type CheckedFile, checkFile, type Path, type Problem } from '../../link/files/checked-file.js';
import { packageSchema } from '../../link/machine/package-files.js';
import { messageOf } from '../../proto/errors.js';

/** A `stream.yaml`, as it is written. */
export interface StreamFile {
  readonly name?: string;
  readonly models?: string;
  readonly sources: Readonly<Record<string, SourceEntry>>;
  readonly steps: Readonly<Record<string, StepEntry>>;
  readonly sinks: Readonly<Record<string, SinkEntry>>;
}

export interface SourceEntry {
  readonly wav?: string;
  readonly samples?: number;
  readonly pace?: 'real-time' | 'fast' | number;
  readonly folder?: string;
  readonly http?: Readonly<Record<string, string>>;
  readonly nats?: string;
  readonly types?: Readonly<Record<string, string>>;
  readonly generator?: string;
  readonly values?: readonly string[];
  readonly keys?: number;
  readonly every?: number;
}

export interface StepEntry {
  readonly uid?: string;
  readonly model?: string;
  readonly version?: number;
  readonly function?: string;
  readonly resource?: 'cpu' | 'network';
  readonly inputs: Readonly<Record<string, string>>;
  readonly constants?: Readonly<Record<string, { readonly type: string; readonly data: readonly unknown[] }>>;
  readonly state?: Readonly<Record<string, string | { readonly type: string; readonly next?: string }>>;
  readonly migrate?: string;
  /** Not possible. */
  readonly key?: unknown;
}

export interface SinkEntry {
  readonly file?: string;
  readonly http?: string;
  readonly nats?: string;
  readonly page?: number;
  readonly values: Readonly<Record<string, string>>;
  readonly each?: string;
  readonly key?: string;
}

/** A checked file, and what follows from it. */
export interface StreamGraph {
  readonly name: string;
  readonly folder: string;
  readonly file: StreamFile;
  /** The names of the steps. Each comes after the steps that it depends on. */
  readonly order: readonly string[];
  /** By the name of a step or a sink, the source whose records it gets. */
  readonly sourceOf: ReadonlyMap<string, string>;
  readonly models: ReadonlyMap<string, Model>;
}

const schema = packageSchema<StreamFile>('stream/definition/stream');
const KINDS = ['wav', 'folder', 'http', 'nats', 'generator'] as const;
const SINK_KINDS = ['file', 'http', 'nats', 'page'] as const;
/** Settings of sources, and the kind that each belongs to. */
const SETTINGS = {
  samples: 'wav',
  pace: 'wav',
  types: 'nats',
  values: 'generator',
  keys: 'generator',
  every: 'generator',
} as const;

/** Reads an application, and reports every problem. Nothing of it is run. */
export function readStream(file: string): { graph?: StreamGraph; problems: Problem[] } {
  const { checked, problems } = checkFile(file, schema);
  if (!checked) return { problems };
  const { value } = checked;
  const folder = dirname(file);
  const needsModels = Object.values(value.steps).some(({ model }) => model !== undefined);
  const models = needsModels ? readModelFolder(join(folder, value.models ?? 'models')).models : new Map();
  const found = [...meaning(checked, folder, models)];
  if (found.length > 0) return { problems: found };
  const order = inOrder(value.steps);
  if ('circle' in order) {
    const [first = ''] = order.circle;
    const circle = [...order.circle, first].join(', ');
    return {
      problems: [checked.problem(['steps', first], `These steps wait for each other: ${circle}.`, 'key')],
    };
  }
  const sourceOf = new Map<string, string>();
  const mixed = [...findSources(checked, order.order, sourceOf)];
  if (mixed.length > 0) return { problems: mixed };
  const name = value.name ?? basename(file).replace(/\.[^.]*$/, '');
  return { graph: { name, folder, file: value, order: order.order, sourceOf, models }, problems: [] };
}

/** The value of a new key: zeros, and empty text. A length that is free is 0. */
export function initialState(type: string): Omit<Tensor, 'name'> {
  const { datatype, shape: declared } = typeOf(type);
  const shape = declared.map((length) => Math.max(0, length));
  const bytes = ELEMENT_BYTES[datatype];
  const elements = elementsOf(shape);
  const data =
    bytes === undefined
      ? Array.from({ length: elements }, () => new Uint8Array())
      : new Uint8Array(elements * bytes);
  return { datatype, shape, data };
}

/** @throws InferenceError that says what is wrong with the data */
export function constantOf(name: string, { type, data }: { type: string; data: readonly unknown[] }): Tensor {
  const { datatype, shape } = typeOf(type);
  return tensorFromJson({ name, datatype, shape }, data);
}

/** The names of the values that a source gives. */
function valuesOf({ wav, folder, http, types, values = [] }: SourceEntry): readonly string[] {
  if (wav !== undefined) return ['samples'];
  if (folder !== undefined) return ['data', 'path'];
  const typed = http ?? types;
  return typed ? Object.keys(typed) : values;
}

/** Checks that the schema cannot express. */
function* meaning(
  { value, problem }: CheckedFile<StreamFile>,
  folder: string,
  models: ReadonlyMap<string, Model>,
): Generator<Problem> {
  const { sources, steps, sinks } = value;
  const known = (reference: string): string | undefined => {
    const [name = '', ...rest] = reference.split('.');
    if (steps[name]) return undefined;
    const source = sources[name];
    if (!source)
      return `There is no source or step "${name}"${similar(name, [...Object.keys(sources), ...Object.keys(steps)])}.`;
    const given = valuesOf(source);
    const wanted = rest.join('.');
    return given.includes(wanted)
      ? undefined
      : `Source "${name}" gives ${given.join(', ')}, and not "${wanted}".`;
  };
  for (const [name, source] of Object.entries(sources)) yield* sourceProblems(name, source, problem, folder);
  const uids = new Map<string, string>();
  for (const [name, step] of Object.entries(steps)) {
    const path = ['steps', name];
    if (sources[name])
      yield problem(path, `"${name}" is a source already: give the step another name.`, 'key');
    const uid = step.uid ?? name;
    const same = uids.get(uid);
    if (same !== undefined)
      yield problem(
        path,
        `Steps "${same}" and "${name}" have the same uid, "${uid}": give one of them another.`,
        'key',
      );
    uids.set(uid, name);
    yield* stepProblems(name, step, problem, folder, models);
    for (const [input, reference] of Object.entries(step.inputs)) {
      const message = known(reference);
      if (message) yield problem([...path, 'inputs', input], message);
    }
  }
  const files = new Map<string, string>();
  for (const [name, sink] of Object.entries(sinks)) {
    const path = ['sinks', name];
    if (sink.file !== undefined) {
      const written = resolve(folder, sink.file);
      const other = files.get(written);
      // After a restart each would take lines of the other one for its own.
      if (other !== undefined)
        yield problem(
          [...path, 'file'],
          `Sinks "${other}" and "${name}" write to the same file: give each a file of its own.`,
        );
      files.set(written, name);
    }
    if (SINK_KINDS.filter((kind) => sink[kind] !== undefined).length !== 1)
      yield problem(path, `Sink "${name}" must have one of ${SINK_KINDS.join(', ')}.`, 'key');
    const references: [Path, string][] = Object.entries(sink.values).map(([output, reference]) => [
      ['values', output],
      reference,
    ]);
    if (sink.each) references.push([['each'], sink.each]);
    if (sink.key) references.push([['key'], sink.key]);
    for (const [at, reference] of references) {
      const message = known(reference);
      if (message) yield problem([...path, ...at], message);
    }
  }
}

type Report = CheckedFile<StreamFile>['problem'];

function* sourceProblems(
  name: string,
  source: SourceEntry,
  problem: Report,
  folder: string,
): Generator<Problem> {
  const path: Path = ['sources', name];
  const [kind, ...more] = KINDS.filter((each) => source[each] !== undefined);
  if (!kind || more.length > 0) {
    yield problem(path, `Source "${name}" must have one of ${KINDS.join(', ')}.`, 'key');
    return;
  }
  for (const [setting, of] of Object.entries(SETTINGS))
    if (of !== kind && source[setting as keyof SourceEntry] !== undefined)
      yield problem(
        [...path, setting],
        `"${setting}" is a setting of ${of}, and "${name}" is ${kind}.`,
        'key',
      );
  if (kind === 'generator') {
    yield* moduleProblems(source.generator as string, (message) => problem([...path, 'generator'], message), {
      folder,
      beside: 'file',
    });
    if (!source.values) yield problem(path, `Say which values "${name}" returns, as values: [x, y].`, 'key');
  }
  if (kind === 'nats' && !source.types)
    yield problem(path, `Say which values "${name}" gives, as types: { x: "FP32[1,4]" }.`, 'key');
  for (const each of ['wav', 'folder'] as const) {
    const named = source[each];
    if (named !== undefined && !statSync(join(folder, named), { throwIfNoEntry: false })?.isDirectory())
      yield problem([...path, each], `There is no folder "${named}" beside the file.`);
  }
}

function* stepProblems(
  name: string,
  step: StepEntry,
  problem: Report,
  folder: string,
  models: ReadonlyMap<string, Model>,
): Generator<Problem> {
  const { state = {}, migrate, constants = {}, inputs } = step;
  const path: Path = ['steps', name];
  yield* runProblems(name, step, (at, message, where) => problem([...path, ...at], message, where), {
    folder,
    beside: 'file',
    // A stream takes any version that there is, whatever the inference server would serve.
    versionsOf: (model) => {
      const files = models.get(model)?.files;
      return files && [...files.keys()];
    },
    models: [...models.keys()],
  });
  if (step.key !== undefined)
    yield problem(
      [...path, 'key'],
      `Step "${name}" takes records by the key that the source gave: publish them to NATS by a sink with another "key", and read them by a second application.`,
      'key',
    );
  if (migrate !== undefined) {
    yield* moduleProblems(migrate, (message) => problem([...path, 'migrate'], message), {
      folder,
      beside: 'file',
    });
    if (Object.keys(state).length === 0)
      yield problem([...path, 'migrate'], `Step "${name}" has no state that could be converted.`, 'key');
  }
  for (const [constant, given] of Object.entries(constants)) {
    try {
      constantOf(constant, given);
    } catch (error) {
      yield problem([...path, 'constants', constant], `${messageOf(error)}.`);
    }
  }
  for (const input of [...Object.keys(constants), ...Object.keys(state)])
    if (inputs[input] !== undefined || (constants[input] && state[input]))
      yield problem(path, `Input "${input}" of step "${name}" is given twice.`, 'key');
}

/** Finds out the source of each step and sink. Records of two sources do not meet: no order of them would be right. */
function* findSources(
  { value: { sources, steps, sinks }, problem }: CheckedFile<StreamFile>,
  order: readonly string[],
  sourceOf: Map<string, string>,
): Generator<Problem> {
  const find = (path: Path, name: string, references: readonly string[]): Problem | undefined => {
    const found = references.map((reference) => {
      const [before = ''] = reference.split('.');
      return sources[before] ? before : (sourceOf.get(before) ?? '');
    });
    const [source = '', ...others] = new Set(found);
    sourceOf.set(name, source);
    if (others.length === 0) return undefined;
    const both = [source, ...others].map((each) => `"${each}"`).join(' and ');
    return problem(
      path,
      `"${name}" takes records of ${both}, which have no order among them: take one of them.`,
      'key',
    );
  };
  for (const name of order) {
    const found = find(['steps', name], name, Object.values((steps[name] as StepEntry).inputs));
    if (found) yield found;
  }
  for (const [name, { values, each, key }] of Object.entries(sinks)) {
    const more = [each, key].flatMap((reference) => reference ?? []);
    const found = find(['sinks', name], `sink ${name}`, [...Object.values(values), ...more]);
    if (found) yield found;
  }
}
