import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { hashFile } from '../../infer/learned/learned-store.js';
import { makeFolder } from '../../link/files/make-folder.js';
import { codeOf } from '../../proto/errors.js';
import type {
  Definition,
  FunctionDefinition,
  ModelRun,
  SinkDefinition,
  SourceDefinition,
  StateDefinition,
  StepDefinition,
} from './definition.js';
import {
  constantOf,
  initialState,
  type SinkEntry,
  type SourceEntry,
  type StepEntry,
  type StreamGraph,
} from './stream-file.js';

/** Imports of files beside a module, as they are commonly written. */
const RELATIVE_IMPORT = /(?:\bfrom|\bimport\(?)\s*['"](\.{1,2}\/[^'"\n]+)['"]/g;

/**
 * Makes a definition of an application: its functions are copied, with the files that they import, into a folder named
 * by their hash; its models get a version and a hash.
 *
 * @param copies the folder for copies of modules. Packages are found from there, so it lies beside the file.
 * @throws Error where a file cannot be read (rejects)
 */
export async function resolveStream(graph: StreamGraph, copies: string): Promise<Definition> {
  const { name, file, order, sourceOf } = graph;
  const functions = new Functions(resolve(graph.folder), resolve(copies));
  const steps: StepDefinition[] = [];
  for (const step of order)
    steps.push(
      await resolveStep(step, file.steps[step] as StepEntry, sourceOf.get(step) ?? '', graph, functions),
    );
  const sources: Record<string, SourceDefinition> = {};
  for (const [source, entry] of Object.entries(file.sources))
    sources[source] = resolveSource(entry, graph, functions);
  const sinks: Record<string, SinkDefinition> = {};
  for (const [sink, entry] of Object.entries(file.sinks))
    sinks[sink] = resolveSink(entry, sourceOf.get(`sink ${sink}`) ?? '', graph);
  const rest = { name, sources, steps, sinks };
  return { id: hashOf(rest).slice(0, 12), ...rest };
}

async function resolveStep(
  name: string,
  entry: StepEntry,
  source: string,
  { models }: StreamGraph,
  functions: Functions,
): Promise<StepDefinition> {
  const { uid = name, model, version, resource = 'cpu', inputs, migrate } = entry;
  const constants = Object.fromEntries(
    Object.entries(entry.constants ?? {}).map(([constant, given]) => [constant, constantOf(constant, given)]),
  );
  const state = Object.fromEntries(
    Object.entries(entry.state ?? {}).map(([value, given]): [string, StateDefinition] => {
      const { type, next = value } = typeof given === 'string' ? { type: given } : given;
      return [value, { next, initial: initialState(type) }];
    }),
  );
  let runs: StepDefinition['runs'];
  let what: unknown;
  if (model === undefined) {
    const fn = functions.resolve(entry.function as string);
    runs = { kind: 'function', function: fn, resource };
    what = [fn.hash, fn.name];
  } else {
    const files = models.get(model)?.files ?? new Map<number, string>();
    const number = version ?? Math.max(...files.keys());
    const file = resolve(files.get(number) as string);
    const maxBatch = models.get(model)?.maxBatch;
    const hash = await hashFile(file);
    runs = {
      kind: 'model',
      model,
      version: number,
      file,
      hash,
      ...(maxBatch !== undefined && { maxBatch }),
    } satisfies ModelRun;
    what = hash;
  }
  return {
    name,
    uid,
    source,
    runs,
    inputs,
    constants,
    state,
    ...(migrate !== undefined && { migrate: functions.resolve(migrate) }),
    does: hashOf([what, constants, state, Object.keys(inputs).sort()]),
  };
}

function resolveSource(entry: SourceEntry, { folder }: StreamGraph, functions: Functions): SourceDefinition {
  const { wav, samples = 512, pace = 'real-time', http, generator, values = [], keys = 1, every } = entry;
  if (wav !== undefined)
    return { kind: 'wav', folder: resolve(folder, wav), samples, pace: pace === 'real-time' ? 1 : pace };
  if (entry.folder !== undefined) return { kind: 'folder', folder: resolve(folder, entry.folder) };
  if (http) return { kind: 'http', types: http };
  if (entry.nats !== undefined) return { kind: 'nats', subject: entry.nats, types: entry.types ?? {} };
  const fn = functions.resolve(generator as string);
  return { kind: 'generator', function: fn, values, keys, ...(every !== undefined && { every }) };
}

function resolveSink(
  { file, nats, page, http = '', values, each, key }: SinkEntry,
  source: string,
  { folder }: StreamGraph,
): SinkDefinition {
  const rest = { source, values, ...(each !== undefined && { each }), ...(key !== undefined && { key }) };
  if (file !== undefined) return { kind: 'file', file: resolve(folder, file), ...rest };
  if (page !== undefined) return { kind: 'page', last: page, ...rest };
  return nats === undefined ? { kind: 'http', url: http, ...rest } : { kind: 'nats', subject: nats, ...rest };
}

/** Copies modules, so that the ones that run stay as they are. */
class Functions {
  readonly #folder: string;
  readonly #copies: string;
  /** By module, its copy. */
  readonly #known = new Map<string, Pick<FunctionDefinition, 'file' | 'hash'>>();

  constructor(folder: string, copies: string) {
    this.#folder = folder;
    this.#copies = copies;
  }

  resolve(title: string): FunctionDefinition {
    const [module = '', name = ''] = title.split('#');
    let copy = this.#known.get(module);
    if (!copy) {
      copy = this.#copy(module);
      this.#known.set(module, copy);
    }
    return { ...copy, name, title };
  }

  #copy(module: string): Pick<FunctionDefinition, 'file' | 'hash'> {
    const files = this.#withImports(resolve(this.#folder, module));
    // The folder of the copies is named by all of them, so equal files are copied once, and are one module.
    const top = commonFolder([...files.keys()]);
    const named = [...files].map(([path, text]) => [relative(top, path), text]);
    const hash = hashOf([relative(top, resolve(this.#folder, module)), named.sort()]).slice(0, 16);
    const target = join(this.#copies, hash);
    for (const [path, text] of files) {
      const copy = join(target, relative(top, path));
      // A thread may load it at this moment. So a copy is there whole or not at all, and stays.
      if (existsSync(copy)) continue;
      makeFolder(dirname(copy));
      const part = join(dirname(copy), `.${basename(copy)}.part`);
      writeFileSync(part, text);
      renameSync(part, copy);
    }
    return { file: join(target, relative(top, resolve(this.#folder, module))), hash };
  }

  /** The texts of a module and of the files that it imports by their paths, and so on. */
  #withImports(module: string): Map<string, string> {
    const texts = new Map<string, string>();
    const visit = (path: string, from: string) => {
      if (texts.has(path)) return;
      try {
        texts.set(path, readFileSync(path, 'utf8'));
      } catch (error) {
        throw new Error(`${from} imports ${path}, which cannot be read (${codeOf(error)})`);
      }
      if (/\.json$/.test(path)) return;
      for (const [, target = ''] of (texts.get(path) as string).matchAll(RELATIVE_IMPORT))
        visit(resolve(dirname(path), target), path);
    };
    visit(module, 'the application');
    return texts;
  }
}

function commonFolder(files: readonly string[]): string {
  const [first = '', ...others] = files;
  let folder = dirname(first);
  while (others.some((file) => relative(folder, file).startsWith('..'))) folder = dirname(folder);
  return folder;
}

/** A hash of a value that consists of plain objects, text, numbers and bytes. */
function hashOf(value: unknown): string {
  const text = JSON.stringify(value, (_, each) => (each instanceof Uint8Array ? [...each] : each));
  return createHash('sha256').update(text).digest('hex');
}
