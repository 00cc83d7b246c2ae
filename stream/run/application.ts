import type { Tensor } from '../../infer/service/tensor.js';
import type { Clock } from '../../link/machine/timer.js';
import { invariant, messageOf } from '../../proto/errors.js';
import type { Definition } from '../definition/definition.js';
import {
  type Change,
  planUpgrade,
  type UpgradePlan,
  type UpgradeWords,
  versionOf,
} from '../definition/upgrade-plan.js';
import {
  type Action,
  type Checkpoint,
  type ConvertAction,
  ERRORS,
  Flow,
  type RunAction,
  type WriteAction,
} from '../flow/flow.js';
import type { FlowRecord, State, Version } from '../flow/version.js';
import { type CheckpointStore, UncertainError } from '../log/checkpoint-store.js';
import {
  BrokenLogError,
  type LoggedRecord,
  type NewRecord,
  type SourceLog,
  UnfitRecordError,
} from '../log/record-log.js';
import type { Output, Sink } from '../sinks/sink.js';
import { type Feed, healthOf, type Source } from '../sources/source.js';
import { type ApplicationObserver, observedUpgrade, type StepEnd } from './observer.js';
import { Reader } from './reader.js';
import { Replays } from './replays.js';
import { Serial } from './serial.js';
import { SinkWriter } from './sink-writer.js';
import type { ApplicationStatus, StepCounts, Upgrading } from './status.js';
import { StepError, type StepRunner } from './step-runner.js';

/** A checkpoint, as it is stored. */
export interface StoredCheckpoint {
  readonly epoch: number;
  readonly definition: Definition;
  /** The version before this one. */
  readonly previous?: Definition;
  readonly cut: ReadonlyMap<string, number>;
  readonly states: ReadonlyMap<string, ReadonlyMap<string, State<Tensor>>>;
  /** How far each source had read, by key, at the cut. */
  readonly positions: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  /** Where each sink stood when the cut was made: every output of a record after the cut comes after it. */
  readonly marks: ReadonlyMap<string, unknown>;
}

export interface ApplicationOptions {
  readonly checkpoints: Pick<CheckpointStore<StoredCheckpoint>, 'latest' | 'store'>;
  readonly runner: StepRunner;
  /**
   * Opens the log of a source, of which no record before an offset is read any more. A log that ends before goes on there.
   * `wake` is for logs that others append to: it says that there is more.
   */
  openLog(source: string, from: number, wake: () => void): Promise<SourceLog>;
  /** Opens a sink, which may have had outputs since this mark. */
  openSink(name: string, definition: Definition, mark: unknown): Promise<Sink>;
  /** Checks a source before an upgrade that brings it is committed. @throws Error that says why it cannot start (rejects) */
  checkSource?(name: string, definition: Definition): Promise<void>;
  /**
   * Starts a source, which gives its records to `ingest` from now on. `positions` says how far it had read, by key. Left
   * out where others append to the logs.
   */
  openSource?(name: string, definition: Definition, feed: Feed): Promise<Source>;
  readonly clock: Clock;
  readonly observer?: ApplicationObserver | undefined;
  /** Records on their way at most. */
  readonly window?: number;
  /** The bytes of their values at most. A record that is longer than that goes alone. */
  readonly windowBytes?: number;
  /** Milliseconds from one checkpoint to the next, at least. */
  readonly checkpointEvery?: number;
  log(message: string): void;
}

const DEFAULTS = { window: 1000, windowBytes: 256 << 20, checkpointEvery: 10_000 };
/** Of the time, at most so much goes into checkpoints. */
const CHECKPOINT_SHARE = 0.1;

