import { type Clock, settledWithin } from '../../../link/machine/timer.js';
import { invariant } from '../../../proto/errors.js';
import { type Broker, type Entry, insist } from '../../broker/broker.js';
import { Cell, valueIn } from '../../broker/cell.js';
import type { Definition } from '../../definition/definition.js';
import { planUpgrade, type UpgradePlan, type UpgradeWords } from '../../definition/upgrade-plan.js';
import type { NewRecord } from '../../log/record-log.js';
import { observedUpgrade, type UpgradeEnd } from '../../run/observer.js';
import { Serial } from '../../run/serial.js';
import type { ApplicationStatus, Upgrading } from '../../run/status.js';
import type { Target } from '../../sinks/open-sink.js';
import type { Sink } from '../../sinks/sink.js';
import type { Delivery } from '../partition-outputs.js';
import {
  APPLICATION,
  type ApplicationRecord,
  OUTPUTS,
  type PartitionRecord,
  partitionKey,
  recordsOf,
  type WorkerRecord,
  withoutOpen,
} from '../records.js';
import type { Versions } from '../versions.js';
import { ApplicationState } from './application-state.js';
import { commitUpgrade, MovedError } from './commit.js';
import { Deliveries } from './deliveries.js';
import { FrontSources, type FrontSourcesOptions } from './front-sources.js';
import { FrontStore } from './front-store.js';
import { Lease } from './lease.js';
import type { Progress } from './reports.js';
import { Roster } from './roster.js';
import { applicationStatus } from './status.js';

export interface CoordinatorOptions extends Pick<FrontSourcesOptions, 'checkSource' | 'openSource'> {
  readonly broker: Broker;
  /** No other process has it. */
  readonly id: string;
  /** A place that one process at a time has. */
  readonly place: string;
  /** Of a new application; one that exists keeps its own. */
  readonly partitions: number;
  readonly versions: Pick<Versions, 'publish' | 'read' | 'local'>;
  readonly clock: Clock;
  /** Milliseconds from one stored state of sources and sinks to the next. */
  readonly storeEvery: number;
  readonly observer?: CoordinatorObserver | undefined;
  openSink(target: Target, mark: unknown): Promise<Sink>;
  log(message: string): void;
}

/** Hears what a coordinator learns of the records. Its methods return at once, and do not throw. */
export interface CoordinatorObserver {
  /** A record is in the log of its source. */
  logged(source: string, partition: number, offset: number): void;
  /** A sink has these outputs of a partition. */
  delivered(partition: number, delivery: Delivery, definition: Definition): void;
  /** A worker has told of its work. */
  progressed(progress: Progress): void;
  upgraded(upgrade: UpgradeEnd): void;
}

/** How often partitions are assigned anew, in milliseconds. */
const ASSIGN_MS = 250;
/** How long it may take at the end to store how far sources and sinks have come, in milliseconds. */
const LAST_STORE_MS = 5000;

/** How often an upgrade is tried whose partitions move meanwhile, as when workers have just come. */
const MOST_TRIES = 5;

