import { realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Engine } from '../../infer/engine/engine.js';
import type { EngineHost } from '../../infer/engine/hosts.js';
import { LaneLostError, RunError } from '../../infer/lanes/lane.js';
import { hashFile, LearnedStore } from '../../infer/learned/learned-store.js';
import type { RequestSpan } from '../../infer/service/request-span.js';
import { InferenceError } from '../../infer/service/service.js';
import type { Tensor } from '../../infer/service/tensor.js';
import { makeFolder } from '../../link/files/make-folder.js';
import { setTimeout } from '../../link/machine/clock.js';
import { messageOf } from '../../proto/errors.js';
import type { Definition, ModelRun, StepDefinition } from '../definition/definition.js';
import type { State } from '../flow/version.js';
import { FunctionPool } from './function-pool.js';
import { StepError, type StepRun, type StepRunner } from './step-runner.js';

export interface LaneRunnerOptions {
  /** A folder of its own, for links to the models that run. */
  readonly folder: string;
  /** GPU hosts. They are asked for with the first version that has a model. */
  hosts(): Promise<OpenHosts>;
  log(message: string): void;
}

/** GPU hosts for an engine. */
export interface OpenHosts {
  readonly hosts: readonly EngineHost[];
  readonly adapter: string;
  /** From now on hosts come and go with the work of this engine. */
  follow?(engine: Engine): void;
}

/** Milliseconds until a step is tried again whose hosts are lost: it doubles up to the second one. */
const RETRY_MS = [100, 5000] as const;

interface Running {
  readonly steps: ReadonlyMap<string, RunningStep>;
}

interface RunningStep {
  readonly definition: StepDefinition;
  /** The outputs that somebody takes. */
  readonly outputs: readonly string[];
}

/** Runs the models of steps on an inference engine, in batches over all keys, and their functions in threads. */
export class LaneRunner implements StepRunner {
  readonly #options: LaneRunnerOptions;
  readonly #versions = new Map<string, Running>();
  readonly #functions = { cpu: new FunctionPool('cpu'), network: new FunctionPool('network') };
  #engine: Promise<Engine> | undefined;
  /** Models that are loaded, each with the hash of its file, and how many versions of the application need it. */
  readonly #models = new Map<string, { readonly hash: string; readonly users: number }>();
  /** By uid of a step that is a model, the inputs of its last run. */
  readonly #lastInputs = new Map<string, Readonly<Record<string, Tensor>>>();
  #isClosed = false;

  constructor(options: LaneRunnerOptions) {
    this.#options = options;
    rmSync(options.folder, { recursive: true, force: true });
    makeFolder(options.folder, 0o700);
  }

