import type { Tensor } from '../../infer/service/tensor.js';
import type { Clock } from '../../link/machine/timer.js';
import type { Definition } from '../definition/definition.js';
import { type Change, planUpgrade, type UpgradePlan, type UpgradeWords } from '../definition/upgrade-plan.js';
import type { FlowRecord } from '../flow/version.js';
import type { CheckpointStore } from '../log/checkpoint-store.js';
import type { NewRecord } from '../log/record-log.js';
import { type CutUpgrade, FlowRunner, type Resumed } from './flow-runner.js';
import { Inlet, type InletOptions, type Receiver } from './inlet.js';
import { type ApplicationObserver, observedUpgrade } from './observer.js';
import { OpenSinks, type OpenSinksOptions } from './open-sinks.js';
import { RegularCheckpoints } from './regular-checkpoints.js';
import { Replays } from './replays.js';
import { Serial } from './serial.js';
import type { ApplicationStatus, Upgrading } from './status.js';
import type { StepRunner } from './step-runner.js';

/** A checkpoint, as it is stored. */
export interface StoredCheckpoint extends Resumed {
  /** How far each source had read, by key, at the cut. */
  readonly positions: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  /** Where each sink stood when the cut was made: every output of a record after the cut comes after it. */
  readonly marks: ReadonlyMap<string, unknown>;
}