/** A cut that is open. */
interface Cutting {
  readonly definition: Definition;
  /** Both are stored with its checkpoint. */
  readonly positions: StoredCheckpoint['positions'];
  readonly marks: StoredCheckpoint['marks'];
  isStoring: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * A stream application: its sources, logs, steps and sinks. It goes on from its last checkpoint, and is upgraded while it
 * runs: see `Flow` for how, and docs/streams.md for what is guaranteed.
 */
export class Application {
  readonly #options: ApplicationOptions & typeof DEFAULTS;
  readonly #flow: Flow<Tensor>;
  /** The version that is committed. */
  #definition: Definition;
  #previous: Definition | undefined;
  /** By the id of their version. Two while an upgrade is under way. */
  readonly #definitions = new Map<string, Definition>();
  readonly #readers = new Map<string, Reader>();
  readonly #sinks = new Map<string, SinkWriter>();
  readonly #sources = new Map<string, Source>();
  /** By source and key, how far the source had read at the record that was admitted last. */
  readonly #positions = new Map<string, Map<string, unknown>>();
  readonly #replays = new Replays();
  /** Where each sink stood at the checkpoint from which this process went on. */
  #firstMarks: ReadonlyMap<string, unknown> = new Map();
  #cutting: Cutting | undefined;
  #upgrading: Upgrading | undefined;
  /** Cuts follow each other. */
  readonly #changes = new Serial();
  #hasNew = false;
  /** Of the values of records on their way. */
  #passingBytes = 0;
  #isClosed = false;
  #reject!: (error: unknown) => void;
  /** Rejects when the application cannot go on: the log or a sink is broken, or there is a bug. */
  readonly failed = new Promise<never>((_, reject) => {
    this.#reject = reject;
  });
  readonly #steps = new Map<string, StepCounts>();
  /** Records that have passed through. */
  #passed = 0;

  /**
   * Goes on from the last checkpoint, or begins with `first` where there is none.
   *
   * @throws Error that says why the version cannot run (rejects)
   */
  static async open(options: ApplicationOptions, first: () => Promise<Definition>): Promise<Application> {
    const latest = await options.checkpoints.latest();
    const none = new Map();
    const checkpoint = latest ?? {
      epoch: 0,
      definition: await first(),
      cut: none,
      states: none,
      positions: none,
      marks: none,
    };
    await options.runner.prepare(checkpoint.definition);
    const application = new Application(options, checkpoint);
    try {
      await application.#start(checkpoint, latest === undefined);
    } catch (error) {
      await application.close();
      throw error;
    }
    return application;
  }

  private constructor(options: ApplicationOptions, checkpoint: StoredCheckpoint) {
    this.#options = { ...DEFAULTS, ...options };
    const { definition, previous } = checkpoint;
    this.#definition = definition;
    this.#previous = previous;
    this.#definitions.set(definition.id, definition);
    this.#flow = new Flow({ ...checkpoint, version: versionOf(definition) });
    // The one who runs the application waits for this later. Until then it must not count as unhandled.
    this.failed.catch(() => {});
  }

  get definition(): Definition {
    return this.#definition;
  }

  /** The version before the one that is committed. */
  get previous(): Definition | undefined {
    return this.#previous;
  }

  /** The upgrade that is under way. */
  get upgrading(): Upgrading | undefined {
    return this.#upgrading;
  }

  get epoch(): number {
    return this.#flow.epoch;
  }

