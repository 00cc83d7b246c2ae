import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { checkFile, type Problem } from '../../link/files/checked-file.js';
import { isFolder } from '../../link/files/make-folder.js';
import { packageSchema } from '../../link/machine/package-files.js';
import type { ShardSettings } from '../lanes/lane.js';
import { type Graph, readGraph } from './graph-file.js';

/** A model's `config.yaml`, as it is written. */
export interface ModelFile {
  readonly maxBatch?: number;
  readonly versions?: 'latest' | 'all' | readonly number[];
  /** By output, the name of the file with a name for each of its classes. */
  readonly labels?: Readonly<Record<string, string>>;
  /** It lies over several hosts. */
  readonly shard?: ShardSettings;
}

export interface Model {
  readonly name: string;
  /** The ONNX files of all versions. */
  readonly files: ReadonlyMap<number, string>;
  /** The files of the versions that are served. */
  readonly versions: ReadonlyMap<number, string>;
  readonly maxBatch: number | undefined;
  readonly labels: Labels;
  readonly shard: ShardSettings | undefined;
}

/** By output, the name of each of its classes. */
export type Labels = ReadonlyMap<string, readonly string[]>;

export interface ModelFolder {
  readonly models: ReadonlyMap<string, Model>;
  readonly graphs: ReadonlyMap<string, Graph>;
  readonly problems: readonly Problem[];
}

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const VERSION = /^[1-9][0-9]{0,9}$/;
const schema = packageSchema<ModelFile>('infer/graph/model');

/**
 * Reads a folder of models and graphs, and reports every problem. A model is `DIR/NAME/VERSION/model.onnx`, with an
 * optional `config.yaml` beside the versions. A graph is `DIR/NAME/graph.yaml`. Nothing in the folder is run.
 */
export function readModelFolder(folder: string): ModelFolder {
  const models = new Map<string, Model>();
  const graphs = new Map<string, Graph>();
  const problems: Problem[] = [];
  let entries: string[];
  try {
    entries = readdirSync(folder).sort();
  } catch (error) {
    return {
      models,
      graphs,
      problems: [{ file: folder, message: `The folder cannot be read: ${(error as Error).message}` }],
    };
  }
  const named = entries.filter((name) => !name.startsWith('.') && isFolder(join(folder, name)));
  const graphFiles: [string, string][] = [];
  for (const name of named) {
    const path = join(folder, name);
    const graphFile = join(path, 'graph.yaml');
    if (!NAME.test(name)) {
      problems.push({
        file: path,
        message: `"${name}" is no name: letters, digits, "_", "." and "-", and no digit first.`,
      });
    } else if (existsSync(graphFile)) graphFiles.push([name, graphFile]);
    else {
      const { model, problems: found } = readModel(name, path);
      if (model) models.set(name, model);
      problems.push(...found);
    }
  }
  if (named.length === 0)
    problems.push({
      file: folder,
      message: 'The folder has no model and no graph: put a model at NAME/1/model.onnx.',
    });
  const versionsOf = (model: string): number[] | undefined => {
    const known = models.get(model);
    return known && [...known.versions.keys()];
  };
  // Report a problem of a model once, and not again for each graph that uses the model.
  const broken = new Set(
    named.filter((name) => !models.has(name) && !graphFiles.some(([graph]) => graph === name)),
  );
  for (const [name, file] of graphFiles) {
    const { graph, problems: found } = readGraph(name, file, (model) =>
      broken.has(model) ? ANY : versionsOf(model),
    );
    if (graph) graphs.set(name, graph);
    problems.push(...found);
  }
  return { models, graphs, problems };
}

/** The versions of a model that cannot be read: a graph may name any. */
const ANY: readonly number[] = Object.assign([], { includes: () => true });

function readModel(name: string, path: string): { model?: Model; problems: Problem[] } {
  const problems: Problem[] = [];
  const versions = new Map<number, string>();
  let entries: string[];
  try {
    entries = readdirSync(path);
  } catch (error) {
    return { problems: [{ file: path, message: `The folder cannot be read: ${(error as Error).message}` }] };
  }
  for (const entry of entries) {
    if (!VERSION.test(entry) || !isFolder(join(path, entry))) continue;
    const file = join(path, entry, 'model.onnx');
    if (!existsSync(file))
      problems.push({ file: join(path, entry), message: 'There is no model.onnx in the version.' });
    else if (statSync(file).size === 0) problems.push({ file, message: 'The file is empty.' });
    else versions.set(Number(entry), file);
  }
  if (versions.size === 0 && problems.length === 0) {
    problems.push({
      file: path,
      message: `There is neither a graph.yaml nor a version, as ${name}/1/model.onnx.`,
    });
  }
  const configFile = join(path, 'config.yaml');
  let config: ModelFile = {};
  const labels = new Map<string, readonly string[]>();
  let served = [...versions.keys()].sort((a, b) => a - b);
  if (existsSync(configFile)) {
    const { checked, problems: found } = checkFile(configFile, schema);
    problems.push(...found);
    config = checked?.value ?? {};
    for (const [output, file] of Object.entries(config.labels ?? {})) {
      const names = linesOf(join(path, file));
      if (names) labels.set(output, names);
      else if (checked) {
        problems.push(
          checked.problem(
            ['labels', output],
            `There is no file ${file} beside it, with a label on each line.`,
          ),
        );
      }
    }
    if (checked && config.shard && config.maxBatch !== undefined)
      problems.push(
        checked.problem(
          ['maxBatch'],
          'A model over several hosts takes one request at a time: leave out either maxBatch or shard.',
        ),
      );
    if (checked && Array.isArray(config.versions)) {
      for (const [index, version] of config.versions.entries()) {
        if (versions.has(version)) continue;
        problems.push(
          checked.problem(
            ['versions', index],
            `There is no version ${version}; there is ${served.join(', ')}.`,
          ),
        );
      }
    }
  }
  if (problems.length > 0) return { problems };
  const { versions: wanted = 'latest', maxBatch, shard } = config;
  if (wanted === 'latest') served = served.slice(-1);
  else if (wanted !== 'all') served = served.filter((version) => wanted.includes(version));
  const model = {
    name,
    maxBatch,
    shard,
    files: versions,
    labels,
    versions: new Map(served.map((version) => [version, versions.get(version) as string])),
  };
  return { model, problems };
}

/** The lines of a file; undefined where it cannot be read. */
function linesOf(file: string): string[] | undefined {
  try {
    return readFileSync(file, 'utf8').trimEnd().split(/\r?\n/);
  } catch {
    return undefined;
  }
}
