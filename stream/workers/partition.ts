import { randomUUID } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { type Clock, settledWithin } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import { Appender } from '../broker/appender.js';
import { type Broker, FencedError, insist, LostError, tidy } from '../broker/broker.js';
import { Cell } from '../broker/cell.js';
import type { Definition } from '../definition/definition.js';
import { Application, type StoredCheckpoint } from '../run/application.js';
import type { ApplicationObserver } from '../run/observer.js';
import type { StepRunner } from '../run/step-runner.js';
import { PartitionLog } from './partition-log.js';
import { PartitionOutputs } from './partition-outputs.js';
import {
  APPLICATION,
  type ApplicationRecord,
  checkpointOf,
  type FrontRecord,
  type OpenUpgrade,
  OUTPUTS,
  type PartitionRecord,
  type PartitionStatus,
  partitionKey,
  withoutOpen,
} from './records.js';

export interface PartitionOptions {
  readonly broker: Broker;
  readonly partition: number;
  /** The id of the worker. */
  readonly worker: string;
  readonly runner: StepRunner;
  /** A version, with its files on this machine. */
  definition(id: string): Promise<Definition>;
  /** How far the coordinator has come. */
  front(): FrontRecord | undefined;
  readonly clock: Clock;
  readonly observer?: ApplicationObserver | undefined;
  readonly checkpointEvery: number;
  readonly window: number;
  log(message: string): void;
}

/** A checkpoint names its version, since the files of a version lie elsewhere on another machine. */
type PartitionCheckpoint = Omit<StoredCheckpoint, 'definition' | 'previous'> & {
  readonly definition: string;
};

/** How long the last checkpoint of an owner may take, in milliseconds. */
const LAST_CHECKPOINT_MS = 5000;

/** An upgrade in which this partition takes part. */
interface Upgrading {
  readonly upgrade: number;
  /** Once its files are here. */
  definition: Definition | undefined;
  readonly stop: AbortController;
  /** Set while it is ready, and waits until all partitions are. */
  cut: ((error?: Error) => void) | undefined;
  /** Set while the checkpoint at the cut waits for the decision about all partitions. */
  decide: ((error?: Error) => void) | undefined;
}

/**
 * One partition of an application, as its owner runs it: an application of its own, whose log, outputs and checkpoints are
 * at the broker. An upgrade is committed for all partitions at once. Each makes the version ready, and waits until all have.
 * Then each stores its checkpoint at its own cut, and waits until the version of the application is changed, or is known to
 * stay. Outputs after a cut wait for that, so no partition cuts while another one still loads models.
 */
export class Partition {
  readonly #options: PartitionOptions;
  readonly #owner: string;
  readonly #cell: Cell<PartitionRecord>;
  /** Of this owner, once it has claimed the partition. */
  #term = 0;
  #opening: Promise<void> | undefined;
  #application: Application | undefined;
  #appender: Appender | undefined;
  #upgrading: Upgrading | undefined;
  /** The last upgrade that began here. */
  #begun = 0;
  #latest: ApplicationRecord | undefined;
  /** The name of the checkpoint that the next owner would begin at. */
  #checkpoint: string | undefined;
  #isClosed = false;
  #reject!: (error: unknown) => void;
  /** Rejects when this owner cannot go on; another one can. */
  readonly failed = new Promise<never>((_, reject) => {
    this.#reject = reject;
  });

  constructor(options: PartitionOptions) {
    this.#options = options;
    this.#owner = `${options.worker} ${randomUUID()}`;
    this.#cell = new Cell(options.broker, partitionKey(options.partition), this.#isOver);
    // The worker hears of it once the partition is open.
    this.failed.catch(() => {});
  }

  get partition(): number {
    return this.#options.partition;
  }

  /** Takes the partition, whoever has it, and goes on from its last checkpoint. @throws Error (rejects) */
  open(): Promise<void> {
    this.#opening = this.#open();
    return this.#opening;
  }