  async prepare(definition: Definition): Promise<void> {
    const models = modelsOf(definition);
    const steps = new Map(
      definition.steps.map((step) => {
        return [step.uid, { definition: step, outputs: outputsOf(step, definition) }] as const;
      }),
    );
    const taken: ModelRun[] = [];
    try {
      for (const { migrate, runs } of definition.steps) {
        if (migrate) await this.#functions.cpu.check(migrate);
        if (runs.kind === 'function') await this.#functions[runs.resource].check(runs.function);
      }
      const loaded = new Set<string>();
      for (const model of models) {
        taken.push(model);
        if (await this.#load(model)) loaded.add(nameOf(model));
      }
      for (const step of steps.values()) {
        const { runs } = step.definition;
        if (runs.kind === 'model' && loaded.has(nameOf(runs))) await this.#rehearse(step);
      }
    } catch (error) {
      for (const model of taken) await this.#unload(model);
      throw error;
    }
    this.#versions.set(definition.id, { steps });
  }

  async release(definition: Definition): Promise<void> {
    if (!this.#versions.delete(definition.id)) return;
    for (const uid of this.#lastInputs.keys())
      if (![...this.#versions.values()].some(({ steps }) => steps.has(uid))) this.#lastInputs.delete(uid);
    for (const model of modelsOf(definition)) await this.#unload(model);
  }

  async run({ definition, uid, inputs, state }: StepRun) {
    const step = this.#versions.get(definition.id)?.steps.get(uid);
    if (!step) throw new Error(`step ${uid} of version ${definition.id} is not prepared`);
    const { state: declared, constants } = step.definition;
    const initial = Object.entries(declared).map(
      ([name, { initial }]) => [name, { name, ...initial }] as const,
    );
    const given = { ...inputs, ...constants, ...(state ?? Object.fromEntries(initial)) };
    if (step.definition.runs.kind === 'model') this.#lastInputs.set(uid, given);
    const spans: RequestSpan[] = [];
    const outputs = await this.#try(step, given, (span) => spans.push(span));
    const next = Object.entries(declared).map(([name, { next }]) => [name, outputs[next] as Tensor] as const);
    return { outputs, state: next.length > 0 ? Object.fromEntries(next) : undefined, spans };
  }

  async migrate(definition: Definition, uid: string, state: State<Tensor>): Promise<State<Tensor>> {
    const step = this.#versions.get(definition.id)?.steps.get(uid);
    const migrate = step?.definition.migrate;
    if (!step || !migrate) throw new Error(`step ${uid} converts no state`);
    return this.#functions.cpu.run(migrate, state, Object.keys(step.definition.state));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    // An engine that could not be had is no engine to close; the error went to the version that asked for it.
    const engine = await this.#engine?.catch(() => undefined);
    await engine?.close();
    await Promise.all(Object.values(this.#functions).map((pool) => pool.close()));
  }

  /** Runs a step, again and again while hosts are lost. @throws StepError where the record is at fault (rejects) */
  async #try(
    step: RunningStep,
    inputs: Readonly<Record<string, Tensor>>,
    onSpan: (span: RequestSpan) => void,
  ) {
    let [wait] = RETRY_MS;
    for (;;) {
      try {
        return await this.#once(step, inputs, onSpan);
      } catch (error) {
        if (isOfRecord(error)) throw new StepError(messageOf(error), { cause: error });
        if (this.#isClosed || !isPassing(error)) throw error;
        this.#options.log(`step ${step.definition.name} is tried again: ${messageOf(error)}`);
        await new Promise((resolve) => setTimeout(resolve, wait).unref());
        wait = Math.min(2 * wait, RETRY_MS[1]) as typeof wait;
      }
    }
  }

  async #once(
    { definition, outputs }: RunningStep,
    inputs: Readonly<Record<string, Tensor>>,
    onSpan: (span: RequestSpan) => void,
  ) {
    const { runs } = definition;
    if (runs.kind === 'function') return this.#functions[runs.resource].run(runs.function, inputs, outputs);
    const engine = await (this.#engine as Promise<Engine>);
    // A value may go to several steps, and the engine owns the ones that it gets.
    const tensors = Object.entries(inputs).map(([name, tensor]) => copied(name, tensor));
    const result = await engine.infer({ model: nameOf(runs), inputs: tensors, outputs, onSpan });
    return Object.fromEntries(result.outputs.map((tensor) => [tensor.name, tensor]));
  }

  /**
   * Runs a model that was just loaded with the inputs that the step had last: the GPU compiles what such inputs need, before
   * records wait for it.
   */
  async #rehearse(step: RunningStep): Promise<void> {
    const { uid, constants, state, inputs, name } = step.definition;
    const last = this.#lastInputs.get(uid);
    if (!last) return;
    const names = [...Object.keys(inputs), ...Object.keys(state)];
    if (names.some((each) => last[each] === undefined)) return;
    const given = Object.fromEntries(names.map((each) => [each, last[each] as Tensor]));
    try {
      await this.#once(step, { ...given, ...constants }, () => {});
    } catch (error) {
      // The records will tell: another one may go well.
      this.#options.log(`step ${name} could not be tried with its last inputs: ${messageOf(error)}`);
    }
  }

  /** Whether it was not loaded yet. */
  async #load(run: ModelRun): Promise<boolean> {
    const name = nameOf(run);
    const { hash: loaded, users } = this.#models.get(name) ?? { hash: run.hash, users: 0 };
    this.#models.set(name, { hash: loaded, users: users + 1 });
    if (loaded !== run.hash)
      throw new Error(
        `${run.file} was changed in place while it runs: put it back, and add the new model as another version`,
      );
    if (users > 0) return false;
    const hash = await hashFile(run.file);
    if (hash !== run.hash)
      throw new Error(
        `${run.file} is not the model any more that the application runs: put it back, or upgrade`,
      );
    const folder = join(this.#options.folder, name, '1');
    makeFolder(folder);
    // Files of weights beside the model are found by its name: so the link is to its folder.
    rmSync(folder, { recursive: true, force: true });
    symlinkSync(realpathSync(join(run.file, '..')), folder);
    if (run.maxBatch !== undefined)
      writeFileSync(join(this.#options.folder, name, 'config.yaml'), `maxBatch: ${run.maxBatch}\n`);
    const engine = await this.#opened();
    await engine.loaded;
    const ready = engine.index().some((entry) => entry.name === name && entry.state === 'READY');
    if (!ready) await engine.load(name);
    return true;
  }

  async #unload(run: ModelRun): Promise<void> {
    const name = nameOf(run);
    const model = this.#models.get(name);
    if (model && model.users > 1) {
      this.#models.set(name, { ...model, users: model.users - 1 });
      return;
    }
    this.#models.delete(name);
    rmSync(join(this.#options.folder, name), { recursive: true, force: true });
    const engine = await this.#engine?.catch(() => undefined);
    if (engine?.index().some((entry) => entry.name === name)) await engine.unload(name);
  }

  /** Where no host can be reached now, the next version, or the next try, asks again. */
  #opened(): Promise<Engine> {
    if (this.#engine) return this.#engine;
    const opening = this.#open();
    this.#engine = opening;
    opening.catch(() => {
      this.#engine = undefined;
    });
    return opening;
  }

  async #open(): Promise<Engine> {
    const { folder, hosts: open, log } = this.#options;
    const { hosts, adapter, follow } = await open();
    const engine = new Engine({ folder, hosts, store: new LearnedStore(adapter), log });
    follow?.(engine);
    return engine;
  }
}

/** A model of a version is a model of its own for the engine, so that another version comes and goes beside it. */
function nameOf({ model, version }: ModelRun): string {
  return `${model}.${version}`;
}

function modelsOf({ steps }: Definition): ModelRun[] {
  const runs = steps.flatMap(({ runs }) => (runs.kind === 'model' ? [runs] : []));
  return [...new Map(runs.map((run) => [nameOf(run), run])).values()];
}

/** The outputs of a step that steps, sinks or its own state take. */
function outputsOf({ name, state }: StepDefinition, { steps, sinks }: Definition): string[] {
  const references = [
    ...steps.flatMap((step) => Object.values(step.inputs)),
    ...Object.values(sinks).flatMap(({ values, each, key }) => [
      ...Object.values(values),
      ...[each, key].flatMap((reference) => reference ?? []),
    ]),
  ];
  const taken = references.filter((reference) => reference.startsWith(`${name}.`));
  const outputs = taken.map((reference) => reference.slice(name.length + 1));
  return [...new Set([...outputs, ...Object.values(state).map(({ next }) => next)])];
}

function copied(name: string, { data, ...rest }: Tensor): Tensor {
  return {
    ...rest,
    name,
    data: data instanceof Uint8Array ? new Uint8Array(data) : data.map((each) => new Uint8Array(each)),
  };
}

/** Whether the same record would fail again. */
function isOfRecord(error: unknown): boolean {
  if (error instanceof InferenceError) return error.code === 'invalid' || error.code === 'too-large';
  return error instanceof RunError;
}

/** Whether it may go well at another time: hosts are lost, or too much waits. */
function isPassing(error: unknown): boolean {
  if (error instanceof LaneLostError) return true;
  return (
    error instanceof InferenceError &&
    ['unavailable', 'overloaded', 'internal', 'expired'].includes(error.code)
  );
}