/**
 * Coordinates the workers of an application: it has the sources and the sinks, says which worker has which partition, and
 * commits upgrades. All that it knows is at the broker, so another one can take over at any moment.
 */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #lease: Lease;
  readonly #state: ApplicationState;
  #definition!: Definition;
  readonly #sources: FrontSources;
  #deliveries!: Deliveries;
  #front!: FrontStore;
  #roster!: Roster;
  #watching: { close(): void } | undefined;
  readonly #changes = new Serial();
  #upgrading: Upgrading | undefined;
  #isClosed = false;
  #reject!: (error: unknown) => void;
  /** Rejects when this coordinator cannot go on. */
  readonly failed = new Promise<never>((_, reject) => {
    this.#reject = reject;
  });

  /**
   * Waits until no other coordinator lives, and goes on where it was.
   *
   * @param first makes the version that a new application begins with
   * @throws Error (rejects)
   */
  static async open(
    options: CoordinatorOptions,
    first: () => Promise<Definition>,
    stop?: AbortSignal,
  ): Promise<Coordinator> {
    const { broker, id, place, clock, log } = options;
    const over = { isOver: () => stop?.aborted ?? false };
    const lease = await Lease.take({
      broker,
      id,
      place,
      clock,
      onWait: () => log('another coordinator runs this application: this one takes over when it ends'),
      isOver: () => over.isOver(),
    });
    const coordinator = new Coordinator(options, lease);
    over.isOver = coordinator.#isOver;
    try {
      await coordinator.#start(first);
    } catch (error) {
      await coordinator.close();
      throw error;
    }
    return coordinator;
  }

  private constructor(options: CoordinatorOptions, lease: Lease) {
    this.#options = options;
    this.#lease = lease;
    this.#state = new ApplicationState(new Cell(options.broker, APPLICATION, this.#isOver), this.#isOver);
    const { broker, versions, checkSource, observer } = options;
    this.#sources = new FrontSources({
      broker,
      local: (id) => versions.local(id),
      ...(checkSource && { checkSource }),
      openSource: (name, definition, feed) => options.openSource(name, definition, feed),
      logged: (source, partition, offset) => observer?.logged(source, partition, offset),
      // The next coordinator must know which records there were.
      lost: (error) => void this.#lastStore().then(() => this.#fail(error)),
      isOver: this.#isOver,
    });
    // The one who runs it waits for this later. Until then it must not count as unhandled.
    this.failed.catch(() => {});
    lease.lost.catch(this.#fail);
  }

  get definition(): Definition {
    return this.#definition;
  }

  /** The upgrade that brought this version. */
  get epoch(): number {
    return this.#state.record.upgrade;
  }

  /** The version before the one that is committed. @throws Error (rejects) */
  get previous(): Promise<Definition | undefined> {
    const { previous } = this.#state.record;
    return previous === undefined ? Promise.resolve(undefined) : this.#options.versions.local(previous);
  }

  /** The upgrade that is under way. */
  get upgrading(): Upgrading | undefined {
    return this.#upgrading;
  }

  /** Stores how far sources and sinks have come. Workers have checkpoints of their own. @throws FencedError (rejects) */
  checkpoint(): Promise<void> {
    return this.#store();
  }

  /** Logs a record. Resolves with its offset once it is safe. @throws Error where it cannot be taken (rejects) */
  ingest(source: string, record: NewRecord): Promise<number> {
    return this.#sources.ingest(source, record);
  }

  status(): ApplicationStatus {
    const { partitions, upgrade, open } = this.#state.record;
    const { partitions: records } = this.#state;
    return applicationStatus({
      definition: this.#definition,
      upgrade,
      isUpgrading: this.#upgrading !== undefined,
      partitions,
      isPrepared: (partition) => open !== undefined && records[partition]?.prepared?.upgrade === open.upgrade,
      intakes: this.#sources.intakes,
      health: (source) => this.#sources.health(source),
      outputs: this.#deliveries.counts,
      reports: this.#roster.reports,
      workers: this.#roster.known,
    });
  }

  /** The changes that an upgrade would make now. @throws Error where files of it cannot be read (rejects) */
  async plan(definition: Definition, words: UpgradeWords = {}): Promise<UpgradePlan> {
    return planUpgrade(this.#definition, await this.#published(definition), words);
  }

  /**
   * Upgrades all partitions to another version, at a cut of each. One change of the application's record commits it; until
   * then anything that fails leaves the old version running.
   *
   * @throws Error that says why it is refused, or has failed (rejects)
   */
  upgrade(definition: Definition, words: UpgradeWords = {}, signal?: AbortSignal): Promise<UpgradePlan> {
    return this.#changes.run(async () => {
      const published = await this.#published(definition);
      const plan = planUpgrade(this.#definition, published, words);
      if (plan.refusals.length > 0) throw new Error(plan.refusals.join(' '));
      if (plan.isEmpty) return plan;
      this.#upgrading = { definition: published, plan, phase: 'compiling' };
      const { observer, clock } = this.#options;
      const upgrade = { from: this.#definition.id, to: published.id, plan };
      try {
        await observedUpgrade(observer, clock, upgrade, async () => {
          await this.#sources.check(plan, published);
          const added = plan.sources.filter(({ change }) => change === 'added');
          const { partitions } = this.#state.record;
          for (const { name } of added)
            await this.#sources.openIntake(name, partitions, { state: 'anew', had: [] });
          // The next coordinator must know where they have begun.
          if (added.length > 0) await this.#store();
          await this.#tryCommit(published, words, signal);
          return this.epoch;
        });
      } finally {
        this.#upgrading = undefined;
      }
      await this.#sources.follow(plan, this.#definition);
      return plan;
    });
  }

  /** Stores how far it has come, and lets another coordinator begin. It never rejects. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.#sources.stop();
    // Without it the next coordinator has more to read again.
    if (this.#deliveries) await this.#lastStore();
    await this.#end();
  }

  /** It never rejects. */
  #lastStore(): Promise<void> {
    return settledWithin(this.#options.clock, LAST_STORE_MS, this.#store());
  }

  /** Ends at once, as after a failure. */
  async #end(): Promise<void> {
    this.#isClosed = true;
    this.#watching?.close();
    this.#state.wake();
    await this.#sources.close();
    await this.#deliveries?.close();
    await this.#lease.release();
  }

  readonly #isOver = (): boolean => this.#isClosed;

  readonly #fail = (error: unknown): void => {
    if (this.#isClosed) return;
    this.#reject(error);
    void this.#end();
  };

  async #start(first: () => Promise<Definition>): Promise<void> {
    const { broker, versions, clock, openSink, log } = this.#options;
    await this.#insist(() => broker.openStream(OUTPUTS));
    await this.#begin(first);
    this.#definition = await versions.read(this.#state.record.definition);
    const [{ term }, { partitions }] = [this.#lease, this.#state.record];
    this.#roster = new Roster({ broker, clock, term, partitions, isOver: this.#isOver, log });
    this.#watching = await this.#insist(() => broker.watch((key, entry) => this.#changed(key, entry)));
    this.#front = await FrontStore.load(broker, this.#lease.term, this.#isOver);
    const cuts: PartitionRecord['cut'][] = [];
    for (let at = 0; at < partitions; at += 1) {
      const cell = new Cell<PartitionRecord>(broker, partitionKey(at), this.#isOver);
      cuts.push((await cell.read())?.cut);
    }
    for (const source of Object.keys(this.#definition.sources)) {
      const had = cuts.map((cut) => (cut?.get(source) ?? 0) - 1);
      await this.#sources.openIntake(source, partitions, {
        state: this.#front.before?.sources.get(source),
        had,
      });
    }
    this.#deliveries = new Deliveries(
      {
        broker,
        partitions,
        openSink,
        store: () => this.#store(),
        mayWrite: () => this.#lease.held(),
        isOver: this.#isOver,
        delivered: (partition, delivery) =>
          this.#options.observer?.delivered(partition, delivery, this.#definition),
      },
      this.#front.before,
    );
    this.#deliveries.done.catch(this.#fail);
    await this.#store();
    await this.#front.tidy();
    for (const source of Object.keys(this.#definition.sources))
      await this.#sources.start(source, this.#definition);
    this.#assignLater();
    const storeLater = (): void =>
      clock.after(this.#options.storeEvery, () => {
        if (this.#isClosed) return;
        this.#store().then(storeLater, this.#fail);
      });
    storeLater();
  }

  /** Makes the application, or gives up an upgrade that the coordinator before has begun and not committed. */
  async #begin(first: () => Promise<Definition>): Promise<void> {
    const { broker, partitions, versions } = this.#options;
    const { term } = this.#lease;
    let definition: Definition | undefined;
    if (!(await this.#state.isThere())) {
      definition = await versions.publish(await first());
      for (const source of Object.keys(definition.sources))
        await this.#insist(() => broker.openStream(recordsOf(source)));
    }
    await this.#state.change((record) => {
      if (record)
        return record.coordinator === term ? undefined : { ...withoutOpen(record), coordinator: term };
      invariant(definition, 'an application was deleted');
      return { partitions, definition: definition.id, upgrade: 0, begun: 0, coordinator: term };
    });
  }

  /** Stores how far sources and sinks have come. @throws FencedError (rejects) */
  #store(): Promise<void> {
    return this.#front.store(() => ({ sources: this.#sources.state, ...this.#deliveries.state }));
  }

  /** Commits an upgrade, or tries again where partitions have moved. @throws Error that says why not (rejects) */
  async #tryCommit(
    definition: Definition,
    words: UpgradeWords,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      // A partition that is being opened gives up an upgrade.
      await this.#state.until(() => this.#roster.isSettled, signal);
      const { turns } = this.#roster;
      const { term: coordinator } = this.#lease;
      try {
        await commitUpgrade(this.#state, { coordinator, definition: definition.id, words, turns, signal });
        break;
      } catch (error) {
        if (!(error instanceof MovedError) || tries === MOST_TRIES) throw error;
      }
    }
    this.#definition = definition;
    this.#options.log(`version ${definition.id} runs since upgrade ${this.epoch}`);
  }

  /** An upgrade is as far as the last partition. */
  #phase(): Upgrading['phase'] {
    const phases = this.status().workers?.partitions.map(({ upgrade = 'compiling' }) => upgrade);
    return (
      (['compiling', 'replaying', 'ready'] as const).find((phase) => phases?.includes(phase)) ?? 'passing'
    );
  }

  #changed(key: string, entry: Entry): void {
    if (this.#isClosed) return;
    if (key.startsWith('partition.')) {
      this.#state.heardPartition(Number(key.slice(key.indexOf('.') + 1)), valueIn(entry) as PartitionRecord);
      this.#state.wake();
    } else if (key.startsWith('worker.')) {
      const record = valueIn<WorkerRecord>(entry) as WorkerRecord;
      const progress = this.#roster.heard(record);
      this.#options.observer?.progressed(progress);
      if (this.#upgrading) this.#upgrading.phase = this.#phase();
      this.#state.wake();
      for (const { partition, next } of record.partitions) this.#sources.begun(partition, next);
    } else if (key === APPLICATION) {
      const record = valueIn<ApplicationRecord>(entry) as ApplicationRecord;
      // Its own changes are known before the broker tells of them.
      if (this.#upgrading && record.begun === this.#state.record.begun) this.#state.heard(record);
      this.#state.wake();
    }
  }

  #assignLater(): void {
    if (this.#isClosed) return;
    this.#roster
      .assign(!this.#upgrading)
      .then(() => this.#options.clock.after(ASSIGN_MS, () => this.#assignLater()), this.#fail);
  }

  async #published(definition: Definition): Promise<Definition> {
    if (definition.id === this.#definition.id) return this.#definition;
    return this.#options.versions.publish(definition);
  }

  #insist<T>(ask: () => Promise<T>): Promise<T> {
    return insist(this.#options.broker, this.#isOver, ask);
  }
}