  async #open(): Promise<void> {
    const { broker, partition, definition, clock, observer, checkpointEvery, window, log, runner } =
      this.#options;
    const record = await this.#claim();
    this.#term = record.term;
    const application = await this.#settled();
    const name = checkpointOf(record, application);
    this.#checkpoint = name;
    const checkpoint = name === undefined ? undefined : await this.#load(name);
    await this.#checkOutputs(checkpoint);
    this.#appender = await Appender.open(broker, OUTPUTS, partition, this.#isOver);
    const from = Math.min(...[...(checkpoint?.marks.values() ?? [])].map(Number));
    const since = Number.isFinite(from) ? from : 0;
    const outputs = await PartitionOutputs.open(broker, partition, this.#appender, since, this.#isOver);
    // Owners before may have left checkpoints.
    await tidy(broker, `checkpoint.${partition}.`, name);
    const opened = await Application.open(
      {
        checkpoints: { latest: async () => checkpoint, store: (stored) => this.#store(stored) },
        runner,
        clock,
        observer,
        checkpointEvery,
        window,
        log: (message) => log(`partition ${partition}: ${message}`),
        openLog: (source, from, wake) =>
          PartitionLog.open({
            broker,
            source,
            partition,
            from,
            wake,
            read: () => this.#readOf(source),
            isOver: this.#isOver,
          }),
        openSink: async (sink, { sinks }) => outputs.sink(sink, sinks[sink]),
      },
      () => definition(application.definition),
    );
    if (this.#isClosed) {
      await opened.close();
      throw CLOSED;
    }
    this.#application = opened;
    opened.failed.catch(this.#reject);
    if (this.#latest) this.observe(this.#latest);
  }

  /** Tells of the version that runs, and of an upgrade that is under way. */
  observe(record: ApplicationRecord): void {
    this.#latest = record;
    const upgrading = this.#upgrading;
    if (upgrading) {
      const { upgrade, stop, cut, decide } = upgrading;
      if (record.upgrade === upgrade) decide?.();
      else if (record.open?.upgrade !== upgrade) {
        const given = new Error('the upgrade was given up');
        cut?.(given);
        decide?.(given);
        stop.abort(given);
      } else if (record.open.isReady) cut?.();
    }
    // The next one begins when this one has ended here. `#upgrade` does not reject.
    else if (record.open && this.#isNext(record.open) && this.#application)
      void this.#upgrade(record.open, this.#application);
  }

  #isNext({ upgrade, workers }: OpenUpgrade): boolean {
    return upgrade > this.#begun && workers.includes(this.#options.worker);
  }

  status(): PartitionStatus | undefined {
    const application = this.#application;
    if (!application) return undefined;
    const { epoch, passing, passed, steps } = application.status();
    const { upgrading } = application;
    return {
      partition: this.partition,
      term: this.#term,
      epoch,
      passing,
      passed,
      ...(upgrading && { upgrade: upgrading.phase }),
      next: Object.fromEntries(application.next()),
      steps,
    };
  }

  /** Ends here. With `isGraceful`, the next owner begins at a checkpoint of now. It never rejects. */
  async close(isGraceful: boolean): Promise<void> {
    if (isGraceful && !this.#upgrading) await this.#lastCheckpoint();
    this.#isClosed = true;
    this.#upgrading?.cut?.(CLOSED);
    this.#upgrading?.decide?.(CLOSED);
    this.#upgrading?.stop.abort(CLOSED);
    // An open that is under way must not write after the next owner is chosen. Its error went to the one who opened it.
    await this.#opening?.catch(() => {});
    this.#appender?.close();
    const application = this.#application;
    await application?.close();
    if (application) await this.#options.runner.release(application.definition);
  }

  readonly #isOver = (): boolean => this.#isClosed;

  #claim(): Promise<PartitionRecord> {
    return this.#cell.change((record) => {
      if (record?.owner === this.#owner) return undefined;
      return { ...record, term: (record?.term ?? 0) + 1, owner: this.#owner };
    });
  }

  /**
   * The version that is committed. An upgrade that is under way is given up, since the owner before may have stored a
   * checkpoint for it that this one does not know to be the last.
   */
  async #settled(): Promise<ApplicationRecord> {
    const cell = new Cell<ApplicationRecord>(this.#options.broker, APPLICATION, this.#isOver);
    const record = await cell.change((value) => value?.open && withoutOpen(value));
    if (!record) throw new Error('there is no such application');
    return record;
  }

  async #load(name: string): Promise<StoredCheckpoint> {
    const { broker, definition } = this.#options;
    const bytes = await insist(broker, this.#isOver, () => broker.get(name));
    if (!bytes) throw new Error(`checkpoint ${name} is not at the broker any more`);
    const stored = deserialize(bytes) as PartitionCheckpoint;
    return { ...stored, definition: await definition(stored.definition) };
  }

  /** @throws LostError where outputs are gone that were there at the checkpoint (rejects) */
  async #checkOutputs(checkpoint: StoredCheckpoint | undefined): Promise<void> {
    const { broker, partition } = this.#options;
    const had = Math.max(0, ...[...(checkpoint?.marks.values() ?? [])].map(Number));
    const last = await insist(broker, this.#isOver, () => broker.last(OUTPUTS, partition));
    const has = last?.sequence ?? 0;
    if (has < had) throw new LostError(OUTPUTS, partition, had, has);
  }

  /** Stores a checkpoint. @throws Error where another one owns the partition, or the upgrade is given up (rejects) */
  async #store(checkpoint: StoredCheckpoint): Promise<void> {
    const { broker, partition } = this.#options;
    const upgrading = this.#upgrading?.definition === checkpoint.definition ? this.#upgrading : undefined;
    const { definition, previous: _, ...rest } = checkpoint;
    const bytes = serialize({ ...rest, definition: definition.id } satisfies PartitionCheckpoint);
    const name = `checkpoint.${partition}.${randomUUID()}`;
    await insist(broker, this.#isOver, () => broker.put(name, bytes));
    const before = this.#checkpoint;
    await this.#cell.change((record) => {
      this.#mine(record);
      // Where the answer was lost.
      if (record.checkpoint === name || record.prepared?.checkpoint === name) return undefined;
      const { term, owner } = record;
      const cut = new Map([...(record.cut ?? []), ...rest.cut]);
      if (!upgrading) return { term, owner, cut, checkpoint: name };
      const { upgrade } = upgrading;
      const last = before !== undefined && { checkpoint: before };
      return { term, owner, cut, ...last, ready: upgrade, prepared: { upgrade, checkpoint: name } };
    });
    if (upgrading) await this.#decision(upgrading);
    this.#checkpoint = name;
    // One that stays is deleted by the next owner.
    if (before !== undefined) await broker.delete(before).catch(() => {});
    // No later owner looks for outputs before the marks, and the sinks have all that was delivered. The next checkpoint trims again.
    const done = Math.min(this.#options.front()?.delivered ?? 0, ...[...rest.marks.values()].map(Number));
    if (done > 0) await broker.trim(OUTPUTS, partition, done + 1).catch(() => {});
  }

  /** Says that it is ready, and resolves when all partitions are. @throws Error where the upgrade is given up (rejects) */
  async #allReady(upgrading: Upgrading): Promise<void> {
    const { upgrade } = upgrading;
    await this.#cell.change((record) => {
      this.#mine(record);
      return record.ready === upgrade ? undefined : { ...record, ready: upgrade };
    });
    await new Promise<void>((resolve, reject) => {
      upgrading.cut = (error) => (error ? reject(error) : resolve());
      if (this.#isClosed) reject(CLOSED);
      else if (this.#latest) this.observe(this.#latest);
    });
    upgrading.cut = undefined;
  }

  /** Resolves when the upgrade is committed. @throws Error where it is not (rejects) */
  #decision(upgrading: Upgrading): Promise<void> {
    return new Promise((resolve, reject) => {
      upgrading.decide = (error) => (error ? reject(error) : resolve());
      if (this.#isClosed) reject(CLOSED);
      else if (this.#latest) this.observe(this.#latest);
    });
  }

  async #upgrade({ upgrade, definition: id, words }: OpenUpgrade, application: Application): Promise<void> {
    const stop = new AbortController();
    const upgrading: Upgrading = { upgrade, definition: undefined, stop, cut: undefined, decide: undefined };
    this.#upgrading = upgrading;
    this.#begun = upgrade;
    try {
      // Not the same object as the version that runs, though it may have the same id.
      upgrading.definition = { ...(await this.#options.definition(id)) };
      await application.upgrade(upgrading.definition, words, stop.signal, () => this.#allReady(upgrading));
    } catch (error) {
      if (!this.#isClosed && !stop.signal.aborted) await this.#refuse(upgrade, messageOf(error));
    }
    this.#upgrading = undefined;
    if (this.#latest) this.observe(this.#latest);
  }

  async #lastCheckpoint(): Promise<void> {
    // Without it the next owner has more to compute again.
    if (this.#application)
      await settledWithin(this.#options.clock, LAST_CHECKPOINT_MS, this.#application.checkpoint());
  }

  /** Tells the coordinator that this partition cannot make the upgrade. */
  async #refuse(upgrade: number, message: string): Promise<void> {
    try {
      await this.#cell.change((record) => {
        this.#mine(record);
        return record.failed?.upgrade === upgrade ? undefined : { ...record, failed: { upgrade, message } };
      });
    } catch (error) {
      this.#reject(error);
    }
  }

  #mine(record: PartitionRecord | undefined): asserts record is PartitionRecord {
    if (record?.owner === this.#owner) return;
    const error = new FencedError(`another worker owns partition ${this.partition}`);
    this.#reject(error);
    throw error;
  }

  #readOf(source: string): number {
    return this.#options.front()?.read[source]?.[this.partition] ?? 0;
  }
}

const CLOSED = new Error('the partition was released');
