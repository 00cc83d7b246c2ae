import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../link/machine/timer.js';
import { PROCESS_CLOCK } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import type { StepEntry } from '../graph/graph-file.js';
import { type Model, type ModelFolder, readModelFolder } from '../graph/model-folder.js';
import { hashFile, type LearnedStore } from '../memory/learned-store.js';
import type { Policy } from '../schedule/policy.js';
import {
  type IndexEntry,
  InferenceError,
  type InferenceRequest,
  type InferenceResult,
  type InferenceService,
  type LoadOverrides,
  type ModelConfiguration,
  type ModelMetadata,
  type ModelStatistics,
} from '../service/service.js';
import { Catalog, type Entry, UNLOADED, type Version } from './catalog.js';
import { Dispatcher, retryAfter } from './dispatcher.js';
import type { EngineHost } from './hosts.js';
import { learn } from './learning.js';
import { checkRequest } from './request/check-request.js';
import { graphPlan, modelPlan, type Plan } from './request/plan.js';
import { Unit } from './request/unit.js';
import { bytesOf } from './request/values.js';
import type { UnitModels } from './unit-models.js';

export interface EngineOptions {
  /** The folder of models and graphs. */
  readonly folder: string;
  /** GPU hosts, and this machine's lanes for functions. */
  readonly hosts: readonly EngineHost[];
  /** Where what is learned is kept; nowhere if left out. */
  readonly store?: LearnedStore;
  readonly clock?: Clock;
  readonly policy?: Partial<Policy>;
  /** The most requests at once, and the most bytes of their inputs. */
  readonly maxRequests?: number;
  readonly maxBytes?: number;
  /** How long one run, or one load, may take, in milliseconds. */
  readonly callLimit?: number;
  /** How long requests wait for a lane where none of their kind is open. */
  readonly laneLimit?: number;
  log?(message: string): void;
}

const DEFAULTS = { maxRequests: 10_000, maxBytes: 1 << 30, callLimit: 120_000, laneLimit: 30_000 };
/** What was learned is written so long after a run, in milliseconds. */
const WRITE_AFTER = 30_000;
/** A priority counts this over itself, so that 4 is as none. */
const PRIORITY = 4;

/** What of a unit is kept on disk. */
interface Kept {
  readonly hash: string;
  readonly models: UnitModels;
}

/** Serves a folder of models and graphs on lanes. */
export class Engine implements InferenceService {
  readonly #options: EngineOptions & typeof DEFAULTS;
  readonly #clock: Clock;
  readonly #log: (message: string) => void;
  readonly #catalog = new Catalog();
  readonly #dispatcher: Dispatcher;
  /** Served units whose file has a hash. */
  readonly #kept = new Map<Unit, Kept>();
  /** Units that serve no new request, and go when their last one has ended. */
  readonly #leaving = new Map<Unit, () => void>();
  /** Loads and unloads follow each other. */
  #changes: Promise<unknown> = Promise.resolve();
  /** How often each was read. */
  readonly #readings = new Map<string, number>();
  #bytes = 0;
  #isEnding = false;
  #writesLater = false;
  #drained: (() => void) | undefined;
  /** Resolves when every model and graph of the folder was loaded, or cannot be. */
  readonly loaded: Promise<void>;

