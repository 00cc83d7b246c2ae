import {
  type IndexEntry,
  InferenceError,
  type ModelConfiguration,
  type ModelMetadata,
  type ModelStatistics,
} from '../service/service.js';
import type { Plan } from './request/plan.js';
import { Statistics } from './request/statistics.js';
import type { Unit } from './request/unit.js';

/** A version of a model or of a graph. */
export interface Version {
  readonly version: string;
  state: IndexEntry['state'];
  reason: string | undefined;
  /** Answers requests. While another plan is being loaded, this is the earlier one. */
  plan: Plan | undefined;
  /** The units that no other plan runs: a model's own, or the functions of a graph. */
  units: readonly Unit[];
  /** Of a graph; a model's unit has its own. */
  readonly statistics: Statistics;
}

/** A model or a graph of the folder. */
export interface Entry {
  readonly name: string;
  isGraph: boolean;
  /** In ascending order. */
  readonly versions: Map<string, Version>;
}

/** The models and graphs of the folder, their states, and the answers to questions about them. */
export class Catalog {
  readonly #entries = new Map<string, Entry>();

  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  entry(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** The entry of a name, made where there is none. */
  add(name: string, isGraph: boolean): Entry {
    const entry = this.#entries.get(name) ?? { name, isGraph, versions: new Map() };
    this.#entries.set(name, entry);
    entry.isGraph = isGraph;
    return entry;
  }

  /** A version of an entry, made where there is none. */
  version({ versions }: Entry, version: string): Version {
    let found = versions.get(version);
    if (!found) {
      found = {
        version,
        state: 'UNAVAILABLE',
        reason: undefined,
        plan: undefined,
        units: [],
        statistics: new Statistics(),
      };
      versions.set(version, found);
      const sorted = [...versions].sort(([a], [b]) => Number(a) - Number(b));
      versions.clear();
      for (const [name, each] of sorted) versions.set(name, each);
    }
    return found;
  }

  /** Each model and graph that is to be served can answer: one that is being replaced does. */
  get isReady(): boolean {
    return [...this.#entries.values()].every(({ versions }) =>
      [...versions.values()].every(({ plan, reason }) => plan !== undefined || reason === UNLOADED),
    );
  }

  index(): IndexEntry[] {
    return [...this.#entries.values()].flatMap(({ name, versions }) =>
      [...versions.values()].map(({ version, state, reason }) => ({
        name,
        version,
        state,
        ...(reason !== undefined && state !== 'READY' && { reason }),
      })),
    );
  }

  /**
   * The plan that answers to a name. If no version is named, it is the latest one that can answer.
   * @throws InferenceError not-found, unavailable
   */
  find(name: string, version?: string): { entry: Entry; version: Version; plan: Plan } {
    const entry = this.#entries.get(name);
    if (!entry) throw new InferenceError('not-found', `There is no model or graph "${name}".`);
    const all = [...entry.versions.values()];
    const wanted = version === undefined || version === '' ? undefined : version;
    const found =
      wanted === undefined
        ? (all.findLast(({ plan }) => plan) ?? all.at(-1))
        : all.find((each) => each.version === wanted);
    if (!found) {
      const versions = all.map((each) => each.version).join(', ');
      throw new InferenceError(
        'not-found',
        `"${name}" has no version ${wanted}; it has ${versions || 'none'}.`,
      );
    }
    const { plan, state, reason } = found;
    if (!plan) {
      const why = reason ?? (state === 'LOADING' ? 'it is being loaded.' : 'it is not loaded.');
      throw new InferenceError('unavailable', `"${name}" version ${found.version} cannot answer: ${why}`);
    }
    return { entry, version: found, plan };
  }

  metadata(name: string, version?: string): ModelMetadata {
    const { entry, plan } = this.find(name, version);
    const declared = ({ name, datatype, shape }: Plan['outputs'][number] | Plan['inputs'][number]) => ({
      name,
      datatype,
      shape,
    });
    return {
      name,
      versions: [...entry.versions.values()].filter((each) => each.plan).map((each) => each.version),
      platform: entry.isGraph ? 'farlight_graph' : 'onnxruntime_onnx',
      inputs: plan.inputs.map(declared),
      outputs: plan.outputs.map(declared),
    };
  }

  configuration(name: string, version?: string): ModelConfiguration {
    const { plan } = this.find(name, version);
    const labels = new Map(
      plan.outputs.flatMap(({ name, from }) => {
        const names = plan.steps[from.step]?.unit.labels.get(from.name);
        return names ? [[name, names] as const] : [];
      }),
    );
    return { ...this.metadata(name, version), maxBatchSize: plan.maxBatch, labels };
  }

  statistics(name?: string, version?: string): ModelStatistics[] {
    const of = (entry: Entry, { version, plan, statistics }: Version): ModelStatistics[] => {
      const [unit] = plan?.steps.map((step) => step.unit) ?? [];
      if (!plan || !unit) return [];
      return [(entry.isGraph ? statistics : unit.statistics).report(entry.name, version)];
    };
    if (name === undefined || name === '') {
      return [...this.#entries.values()].flatMap((entry) =>
        [...entry.versions.values()].flatMap((each) => of(entry, each)),
      );
    }
    if (version !== undefined && version !== '') {
      const found = this.find(name, version);
      return of(found.entry, found.version);
    }
    const { entry } = this.find(name);
    return [...entry.versions.values()].flatMap((each) => of(entry, each));
  }
}

export const UNLOADED = 'It was unloaded.';
