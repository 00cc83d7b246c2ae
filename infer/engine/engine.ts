import { type Clock, PROCESS_CLOCK } from '../../link/machine/timer.js';
import type { LearnedStore } from '../learned/learned-store.js';
import type { EngineScheduler } from '../schedule/scheduler.js';
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
import { SharedBudget } from '../service/shared-budget.js';
import type { QueueState, ServiceState } from '../service/state.js';
import { Catalog } from './catalog.js';
import { Dispatcher, retryAfter } from './dispatcher.js';
import type { EngineHost } from './hosts.js';
import { checkRequest } from './request/check-request.js';
import type { Unit } from './request/unit.js';
import { bytesOf } from './request/values.js';
import { ServedFolder } from './served-folder.js';
import { ServedUnits } from './served-units.js';
import type { Queue } from './state.js';

export interface EngineOptions {
  /** The folder of models and graphs. */
  readonly folder: string;
  /** GPU hosts, and this machine's lanes for functions. */
  readonly hosts: readonly EngineHost[];
  /** Keeps the figures that are learned; if left out, they are kept nowhere. */
  readonly store?: LearnedStore;
  readonly clock?: Clock;
  /** Farlight's own if left out. */
  readonly scheduler?: EngineScheduler;
  /** The most requests at once, and the most bytes of their inputs. */
  readonly maxRequests?: number;
  readonly maxBytes?: number;
  /** How long one run, or one load, may take, in milliseconds. */
  readonly callLimit?: number;
  /** How long requests wait for a lane where none of their kind is open. */
  readonly laneLimit?: number;
  log?(message: string): void;
}

const DEFAULTS = { maxRequests: 12_000, maxBytes: 1 << 30, callLimit: 120_000, laneLimit: 30_000 };
/** A request's weight is this, divided by its priority: priority 4 is like none. */
const PRIORITY = 4;

/** Serves a folder of models and graphs on lanes. */
export class Engine implements InferenceService {
  readonly #options: EngineOptions & typeof DEFAULTS;
  readonly #clock: Clock;
  readonly #catalog = new Catalog();
  readonly #dispatcher: Dispatcher;
  readonly #units: ServedUnits;
  readonly #folder: ServedFolder;
  /** Loads and unloads follow each other. */
  #changes: Promise<unknown> = Promise.resolve();
  readonly #runListeners = new Set<(items: number) => void>();
  readonly #requests: SharedBudget;
  readonly #bytes: SharedBudget;
  #isEnding = false;
  #drained: (() => void) | undefined;
  /** Resolves when every model and graph of the folder was loaded, or cannot be. */
  readonly loaded: Promise<void>;