  constructor(options: EngineOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#clock = options.clock ?? PROCESS_CLOCK;
    this.#log = options.log ?? (() => {});
    const { hosts, policy, callLimit, laneLimit } = this.#options;
    this.#dispatcher = new Dispatcher({
      hosts,
      clock: this.#clock,
      callLimit,
      laneLimit,
      log: this.#log,
      ...(policy && { policy }),
    });
    this.#dispatcher.onEnd = () => this.#ended();
    this.loaded = this.#change(() => this.#loadAll());
  }

  get ready(): boolean {
    return !this.#isEnding && this.#dispatcher.hosts.has('gpu') && this.#catalog.isReady;
  }

  /** How many requests wait or run. */
  get requests(): number {
    return this.#dispatcher.requests;
  }

  index(): IndexEntry[] {
    return this.#catalog.index();
  }

  metadata(model: string, version?: string): ModelMetadata {
    return this.#catalog.metadata(model, version);
  }

  configuration(model: string, version?: string): ModelConfiguration {
    return this.#catalog.configuration(model, version);
  }

  statistics(model?: string, version?: string): ModelStatistics[] {
    return this.#catalog.statistics(model, version);
  }

  async infer(request: InferenceRequest, signal?: AbortSignal): Promise<InferenceResult> {
    if (this.#isEnding) throw new InferenceError('unavailable', 'The server is ending.');
    const { version, plan } = this.#catalog.find(request.model, request.version);
    checkRequest(request, { inputs: plan.inputs, outputs: plan.outputs.map(({ name }) => name) });
    const bytes = request.inputs.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    this.#admit(bytes);
    const { timeout, priority = 0, id } = request;
    const arrivedAt = this.#clock.now();
    this.#bytes += bytes;
    let well = false;
    try {
      const outputs = await this.#dispatcher.run(plan, request, {
        signal,
        weight: priority === 0 ? 1 : PRIORITY / priority,
        ...(timeout !== undefined && { deadline: arrivedAt + timeout }),
      });
      well = true;
      return { model: plan.name, version: plan.version, ...(id !== undefined && { id }), outputs };
    } finally {
      this.#bytes -= bytes;
      if (plan.isGraph) {
        version.statistics.ended(this.#clock.now() - arrivedAt, well);
        if (well) version.statistics.answered();
      }
    }
  }

  load(model: string, overrides: LoadOverrides = {}): Promise<void> {
    return this.#change(() => this.#load(model, overrides));
  }

  unload(model: string): Promise<void> {
    return this.#change(() => this.#unload(model));
  }

  /** Admits no more requests, lets those that are there end within `limit` milliseconds, and closes the lanes. */
  async close(limit = 0): Promise<void> {
    this.#isEnding = true;
    if (this.#dispatcher.requests > 0 && limit > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
        this.#clock.after(limit, resolve);
      });
    }
    this.#write();
    await this.#dispatcher.close('The server ended before the request was done.');
    await this.#changes;
  }

  /** @throws InferenceError overloaded */
  #admit(bytes: number): void {
    const { maxRequests, maxBytes } = this.#options;
    const full =
      this.#dispatcher.requests >= maxRequests
        ? `${maxRequests} requests wait already`
        : this.#bytes + bytes > maxBytes && this.#bytes > 0
          ? `the requests that wait have ${this.#bytes} bytes of inputs already`
          : undefined;
    if (full === undefined) return;
    const seconds = retryAfter(this.#dispatcher.backlog);
    throw new InferenceError('overloaded', `Too much waits: ${full}. Try again in ${seconds} s.`, {
      retryAfter: seconds,
    });
  }

  #change(act: () => Promise<void>): Promise<void> {
    const change = this.#changes.then(act);
    this.#changes = change.catch(() => {});
    return change;
  }

  async #loadAll(): Promise<void> {
    const folder = readModelFolder(this.#options.folder);
    for (const { file, message } of folder.problems) this.#log(`${file}: ${message}`);
    const names = new Set([...folder.models.keys(), ...folder.graphs.keys()]);
    for (const name of this.#namesWithProblems(folder)) {
      if (!names.has(name)) this.#broken(name, folder);
    }
    await Promise.all([...folder.models.values()].map((model) => this.#loadModel(model)));
    for (const name of folder.graphs.keys()) this.#catalog.add(name, true);
    this.#planGraphs(folder, () => true);
  }

  async #load(name: string, { maxBatchSize }: LoadOverrides): Promise<void> {
    if (this.#isEnding) throw new InferenceError('unavailable', 'The server is ending.');
    const folder = readModelFolder(this.#options.folder);
    const model = folder.models.get(name);
    if (model) await this.#loadModel({ ...model, maxBatch: maxBatchSize ?? model.maxBatch });
    else if (folder.graphs.has(name)) this.#catalog.add(name, true);
    else {
      const problem = this.#problemOf(name, folder);
      if (problem === undefined)
        throw new InferenceError('not-found', `There is no "${name}" in the folder.`);
      this.#broken(name, folder);
      throw new InferenceError('unavailable', problem);
    }
    // The functions of a graph that is loaded are read again; of the others the models may be new.
    this.#planGraphs(folder, (graph) => graph === name);
    const entry = this.#catalog.entry(name) as Entry;
    const failed = [...entry.versions.values()].find(({ state }) => state !== 'READY');
    if (failed) throw new InferenceError('unavailable', failed.reason ?? `"${name}" could not be loaded.`);
  }

  async #unload(name: string): Promise<void> {
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
        // What a graph has begun is finished.
        if (entry.isGraph) gone.push(this.#retire(unit));
        else {
          gone.push(this.#usersOf(unit));
          this.#withdraw(unit);
        }
      }
    }
    this.#planGraphs(readModelFolder(this.#options.folder), () => false);
    await Promise.all(gone);
    for (const version of entry.versions.values()) version.state = 'UNAVAILABLE';
  }

  /** Loads all versions of a model, each beside the one that is served until it is ready. */
  async #loadModel({ name, versions, maxBatch }: Model): Promise<void> {
    const entry = this.#catalog.add(name, false);
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
        const unit = new Unit(this.#keyOf(`${name}@${number}`), title, 'gpu', { file }, maxBatch);
        try {
          await this.#loadUnit(unit, file);
          this.#replace(version, modelPlan(name, version.version, unit), [unit]);
          version.state = 'READY';
        } catch (error) {
          this.#withdraw(unit);
          version.reason = messageOf(error);
          version.state = version.plan ? 'READY' : 'UNAVAILABLE';
          this.#log(`${title} could not be loaded: ${version.reason}`);
          if (version.plan) throw new InferenceError('unavailable', version.reason, { cause: error });
        }
      }),
    );
  }

  async #loadUnit(unit: Unit, file: string): Promise<void> {
    const { store } = this.#options;
    const hash = store ? await hashFile(file) : '';
    const models = this.#dispatcher.serve(unit, store?.read(hash), statSync(file).size);
    if (store) this.#kept.set(unit, { hash, models });
    await this.#dispatcher.load(unit);
    await learn(unit, models, this.#dispatcher, this.#log);
    this.#writeLater();
  }

  /**
   * Plans the graphs with the units that are served now. `again` says which ones have their functions read again; the
   * others keep theirs.
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
        for (const unit of made) this.#dispatcher.serve(unit);
        this.#replace(version, plan, [...functions.values()]);
        version.state = 'READY';
        version.reason = undefined;
      } catch (error) {
        version.reason = messageOf(error);
        // The graph of before goes on only where its models do.
        if (!version.plan?.steps.every(({ unit }) => unit.isFunction || this.#isServed(unit))) {
          this.#replace(version, undefined, []);
        }
        version.state = version.plan ? 'READY' : 'UNAVAILABLE';
        this.#log(`graph ${entry.name} cannot be served: ${version.reason}`);
      }
    }
  }

  /** The unit of a graph's step. `functions` has those of the graph by their titles, and gets the ones that are `made`. */
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
      const file = join(this.#options.folder, graph, module);
      unit = new Unit(this.#keyOf(`${graph}/${run}`), title, resource, { file, function: name }, undefined);
      functions.set(title, unit);
      made.push(unit);
    }
    return unit;
  }

  /** What the scheduler and the lanes call a unit that is read now. */
  #keyOf(name: string): string {
    const before = this.#readings.get(name) ?? 0;
    this.#readings.set(name, before + 1);
    return before === 0 ? name : `${name}+${before}`;
  }

  /** Another plan answers from now on. The units of the one before go with their last request. */
  #replace(version: Version, plan: Plan | undefined, units: readonly Unit[]): void {
    const before = version.units;
    version.plan = plan;
    version.units = units;
    for (const unit of before) if (!units.includes(unit)) void this.#retire(unit);
  }

  #isServed(unit: Unit): boolean {
    for (const { versions } of this.#catalog.entries) {
      for (const { units } of versions.values()) if (units.includes(unit)) return true;
    }
    return false;
  }

  /** Withdraws a unit when its last request has ended. */
  async #retire(unit: Unit): Promise<void> {
    await this.#usersOf(unit);
    this.#withdraw(unit);
  }

  /** Waits until no request has a unit any more. */
  #usersOf(unit: Unit): Promise<void> {
    if (unit.users === 0) return Promise.resolve();
    return new Promise((resolve) => this.#leaving.set(unit, resolve));
  }

  #withdraw(unit: Unit): void {
    const kept = this.#kept.get(unit);
    if (kept) this.#options.store?.write(kept.hash, kept.models.learned);
    this.#kept.delete(unit);
    this.#dispatcher.withdraw(unit);
  }

  #ended(): void {
    this.#writeLater();
    for (const [unit, resolve] of this.#leaving) {
      if (unit.users > 0) continue;
      this.#leaving.delete(unit);
      resolve();
    }
    if (this.#dispatcher.requests === 0) this.#drained?.();
  }

  #writeLater(): void {
    if (this.#writesLater || this.#kept.size === 0) return;
    this.#writesLater = true;
    this.#clock.after(WRITE_AFTER, () => {
      this.#writesLater = false;
      this.#write();
    });
  }

  #write(): void {
    for (const { hash, models } of this.#kept.values()) this.#options.store?.write(hash, models.learned);
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

  /** The name of the model or graph that a file of the folder belongs to. */
  #nameOf(file: string): string {
    const [name = ''] = file.slice(join(this.#options.folder, '.').length + 1).split('/');
    return file === this.#options.folder ? '' : name;
  }
}
