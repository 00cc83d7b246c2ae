import type { Tensor } from '../../infer/service/tensor.js';
import type { Clock } from '../../link/machine/timer.js';
import { invariant, messageOf } from '../../proto/errors.js';
import type { Definition } from '../definition/definition.js';
import { type UpgradePlan, versionOf } from '../definition/upgrade-plan.js';
import {
  type Action,
  type Checkpoint,
  type ConvertAction,
  Flow,
  type RunAction,
  type WriteAction,
} from '../flow/flow.js';
import type { Cut, FlowRecord, States, Version } from '../flow/version.js';
import { UncertainError } from '../log/checkpoint-store.js';
import type { ApplicationObserver, StepEnd } from './observer.js';
import type { StepCounts } from './status.js';
import { StepError, type StepRunner } from './step-runner.js';

/** Where a flow goes on from. */
export interface Resumed {
  readonly epoch: number;
  readonly definition: Definition;
  /** The version before this one. */
  readonly previous?: Definition;
  readonly cut: Cut;
  readonly states: States<Tensor>;
}

export interface FlowRunnerOptions {
  readonly runner: Pick<StepRunner, 'run' | 'migrate'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly observer: ApplicationObserver | undefined;
  /** Records on their way at most. */
  readonly window: number;
  /** The bytes of their values at most. A record that is longer than that goes alone. */
  readonly windowBytes: number;
  /** Gives a sink what it is to write. Each is answered once, by `wrote`. */
  write(action: WriteAction<Tensor>, definition: Definition): void;
  /** Records that were not admitted may be admitted now: there is room, or another version. */
  onRoom(): void;
  /** Nothing goes on: there is a bug, or nobody knows whether a checkpoint was stored. */
  fail(error: unknown): void;
}

/** A cut that is open. */
interface Cutting {
  readonly definition: Definition;
  readonly store: (checkpoint: Resumed) => Promise<void>;
  isStoring: boolean;
  resolve(cut: Cut): void;
  reject(error: unknown): void;
}

/** Of an upgrade: what changes, and the first offset of each source that only the new version has. */
export interface CutUpgrade {
  readonly plan: UpgradePlan;
  readonly firsts: Cut;
}

/**
 * Does what a flow says: runs its steps, converts its states, passes on what sinks are to write, and stores its
 * checkpoints. It bounds the records that are on their way. It knows neither where records come from, nor where sinks are.
 */
export class FlowRunner {
  readonly #options: FlowRunnerOptions;
  readonly #flow: Flow<Tensor>;
  /** The version that is committed. */
  #definition: Definition;
  #previous: Definition | undefined;
  /** By the id of their version. Two while the cut of an upgrade is open. */
  readonly #definitions = new Map<string, Definition>();
  #cutting: Cutting | undefined;
  /** Of the values of records on their way. */
  #passingBytes = 0;
  #passed = 0;
  readonly #steps = new Map<string, StepCounts>();
  #isClosed = false;

  constructor(options: FlowRunnerOptions, from: Resumed) {
    this.#options = options;
    const { definition, previous } = from;
    this.#definition = definition;
    this.#previous = previous;
    this.#definitions.set(definition.id, definition);
    this.#flow = new Flow({ ...from, version: versionOf(definition) });
  }

  /** The version that is committed. */
  get definition(): Definition {
    return this.#definition;
  }

  /** The version before the one that is committed. */
  get previous(): Definition | undefined {
    return this.#previous;
  }

  get epoch(): number {
    return this.#flow.epoch;
  }

  /** Records that are on their way. */
  get passing(): number {
    return this.#flow.passing;
  }

  /** Records that have passed through. */
  get passed(): number {
    return this.#passed;
  }

  /** By the uid of a step, its work. */
  get steps(): ReadonlyMap<string, StepCounts> {
    return this.#steps;
  }

  /** The first offset of a source that can be admitted next. */
  next(source: string): number {
    return this.#flow.next(source);
  }

