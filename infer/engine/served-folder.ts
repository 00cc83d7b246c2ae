import { join, relative, sep } from 'node:path';
import { messageOf } from '../../proto/errors.js';
import type { StepEntry } from '../graph/graph-file.js';
import { type Model, type ModelFolder, readModelFolder } from '../graph/model-folder.js';
import { InferenceError, invalid, type LoadOverrides } from '../service/service.js';
import { type Catalog, type Entry, UNLOADED, type Version } from './catalog.js';
import { graphPlan, modelPlan, type Plan } from './request/plan.js';
import { Unit } from './request/unit.js';
import type { ServedUnits } from './served-units.js';

export interface ServedFolderOptions {
  /** The folder of models and graphs. */
  readonly folder: string;
  /** Gets the models and graphs that are loaded. */
  readonly catalog: Catalog;
  readonly units: ServedUnits;
  log(message: string): void;
}

/**
 * Loads the models and graphs of a folder into a catalog, and unloads them. Its methods are called one after the other:
 * the caller waits for each first.
 */
export class ServedFolder {
  readonly #folder: string;
  readonly #catalog: Catalog;
  readonly #units: ServedUnits;
  readonly #log: (message: string) => void;

  constructor({ folder, catalog, units, log }: ServedFolderOptions) {
    this.#folder = folder;
    this.#catalog = catalog;
    this.#units = units;
    this.#log = log;
  }