  /** Logs a record. Resolves with its offset once it is safe. @throws Error where it cannot be taken (rejects) */
  async ingest(source: string, record: NewRecord): Promise<number> {
    const reader = this.#readers.get(source);
    if (!reader || this.#isClosed) throw new Error(`source ${source} takes no records`);
    if (record.key.includes('\n')) throw new UnfitRecordError('a key has no line breaks');
    const offset = await reader.log.append(record).catch((error) => {
      if (error instanceof BrokenLogError) this.#fail(error);
      throw error;
    });
    this.#options.observer?.logged(source, offset);
    reader.wake();
    return offset;
  }

  /** By source, the offset of the record that it takes next. */
  next(): ReadonlyMap<string, number> {
    return new Map([...this.#readers.keys()].map((source) => [source, this.#flow.next(source)]));
  }

  /** Records of a source that were logged and that have not begun. */
  backlog(source: string): number {
    return (this.#readers.get(source)?.log.end ?? 0) - this.#flow.next(source);
  }

  status(): ApplicationStatus {
    const { name, id } = this.#definition;
    const sources = [...this.#readers].map(([source, { log }]) => {
      const health = healthOf(this.#sources.get(source));
      return { name: source, records: log.end, waiting: this.backlog(source), bytes: log.bytes, ...health };
    });
    return {
      name,
      version: id,
      epoch: this.epoch,
      passing: this.#flow.passing,
      passed: this.#passed,
      isUpgrading: this.#upgrading !== undefined,
      sources,
      steps: [...this.#steps].map(([uid, counts]) => ({ uid, ...counts })),
      sinks: [...sinksOf(this.#definition)].map(([sink, called]) => {
        return { name: called, outputs: this.#sinks.get(sink)?.written ?? 0 };
      }),
    };
  }

  /** Stores a checkpoint of now. @throws Error where it cannot be stored; the application goes on (rejects) */
  checkpoint(): Promise<void> {
    return this.#changes.run(() => this.#cut(this.#definition));
  }

  /** The changes that an upgrade would make now. */
  plan(definition: Definition, words: UpgradeWords = {}): UpgradePlan {
    return planUpgrade(this.#definition, definition, words);
  }

  /**
   * Upgrades to another version. Nothing stops: records that are admitted from some moment on pass through the new one.
   * Until the upgrade is committed no sink has anything of it, and an error leaves the old version running as if nothing
   * had been asked.
   *
   * @param mayCut called once this application is ready for the cut, which waits for it
   * @throws Error that says why it is refused, or has failed (rejects)
   */
  upgrade(
    definition: Definition,
    words: UpgradeWords = {},
    signal?: AbortSignal,
    mayCut?: () => Promise<void>,
  ): Promise<UpgradePlan> {
    return this.#changes.run(async () => {
      const plan = this.plan(definition, words);
      if (plan.refusals.length > 0) throw new Error(plan.refusals.join(' '));
      if (plan.isEmpty) return plan;
      const upgrading: Upgrading = { definition, plan, phase: 'compiling' };
      this.#upgrading = upgrading;
      const { observer, clock } = this.#options;
      try {
        await observedUpgrade(
          observer,
          clock,
          { from: this.#definition.id, to: definition.id, plan },
          async () => {
            await this.#upgrade(definition, plan, upgrading, signal, mayCut);
            return this.epoch;
          },
        );
      } finally {
        this.#upgrading = undefined;
      }
      return plan;
    });
  }

  /** Records that are on their way are computed again after the next start. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cutting?.reject(CLOSED);
    this.#cutting = undefined;
    this.#replays.stopWaiting();
    await Promise.all([...this.#sources.values()].map((source) => source.close()));
    await Promise.all([...this.#readers.values()].map((reader) => reader.close()));
    await Promise.all([...this.#sinks.values()].map(({ sink }) => sink.close()));
    await Promise.all([...this.#readers.values()].map(({ log }) => log.close()));
  }

  async #start(checkpoint: StoredCheckpoint, isFirst: boolean): Promise<void> {
    const { cut, marks, positions } = checkpoint;
    this.#firstMarks = marks;
    const { sources } = this.#definition;
    for (const [source, read] of positions) this.#positions.set(source, new Map(read));
    for (const source of Object.keys(sources)) await this.#openReader(source, cut.get(source) ?? 0, false);
    await this.#openSinks(this.#definition, marks);
    const sinks = [...this.#sinks.values()].map(({ sink }) => sink);
    for (const [source, { log }] of this.#readers)
      this.#replays.begin(source, cut.get(source) ?? 0, log.end, sinks);
    // After a kill, these marks tell the outputs of this application from older contents of the sinks.
    if (isFirst) await this.#options.checkpoints.store({ ...checkpoint, marks: this.#marks() });
    for (const reader of this.#readers.values()) reader.wake();
    for (const source of Object.keys(sources)) await this.#openSource(source, cut.get(source) ?? 0);
    this.#checkpointLater(this.#options.checkpointEvery);
  }

  async #upgrade(
    definition: Definition,
    plan: UpgradePlan,
    upgrading: Upgrading,
    signal: AbortSignal | undefined,
    mayCut: (() => Promise<void>) | undefined,
  ): Promise<void> {
    const { runner, log } = this.#options;
    const before = this.#definition;
    signal?.throwIfAborted();
    this.#definitions.set(definition.id, definition);
    const sources = named(plan.sources, 'added');
    const firsts = new Map<string, number>();
    // A sink that writes elsewhere is another one.
    const sinks = [...sinksOf(definition).keys()].filter((id) => !this.#sinks.has(id));
    try {
      await runner.prepare(definition);
      for (const source of [...sources, ...named(plan.sources, 'changed')])
        await this.#options.checkSource?.(source, definition);
      await this.#openSinks(definition, new Map(), sinks);
      // A source that was here before, and was dropped, may have left records.
      for (const source of sources)
        firsts.set(source, await this.#openReader(source, this.#flow.next(source), true));
      const stop = () => {
        this.#abandon(signal?.reason);
        this.#replays.stopWaiting();
      };
      // An abort from before is told to no listener.
      signal?.throwIfAborted();
      signal?.addEventListener('abort', stop);
      try {
        upgrading.phase = 'replaying';
        // An upgrade must not cut before records whose outputs of the old version are written.
        await this.#replays.over();
        signal?.throwIfAborted();
        upgrading.phase = 'ready';
        await mayCut?.();
        signal?.throwIfAborted();
        upgrading.phase = 'passing';
        await this.#cut(definition, plan, firsts);
      } finally {
        signal?.removeEventListener('abort', stop);
      }
    } catch (error) {
      // The same version may have been to begin with other states.
      this.#definitions.delete(definition.id);
      this.#definitions.set(before.id, before);
      await this.#drop(sources, sinks);
      await runner.release(definition);
      throw error;
    }
    if (before.id !== definition.id) this.#definitions.delete(before.id);
    log(`version ${definition.id} runs since epoch ${this.epoch}`);
    const kept = sinksOf(definition);
    await this.#drop(
      named(plan.sources, 'removed'),
      [...this.#sinks.keys()].filter((id) => !kept.has(id)),
    );
    for (const source of named(plan.sources, 'changed')) {
      const running = this.#sources.get(source);
      if (running?.become?.(definition.sources[source])) continue;
      await running?.close();
      await this.#openSource(source, this.#flow.next(source));
    }
    for (const [source, first] of firsts) await this.#openSource(source, first);
    await runner.release(before);
  }

  /** Cuts, and resolves when the checkpoint is stored. @throws Error where it is not (rejects) */
  #cut(definition: Definition, plan?: UpgradePlan, firsts?: ReadonlyMap<string, number>): Promise<void> {
    if (this.#isClosed) return Promise.reject(CLOSED);
    return new Promise((resolve, reject) => {
      const positions = new Map([...this.#positions].map(([source, read]) => [source, new Map(read)]));
      const marks = this.#marks();
      this.#cutting = { definition, positions, marks, isStoring: false, resolve, reject };
      this.#hasNew = false;
      this.#flow.cut(plan && versionOf(definition, plan), firsts);
      for (const reader of this.#readers.values()) reader.wake();
      this.#go();
    });
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
      this.#options.observer?.passed(record, this.definition);
    }
    if (cutting && checkpoint) {
      cutting.isStoring = true;
      void this.#store(cutting, checkpoint);
    }
    if (this.#hasRoom) for (const reader of this.#readers.values()) reader.wake();
  }

  async #store(cutting: Cutting, { epoch, cut, states }: Checkpoint<Tensor>): Promise<void> {
    const { definition, positions, marks } = cutting;
    const previous = definition === this.#definition ? this.#previous : this.#definition;
    const before = previous && { previous };
    try {
      await this.#options.checkpoints.store({ epoch, definition, ...before, cut, states, positions, marks });
    } catch (error) {
      // The next start will know which version runs.
      if (error instanceof UncertainError) this.#fail(error);
      else {
        cutting.isStoring = false;
        this.#abandon(error);
      }
      return;
    }
    if (this.#isClosed) return;
    this.#cutting = undefined;
    this.#definition = definition;
    this.#previous = previous;
    this.#flow.commit();
    this.#go();
    cutting.resolve();
    for (const [source, { log }] of this.#readers) log.trim(cut.get(source) ?? 0).catch(this.#fail);
  }

  /** The cut is given up, and the old version goes on. It is too late once the checkpoint is on its way to the disk. */
  #abandon(reason: unknown): void {
    const cutting = this.#cutting;
    if (!cutting || cutting.isStoring || this.#isClosed) return;
    this.#cutting = undefined;
    this.#flow.abandon();
    // Those of sources that only the new version has are gone.
    this.#passingBytes = [...this.#flow.records()].reduce((sum, record) => sum + bytesOf(record), 0);
    this.#go();
    cutting.reject(reason);
  }

  #act(action: Action<Tensor>): void {
    if (action.kind === 'write') {
      const { sink, version } = action;
      this.#sinks.get(sinkId(sink, this.#definitionOf(version)))?.write(action);
      return;
    }
    // Neither rejects.
    if (action.kind === 'run') void this.#run(action);
    else void this.#migrate(action);
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
      const {
        outputs,
        state: next,
        spans = [],
      } = await runner.run({ definition, uid: step.uid, inputs, state });
      ended?.({ spans });
      if (this.#isClosed) return;
      counts.records += 1;
      counts.ms += clock.now() - start;
      this.#flow.ran(action, outputs, next);
    } catch (error) {
      ended?.({ spans: [], error: messageOf(error) });
      if (!(error instanceof StepError)) {
        // The version may be gone already: then nobody waits for this.
        if (this.#definitions.has(version.id)) this.#fail(error);
        return;
      }
      counts.failed += 1;
      this.#flow.failed(action, error.message);
    } finally {
      counts.running -= 1;
    }
    this.#go();
  }

  async #migrate(action: ConvertAction<Tensor>): Promise<void> {
    const { version, step, key, state } = action;
    try {
      const converted = await this.#options.runner.migrate(this.#definitionOf(version), step.uid, state);
      this.#flow.converted(action, converted);
      this.#go();
    } catch (error) {
      this.#abandon(
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

  #admit(source: string, record: LoggedRecord): boolean {
    if (!this.#hasRoom) return false;
    if (!this.#flow.version.sources.includes(source)) return false;
    const { offset, key, values, position, traceparent } = record;
    this.#hasNew = true;
    if (position !== undefined) this.#positionsOf(source).set(key, position);
    const admitted = { source, offset, key, values };
    this.#options.observer?.admitted(admitted, traceparent);
    this.#passingBytes += bytesOf(admitted);
    this.#flow.admit(admitted);
    this.#replays.admitted(source, offset);
    this.#go();
    return true;
  }

  /** Reads a log from an offset on, or from its end if that is later and `isNew`. @returns where it begins */
  async #openReader(source: string, from: number, isNew: boolean): Promise<number> {
    const log = await this.#options.openLog(source, from, () => this.#readers.get(source)?.wake());
    const first = isNew ? Math.max(from, log.end) : from;
    this.#readers.set(source, new Reader(log, first, (record) => this.#admit(source, record), this.#fail));
    return first;
  }

  /** Starts a source where the last record of the log says that it stood. */
  async #openSource(source: string, from: number): Promise<void> {
    const reader = this.#readers.get(source);
    const { openSource } = this.#options;
    if (!reader || !openSource) return;
    const positions = new Map(this.#positionsOf(source));
    const cursor = reader.log.cursor(from);
    try {
      for (let record = await cursor.next(); record; record = await cursor.next())
        if (record.position !== undefined) positions.set(record.key, record.position);
    } finally {
      await cursor.close();
    }
    const feed = {
      positions,
      ingest: (record: NewRecord) => this.ingest(source, record),
      backlog: () => this.backlog(source),
    };
    this.#sources.set(source, await openSource(source, this.#definition, feed));
  }

  async #openSinks(
    definition: Definition,
    marks: ReadonlyMap<string, unknown>,
    ids: Iterable<string> = sinksOf(definition).keys(),
  ): Promise<void> {
    const names = sinksOf(definition);
    for (const id of ids) {
      const sink = await this.#options.openSink(names.get(id) as string, definition, marks.get(id));
      this.#sinks.set(
        id,
        new SinkWriter(sink, {
          wrote: (action, outputs) => this.#wrote(action, outputs),
          refused: (action, message) => this.#refused(action, message),
          fail: this.#fail,
        }),
      );
    }
  }

  /**
   * While records pass through again, outputs of later ones may lie before the places where the sinks stand: then the marks
   * are those at which this process began.
   */
  #marks(): Map<string, unknown> {
    return new Map(
      [...this.#sinks].map(([id, { sink }]) => [
        id,
        !this.#replays.isOver && this.#firstMarks.has(id) ? this.#firstMarks.get(id) : sink.mark(),
      ]),
    );
  }

  /** Ends sources and sinks that no version has any more. */
  async #drop(sources: readonly string[], sinks: readonly string[]): Promise<void> {
    for (const source of sources) {
      await this.#sources.get(source)?.close();
      this.#sources.delete(source);
      await this.#readers.get(source)?.close();
      await this.#readers.get(source)?.log.delete();
      this.#readers.delete(source);
      this.#positions.delete(source);
    }
    for (const id of sinks) {
      await this.#sinks.get(id)?.sink.close();
      this.#sinks.delete(id);
    }
  }

  #wrote(action: WriteAction<Tensor>, outputs: readonly Output[]): void {
    this.#options.observer?.wrote(action.record, action.sink, outputs, this.definition);
    this.#flow.wrote(action);
    this.#go();
  }

  /** A record of which no outputs can be made goes to the errors. */
  #refused(action: WriteAction<Tensor>, message: string): void {
    const error = { step: `sink ${action.sink}`, message };
    this.#sinks.get(ERRORS)?.write(action, { ...action, sink: ERRORS, values: {}, error });
  }

  #checkpointLater(ms: number): void {
    const { clock, checkpointEvery, log } = this.#options;
    clock.after(ms, async () => {
      if (this.#isClosed) return;
      const start = clock.now();
      let next = checkpointEvery;
      try {
        if (this.#hasNew) await this.checkpoint();
        next = Math.max(next, (clock.now() - start) / CHECKPOINT_SHARE);
      } catch (error) {
        if (!this.#isClosed) log(`no checkpoint could be stored: ${messageOf(error)}`);
      }
      this.#checkpointLater(next);
    });
  }

  readonly #fail = (error: unknown): void => {
    if (this.#isClosed) return;
    this.#reject(error);
    void this.close();
  };

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

  #positionsOf(source: string): Map<string, unknown> {
    let positions = this.#positions.get(source);
    if (!positions) {
      positions = new Map();
      this.#positions.set(source, positions);
    }
    return positions;
  }
}

const CLOSED = new Error('the application was closed');

/** The sinks of a version, by what tells them apart: the name, and where it writes to. */
function sinksOf(definition: Definition): Map<string, string> {
  const names = [...Object.keys(definition.sinks), ERRORS];
  return new Map(names.map((name) => [sinkId(name, definition), name]));
}

function sinkId(name: string, { sinks }: Definition): string {
  const sink = sinks[name];
  if (!sink) return name;
  if (sink.kind === 'nats') return `${name} nats ${sink.subject}`;
  if (sink.kind === 'page') return `${name} page`;
  return `${name} ${sink.kind === 'file' ? sink.file : sink.url}`;
}

function named(changes: readonly Change[], change: Change['change']): string[] {
  return changes.filter((each) => each.change === change).map(({ name }) => name);
}

function bytesOf({ values }: Pick<FlowRecord<Tensor>, 'values'>): number {
  const lengths = Object.values(values).flatMap(({ data }) =>
    data instanceof Uint8Array ? [data.length] : data.map(({ length }) => length),
  );
  return lengths.reduce((sum, length) => sum + length, 0);
}