  /**
   * A record begins its way. False where there is no room for it, or where its source is not of the version that records
   * pass through now; `onRoom` tells when to try again.
   */
  admit(record: FlowRecord<Tensor>, traceparent: string | undefined): boolean {
    if (!this.#hasRoom || !this.#flow.version.sources.includes(record.source)) return false;
    this.#options.observer?.admitted(record, traceparent);
    this.#passingBytes += bytesOf(record);
    this.#flow.admit(record);
    this.#go();
    return true;
  }

  /** A sink has the outputs of this action. */
  wrote(action: WriteAction<Tensor>): void {
    this.#flow.wrote(action);
    this.#go();
  }

  /**
   * Cuts, and stores the states at the cut once the records before it have passed through. Resolves with the cut when
   * that is done, and the version is committed. If it rejects, the version before goes on alone. One cut at a time.
   *
   * @param store rejects where nothing was stored. It is told what a process goes on with that begins here.
   */
  cut(
    definition: Definition,
    store: (checkpoint: Resumed) => Promise<void>,
    upgrade?: CutUpgrade,
  ): Promise<Cut> {
    if (this.#isClosed) return Promise.reject(CLOSED);
    return new Promise((resolve, reject) => {
      this.#definitions.set(definition.id, definition);
      this.#cutting = { definition, store, isStoring: false, resolve, reject };
      this.#flow.cut(upgrade && versionOf(definition, upgrade.plan), upgrade?.firsts);
      this.#options.onRoom();
      this.#go();
    });
  }

  /** Gives up the cut that is open, if it is not on its way to the disk yet. Its promise rejects with the reason. */
  abandon(reason: unknown): void {
    const cutting = this.#cutting;
    if (!cutting || cutting.isStoring || this.#isClosed) return;
    this.#cutting = undefined;
    this.#flow.abandon();
    this.#forget(cutting.definition, this.#definition);
    // Those of sources that only the new version has are gone.
    this.#passingBytes = [...this.#flow.records()].reduce((sum, record) => sum + bytesOf(record), 0);
    this.#go();
    cutting.reject(reason);
  }

  /** Begins nothing more. A step that runs may end, and its result is dropped. */
  close(): void {
    this.#isClosed = true;
    this.#cutting?.reject(CLOSED);
    this.#cutting = undefined;
  }

  /** Does what the flow says, and stores its checkpoint once it is whole. */
  #go(): void {
    if (this.#isClosed) return;
    const cutting = this.#cutting;
    const checkpoint = cutting?.isStoring === false ? this.#flow.checkpoint() : undefined;
    for (const action of this.#flow.take()) this.#act(action);
    for (const record of this.#flow.takePassed()) {
      this.#passed += 1;
      this.#passingBytes -= bytesOf(record);
      this.#options.observer?.passed(record, this.#definition);
    }
    // `#store` does not reject.
    if (cutting && checkpoint) void this.#store(cutting, checkpoint);
    if (this.#hasRoom) this.#options.onRoom();
  }

  async #store(cutting: Cutting, { epoch, cut, states }: Checkpoint<Tensor>): Promise<void> {
    cutting.isStoring = true;
    const { definition } = cutting;
    const before = this.#definition;
    const previous = definition === before ? this.#previous : before;
    try {
      await cutting.store({ epoch, definition, ...(previous && { previous }), cut, states });
    } catch (error) {
      // The next start will know which version runs.
      if (error instanceof UncertainError) this.#options.fail(error);
      else {
        cutting.isStoring = false;
        this.abandon(error);
      }
      return;
    }
    if (this.#isClosed) return;
    this.#cutting = undefined;
    this.#definition = definition;
    this.#previous = previous;
    this.#flow.commit();
    this.#forget(before, definition);
    this.#go();
    cutting.resolve(cut);
  }

  /** A version may have the id of the one that stays, and begin with other states. */
  #forget(gone: Definition, stays: Definition): void {
    this.#definitions.delete(gone.id);
    this.#definitions.set(stays.id, stays);
  }

  #act(action: Action<Tensor>): void {
    if (action.kind === 'write') this.#options.write(action, this.#definitionOf(action.version));
    // Neither rejects.
    else if (action.kind === 'run') void this.#run(action);
    else void this.#convert(action);
  }

  async #run(action: RunAction<Tensor>): Promise<void> {
    const { version, step, record, inputs, state } = action;
    const counts = this.#countsOf(step.uid);
    const { clock, runner, observer } = this.#options;
    const start = clock.now();
    let ended: ((end: StepEnd) => void) | undefined;
    counts.running += 1;
    try {
      const definition = this.#definitionOf(version);
      ended = observer?.began(record, step.uid, definition);
      const result = await runner.run({ definition, uid: step.uid, inputs, state });
      ended?.({ spans: result.spans ?? [] });
      if (this.#isClosed) return;
      counts.records += 1;
      counts.ms += clock.now() - start;
      this.#flow.ran(action, result.outputs, result.state);
    } catch (error) {
      ended?.({ spans: [], error: messageOf(error) });
      if (!(error instanceof StepError)) {
        // The version may be gone already: then nobody waits for this.
        if (this.#definitions.has(version.id)) this.#options.fail(error);
        return;
      }
      counts.failed += 1;
      this.#flow.failed(action, error.message);
    } finally {
      counts.running -= 1;
    }
    this.#go();
  }

  async #convert(action: ConvertAction<Tensor>): Promise<void> {
    const { version, step, key, state } = action;
    try {
      const converted = await this.#options.runner.migrate(this.#definitionOf(version), step.uid, state);
      this.#flow.converted(action, converted);
      this.#go();
    } catch (error) {
      this.abandon(
        new Error(
          `the state of step "${step.uid}" for key "${key}" cannot be converted: ${messageOf(error)}`,
        ),
      );
    }
  }

  get #hasRoom(): boolean {
    const { window, windowBytes } = this.#options;
    return this.#flow.passing < window && this.#passingBytes < windowBytes;
  }

  #definitionOf({ id }: Version): Definition {
    const definition = this.#definitions.get(id);
    invariant(definition, `version ${id} does not run`);
    return definition;
  }

  #countsOf(uid: string): StepCounts {
    let counts = this.#steps.get(uid);
    if (!counts) {
      counts = { records: 0, failed: 0, ms: 0, running: 0 };
      this.#steps.set(uid, counts);
    }
    return counts;
  }
}

const CLOSED = new Error('the application was closed');

function bytesOf({ values }: Pick<FlowRecord<Tensor>, 'values'>): number {
  const lengths = Object.values(values).flatMap(({ data }) =>
    data instanceof Uint8Array ? [data.length] : data.map(({ length }) => length),
  );
  return lengths.reduce((sum, length) => sum + length, 0);
}