export interface ApplicationOptions extends InletOptions, Pick<OpenSinksOptions, 'openSink'> {
  readonly checkpoints: Pick<CheckpointStore<StoredCheckpoint>, 'latest' | 'store'>;
  readonly runner: StepRunner;
  /** Checks a source before an upgrade that brings it is committed. @throws Error that says why it cannot start (rejects) */
  checkSource?(name: string, definition: Definition): Promise<void>;
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

/**
 * A stream application: it joins sources, a flow and sinks, goes on from its last checkpoint, and is upgraded while it
 * runs. This file has the order in which these begin, change and end. See `Flow` for how a record passes through, and
 * docs/streams.md for what is guaranteed.
 */
export class Application {
  readonly #options: ApplicationOptions & typeof DEFAULTS;
  readonly #flow: FlowRunner;
  readonly #inlets = new Map<string, Inlet>();
  readonly #sinks: OpenSinks;
  readonly #replays: Replays;
  readonly #receiver: Receiver;
  readonly #regular: RegularCheckpoints;
  #upgrading: Upgrading | undefined;
  /** Cuts follow each other. */
  readonly #changes = new Serial();
  /** Whether a record was admitted since the last cut. */
  #hasNew = false;
  #isClosed = false;
  #reject!: (error: unknown) => void;
  /** Rejects when the application cannot go on: the log or a sink is broken, or there is a bug. */
  readonly failed = new Promise<never>((_, reject) => {
    this.#reject = reject;
  });

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
    const { runner, clock, observer, window, windowBytes, checkpointEvery, log } = this.#options;
    const fail = this.#fail;
    this.#replays = new Replays(checkpoint.marks);
    this.#sinks = new OpenSinks({
      openSink: (name, definition, mark) => options.openSink(name, definition, mark),
      wrote: (action, outputs) => {
        observer?.wrote(action.record, action.sink, outputs, this.definition);
        this.#flow.wrote(action);
      },
      fail,
    });
    this.#flow = new FlowRunner(
      {
        ...{ runner, clock, observer, window, windowBytes, fail },
        write: (action, definition) => this.#sinks.write(action, definition),
        onRoom: () => {
          for (const inlet of this.#inlets.values()) inlet.wake();
        },
      },
      checkpoint,
    );
    this.#receiver = {
      logged: (source, offset) => observer?.logged(source, offset),
      admit: (record, traceparent) => this.#admit(record, traceparent),
      next: (source) => this.#flow.next(source),
      fail,
    };
    this.#regular = new RegularCheckpoints({
      ...{ clock, log, everyMs: checkpointEvery },
      store: async () => {
        if (this.#hasNew) await this.checkpoint();
      },
    });
    // The one who runs the application waits for this later. Until then it must not count as unhandled.
    this.failed.catch(() => {});
  }

  /** The version that is committed. */
  get definition(): Definition {
    return this.#flow.definition;
  }

  /** The version before the one that is committed. */
  get previous(): Definition | undefined {
    return this.#flow.previous;
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
    const inlet = this.#inlets.get(source);
    if (!inlet || this.#isClosed) throw new Error(`source ${source} takes no records`);
    return inlet.ingest(record);
  }

  /** By source, the offset of the record that it takes next. */
  next(): ReadonlyMap<string, number> {
    return new Map([...this.#inlets.keys()].map((source) => [source, this.#flow.next(source)]));
  }

  /** Records of a source that were logged and that have not begun. */
  backlog(source: string): number {
    return this.#inlets.get(source)?.backlog ?? 0;
  }

  status(): ApplicationStatus {
    const { name, id } = this.definition;
    const { epoch, passing, passed, steps } = this.#flow;
    return {
      name,
      version: id,
      epoch,
      passing,
      passed,
      isUpgrading: this.#upgrading !== undefined,
      sources: [...this.#inlets.values()].map(({ status }) => status),
      steps: [...steps].map(([uid, counts]) => ({ uid, ...counts })),
      sinks: this.#sinks.counts(this.definition),
    };
  }

  /** Stores a checkpoint of now. @throws Error where it cannot be stored; the application goes on (rejects) */
  checkpoint(): Promise<void> {
    return this.#changes.run(() => this.#cut(this.definition));
  }

  /** The changes that an upgrade would make now. */
  plan(definition: Definition, words: UpgradeWords = {}): UpgradePlan {
    return planUpgrade(this.definition, definition, words);
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
        const change = { from: this.definition.id, to: definition.id, plan };
        await observedUpgrade(observer, clock, change, async () => {
          await this.#upgrade(upgrading, signal, mayCut);
          return this.epoch;
        });
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
    this.#regular.stop();
    this.#flow.close();
    this.#replays.stopWaiting();
    const inlets = [...this.#inlets.values()];
    await Promise.all(inlets.map((inlet) => inlet.stop()));
    await this.#sinks.close();
    await Promise.all(inlets.map((inlet) => inlet.close()));
  }

  async #start(checkpoint: StoredCheckpoint, isFirst: boolean): Promise<void> {
    const { definition, cut, marks, positions } = checkpoint;
    for (const source of Object.keys(definition.sources)) {
      const from = cut.get(source) ?? 0;
      await this.#openInlet({
        name: source,
        from,
        positions: positions.get(source) ?? new Map(),
        isNew: false,
      });
    }
    await this.#sinks.open(definition, marks);
    for (const [source, { first, end }] of this.#inlets) this.#replays.begin(source, first, end, this.#sinks);
    // After a kill, these marks tell the outputs of this application from older contents of the sinks.
    if (isFirst) await this.#options.checkpoints.store({ ...checkpoint, marks: this.#sinks.marks() });
    for (const inlet of this.#inlets.values()) inlet.wake();
    for (const inlet of this.#inlets.values()) await inlet.start(definition);
    this.#regular.start();
  }

  async #upgrade(
    upgrading: Upgrading,
    signal: AbortSignal | undefined,
    mayCut: (() => Promise<void>) | undefined,
  ): Promise<void> {
    const { runner, log } = this.#options;
    const { definition, plan } = upgrading;
    const before = this.definition;
    signal?.throwIfAborted();
    const added = named(plan.sources, 'added');
    const changed = named(plan.sources, 'changed');
    try {
      await runner.prepare(definition);
      for (const source of [...added, ...changed]) await this.#options.checkSource?.(source, definition);
      await this.#sinks.open(definition);
      const firsts = new Map<string, number>();
      for (const name of added) {
        // A source that was here before, and was dropped, may have left records.
        const from = this.#flow.next(name);
        const { first } = await this.#openInlet({ name, from, positions: new Map(), isNew: true });
        firsts.set(name, first);
      }
      await this.#cutTo(upgrading, firsts, signal, mayCut);
    } catch (error) {
      await this.#dropAllBut(before);
      await runner.release(definition);
      throw error;
    }
    log(`version ${definition.id} runs since epoch ${this.epoch}`);
    await this.#dropAllBut(definition);
    for (const source of changed) await this.#inlets.get(source)?.become(definition);
    for (const source of added) await this.#inlets.get(source)?.start(definition);
    await runner.release(before);
  }

  /** The steps of the next version are ready, and its sources and sinks are open: what is left is the cut. */
  async #cutTo(
    upgrading: Upgrading,
    firsts: CutUpgrade['firsts'],
    signal: AbortSignal | undefined,
    mayCut: (() => Promise<void>) | undefined,
  ): Promise<void> {
    const stop = () => {
      this.#flow.abandon(signal?.reason);
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
      await this.#cut(upgrading.definition, { plan: upgrading.plan, firsts });
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Cuts, and resolves when the checkpoint is stored. @throws Error where it is not (rejects) */
  async #cut(definition: Definition, upgrade?: CutUpgrade): Promise<void> {
    // Both are those of the moment of the cut, though they are stored later.
    const positions = new Map([...this.#inlets].map(([source, inlet]) => [source, inlet.positions]));
    const marks = this.#replays.marksOf(this.#sinks.marks());
    this.#hasNew = false;
    const store = (checkpoint: Resumed) =>
      this.#options.checkpoints.store({ ...checkpoint, positions, marks });
    const cut = await this.#flow.cut(definition, store, upgrade);
    for (const [source, inlet] of this.#inlets) inlet.trim(cut.get(source) ?? 0).catch(this.#fail);
  }

  #admit(record: FlowRecord<Tensor>, traceparent: string | undefined): boolean {
    if (!this.#flow.admit(record, traceparent)) return false;
    this.#hasNew = true;
    this.#replays.admitted(record.source, record.offset);
    return true;
  }

  async #openInlet(which: Parameters<typeof Inlet.open>[0]): Promise<Inlet> {
    const inlet = await Inlet.open(which, this.#options, this.#receiver);
    this.#inlets.set(which.name, inlet);
    return inlet;
  }

  /** Ends the sources and sinks that this version does not have. */
  async #dropAllBut(definition: Definition): Promise<void> {
    for (const [source, inlet] of this.#inlets) {
      if (Object.hasOwn(definition.sources, source)) continue;
      await inlet.delete();
      this.#inlets.delete(source);
    }
    await this.#sinks.closeAllBut(definition);
  }

  readonly #fail = (error: unknown): void => {
    if (this.#isClosed) return;
    this.#reject(error);
    void this.close();
  };
}

function named(changes: readonly Change[], change: Change['change']): string[] {
  return changes.filter((each) => each.change === change).map(({ name }) => name);
}