  async loadAll(): Promise<void> {
    const folder = readModelFolder(this.#folder);
    for (const { file, message } of folder.problems) this.#log(`${file}: ${message}`);
    const names = new Set([...folder.models.keys(), ...folder.graphs.keys()]);
    for (const name of this.#namesWithProblems(folder)) {
      if (!names.has(name)) this.#broken(name, folder);
    }
    const models = [...folder.models.values()];
    // Models over several hosts get their part of each host's memory before others fill it.
    for (const isSharded of [true, false]) {
      const next = models.filter(({ shard }) => (shard !== undefined) === isSharded);
      await Promise.all(next.map((model) => this.#loadModel(model)));
    }
    for (const name of folder.graphs.keys()) this.#addGraph(name);
    this.#planGraphs(folder, () => true);
  }

  /** @throws InferenceError not-found, unavailable; invalid where a batch cannot be set */
  async load(name: string, { maxBatchSize }: LoadOverrides): Promise<void> {
    const folder = readModelFolder(this.#folder);
    const model = folder.models.get(name);
    let stays: InferenceError | undefined;
    if (maxBatchSize !== undefined && (model ? model.shard !== undefined : folder.graphs.has(name)))
      throw invalid(
        `"${name}" is ${model ? 'a model over several hosts, which takes one request at a time' : 'a graph, whose graph.yaml has its maxBatch'}: load it without max_batch_size.`,
      );
    if (model) stays = await this.#loadModel({ ...model, maxBatch: maxBatchSize ?? model.maxBatch });
    else if (folder.graphs.has(name)) this.#addGraph(name);
    else {
      const problem = this.#problemOf(name, folder);
      if (problem === undefined)
        throw new InferenceError('not-found', `There is no "${name}" in the folder.`);
      this.#broken(name, folder);
      throw new InferenceError('unavailable', problem);
    }
    // The functions of a graph that is loaded are read again; of the others the models may be new.
    this.#planGraphs(folder, (graph) => graph === name);
    if (stays) throw stays;
    const entry = this.#catalog.entry(name) as Entry;
    const failed = [...entry.versions.values()].find(({ state }) => state !== 'READY');
    if (failed) throw new InferenceError('unavailable', failed.reason ?? `"${name}" could not be loaded.`);
  }

  /** @throws InferenceError not-found */
  async unload(name: string): Promise<void> {
    const entry = this.#catalog.entry(name);
    if (!entry) throw new InferenceError('not-found', `There is no model or graph "${name}".`);
    const gone: Promise<void>[] = [];
    for (const version of entry.versions.values()) {
      const { units } = version;
      version.plan = undefined;
      version.units = [];
      version.state = 'UNLOADING';
      version.reason = UNLOADED;
      for (const unit of units) {
        // A graph's requests that have begun are finished.
        if (entry.isGraph) gone.push(this.#units.retire(unit));
        else {
          gone.push(this.#units.idle(unit));
          this.#units.withdraw(unit);
        }
      }
    }
    this.#planGraphs(readModelFolder(this.#folder), () => false);
    await Promise.all(gone);
    for (const version of entry.versions.values()) version.state = 'UNAVAILABLE';
  }

  /** A graph has one version. Others are of a model that was in its folder before. */
  #addGraph(name: string): void {
    const { versions } = this.#catalog.add(name, true);
    for (const version of versions.values()) {
      if (version.version === '1') continue;
      this.#replace(version, undefined, []);
      versions.delete(version.version);
    }
  }

  /**
   * Loads all versions of a model. Until a version is ready, it is served as it was loaded before. Resolves when all of them
   * are loaded or have failed: to why one of them stays as it was before, if one does.
   */
  async #loadModel({ name, versions, maxBatch, labels, shard }: Model): Promise<InferenceError | undefined> {
    const entry = this.#catalog.add(name, false);
    let stays: InferenceError | undefined;
    for (const version of entry.versions.values()) {
      if (!versions.has(Number(version.version))) {
        this.#replace(version, undefined, []);
        entry.versions.delete(version.version);
      }
    }
    await Promise.all(
      [...versions].map(async ([number, file]) => {
        const version = this.#catalog.version(entry, String(number));
        version.state = 'LOADING';
        version.reason = undefined;
        const title = `model ${name} version ${number}`;
        const key = this.#units.keyOf(`${name}@${number}`);
        const unit = shard
          ? new Unit(key, title, 'shards', { file, shard }, 0, labels)
          : new Unit(key, title, 'gpu', { file }, maxBatch, labels);
        try {
          await this.#units.load(unit, file);
          checkLabels(unit);
          this.#replace(version, modelPlan(name, version.version, unit), [unit]);
          version.state = 'READY';
        } catch (error) {
          this.#units.withdraw(unit);
          version.reason = messageOf(error);
          version.state = version.plan ? 'READY' : 'UNAVAILABLE';
          this.#log(`${title} could not be loaded: ${version.reason}`);
          if (version.plan) stays = new InferenceError('unavailable', version.reason, { cause: error });
        }
      }),
    );
    return stays;
  }

  /**
   * Plans the graphs with the units that are served now. `again` says whether a graph has its functions read again;
   * else it keeps them.
   */
  #planGraphs(folder: ModelFolder, again: (name: string) => boolean): void {
    for (const entry of this.#catalog.entries) {
      if (!entry.isGraph) continue;
      const version = this.#catalog.version(entry, '1');
      if (version.reason === UNLOADED && !again(entry.name)) continue;
      const graph = folder.graphs.get(entry.name);
      const made: Unit[] = [];
      try {
        if (!graph) throw new Error(this.#problemOf(entry.name, folder) ?? 'The graph is not in the folder.');
        const functions = new Map(
          again(entry.name) ? [] : version.units.map((unit) => [unit.title, unit] as const),
        );
        const plan = graphPlan(graph, (step) => this.#unitOf(entry.name, step, functions, made));
        for (const unit of made) this.#units.serve(unit);
        this.#replace(version, plan, [...functions.values()]);
        version.state = 'READY';
        version.reason = undefined;
      } catch (error) {
        version.reason = messageOf(error);
        // The earlier graph goes on only if all its models are still served.
        if (!version.plan?.steps.every(({ unit }) => unit.isFunction || this.#isServed(unit))) {
          this.#replace(version, undefined, []);
        }
        version.state = version.plan ? 'READY' : 'UNAVAILABLE';
        this.#log(`graph ${entry.name} cannot be served: ${version.reason}`);
      }
    }
  }

  /** The unit of a graph's step. `functions` has the graph's functions by title. New ones go there and into `made`. */
  #unitOf(graph: string, step: StepEntry, functions: Map<string, Unit>, made: Unit[]): Unit {
    const { model, version, function: run = '', resource = 'cpu' } = step;
    if (model !== undefined) {
      const { plan } = this.#catalog.find(model, version === undefined ? undefined : String(version));
      const [first] = plan.steps;
      if (!first || plan.isGraph) throw new Error(`"${model}" is no model.`);
      return first.unit;
    }
    const title = `function ${run} of graph ${graph}`;
    let unit = functions.get(title);
    if (!unit) {
      const [module = '', name = ''] = run.split('#');
      const file = join(this.#folder, graph, module);
      unit = new Unit(
        this.#units.keyOf(`${graph}/${run}`),
        title,
        resource,
        { file, function: name },
        undefined,
      );
      functions.set(title, unit);
      made.push(unit);
    }
    return unit;
  }

  /** Another plan answers from now on. The units of the earlier plan go with their last request. */
  #replace(version: Version, plan: Plan | undefined, units: readonly Unit[]): void {
    const before = version.units;
    version.plan = plan;
    version.units = units;
    for (const unit of before) if (!units.includes(unit)) void this.#units.retire(unit);
  }

  #isServed(unit: Unit): boolean {
    for (const { versions } of this.#catalog.entries) {
      for (const { units } of versions.values()) if (units.includes(unit)) return true;
    }
    return false;
  }

  #broken(name: string, folder: ModelFolder): void {
    const entry = this.#catalog.entry(name) ?? this.#catalog.add(name, false);
    if (entry.versions.size === 0) this.#catalog.version(entry, '1');
    for (const version of entry.versions.values()) {
      version.reason = this.#problemOf(name, folder);
      version.state = version.plan ? 'READY' : 'UNAVAILABLE';
    }
  }

  #namesWithProblems(folder: ModelFolder): Set<string> {
    const names = folder.problems.map(({ file }) => this.#nameOf(file));
    return new Set(names.filter((name) => name !== ''));
  }

  #problemOf(name: string, { problems }: ModelFolder): string | undefined {
    return problems.find(({ file }) => this.#nameOf(file) === name)?.message;
  }

  /** The name of the model or graph that a file belongs to; empty for the folder itself. */
  #nameOf(file: string): string {
    const [name = ''] = relative(this.#folder, file).split(sep);
    return name;
  }
}

/** @throws Error where `config.yaml` has labels for an output that the model has not. */
function checkLabels({ labels, outputs }: Unit): void {
  const names = outputs.map(({ name }) => name);
  for (const output of labels.keys()) {
    if (!names.includes(output))
      throw new Error(
        `config.yaml has labels of "${output}", and the model's outputs are ${names.join(', ')}.`,
      );
  }
}