  constructor(options: EngineOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#clock = options.clock ?? PROCESS_CLOCK;
    this.#requests = new SharedBudget(this.#options.maxRequests);
    this.#bytes = new SharedBudget(this.#options.maxBytes);
    const { hosts, folder, store, scheduler, callLimit, laneLimit, log = () => {} } = this.#options;
    this.#dispatcher = new Dispatcher({
      hosts,
      clock: this.#clock,
      callLimit,
      laneLimit,
      log,
      scheduler,
    });
    this.#dispatcher.onEnd = () => this.#ended();
    this.#dispatcher.onRun = (items) => {
      for (const listener of this.#runListeners) listener(items);
    };
    this.#units = new ServedUnits({ dispatcher: this.#dispatcher, store, clock: this.#clock, log });
    this.#folder = new ServedFolder({ folder, catalog: this.#catalog, units: this.#units, log });
    this.loaded = this.#change(() => this.#folder.loadAll());
  }

  get ready(): boolean {
    return !this.#isEnding && this.#dispatcher.hosts.has('gpu') && this.#catalog.isReady;
  }

  /** How many requests wait or run. */
  get requests(): number {
    return this.#dispatcher.requests;
  }

  /** Opens the lanes of another host. */
  addHost(host: EngineHost): void {
    if (!this.#isEnding) this.#dispatcher.hosts.add(host);
  }

  /** Closes the lanes of a host. Its runs begin again elsewhere. */
  removeHost(name: string): Promise<void> {
    return this.#dispatcher.hosts.remove(name);
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

  state(): ServiceState {
    const { requests, backlog, state } = this.#dispatcher;
    const { hosts, lanes, queues } = state;
    return { requests, backlog, hosts, lanes, queues: this.#named(queues) };
  }

  onRun(listener: (items: number) => void): () => void {
    this.#runListeners.add(listener);
    return () => this.#runListeners.delete(listener);
  }

  async infer(request: InferenceRequest, signal?: AbortSignal): Promise<InferenceResult> {
    this.#refuseAtEnd();
    const { version, plan } = this.#catalog.find(request.model, request.version);
    checkRequest(request, {
      inputs: plan.inputs,
      outputs: plan.outputs.map(({ name }) => name),
      // A model's limit bounds a run, not a request: a large request runs in several batches.
      maxItems: plan.isGraph ? plan.maxBatch : 0,
    });
    const { timeout, priority = 0, id, onSpan, tenant = '', share } = request;
    const bytes = request.inputs.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    this.#admit(tenant, bytes);
    const arrivedAt = this.#clock.now();
    let well = false;
    try {
      const outputs = await this.#dispatcher.run(plan, request, {
        signal,
        onSpan,
        tenant,
        share,
        weight: priority === 0 ? 1 : PRIORITY / priority,
        ...(timeout !== undefined && { deadline: arrivedAt + timeout }),
      });
      well = true;
      return { model: plan.name, version: plan.version, ...(id !== undefined && { id }), outputs };
    } finally {
      this.#requests.add(tenant, -1);
      this.#bytes.add(tenant, -bytes);
      if (plan.isGraph) {
        version.statistics.ended(this.#clock.now() - arrivedAt, well);
        if (well) version.statistics.answered();
      }
    }
  }

  load(model: string, overrides: LoadOverrides = {}): Promise<void> {
    return this.#change(async () => {
      this.#refuseAtEnd();
      await this.#folder.load(model, overrides);
    });
  }

  unload(model: string): Promise<void> {
    return this.#change(() => this.#folder.unload(model));
  }

  /** Admits no more requests, gives the current ones `limit` milliseconds to end, and closes the lanes. */
  async close(limit = 0): Promise<void> {
    this.#isEnding = true;
    if (this.#dispatcher.requests > 0 && limit > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
        this.#clock.after(limit, resolve);
      });
    }
    this.#units.write();
    await this.#dispatcher.close('The server ended before the request was done.');
    await this.#changes;
  }

  #named(queues: ReadonlyMap<Unit, Queue>): QueueState[] {
    return [...this.#catalog.entries].flatMap(({ name, isGraph, versions }) =>
      [...versions.values()].flatMap(({ version, units }) =>
        units.flatMap((unit) => {
          const queue = queues.get(unit);
          return queue ? [{ model: name, version, ...(isGraph && { function: unit.title }), ...queue }] : [];
        }),
      ),
    );
  }

  /** @throws InferenceError unavailable */
  #refuseAtEnd(): void {
    if (this.#isEnding) throw new InferenceError('unavailable', 'The server is ending.');
  }

  /** @throws InferenceError overloaded */
  #admit(tenant: string, bytes: number): void {
    let full: string | undefined;
    if (!this.#requests.take(tenant, 1)) full = `${this.#requests.taken} requests wait already`;
    // The only request may be as long as the protocols allow.
    else if (this.#bytes.taken === 0) this.#bytes.add(tenant, bytes);
    else if (!this.#bytes.take(tenant, bytes)) {
      this.#requests.add(tenant, -1);
      full = `the requests that wait have ${this.#bytes.taken} bytes of inputs already`;
    }
    if (full === undefined) return;
    const seconds = retryAfter(this.#dispatcher.backlog);
    throw new InferenceError('overloaded', `Too much waits: ${full}. Try again in ${seconds} s.`, {
      retryAfter: seconds,
    });
  }

  #change(act: () => Promise<void>): Promise<void> {
    const change = this.#changes.then(act);
    // The caller gets the error; the next change only waits.
    this.#changes = change.catch(() => {});
    return change;
  }

  #ended(): void {
    this.#units.requestEnded();
    if (this.#dispatcher.requests === 0) this.#drained?.();
  }
}
