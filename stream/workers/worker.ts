import { serialize } from 'node:v8';
import type { Clock } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import { type Broker, type Entry, insist } from '../broker/broker.js';
import { valueIn } from '../broker/cell.js';
import type { ApplicationObserver } from '../run/observer.js';
import { SharedRunner } from '../run/shared-runner.js';
import type { StepRunner } from '../run/step-runner.js';
import { Partition } from './partition.js';
import { Readiness } from './readiness.js';
import {
  APPLICATION,
  type ApplicationRecord,
  ASSIGNMENT,
  type AssignmentRecord,
  FRONT,
  type FrontRecord,
  type Machine,
  type PartitionStatus,
  type WorkerRecord,
  workerKey,
} from './records.js';
import type { Versions } from './versions.js';

export interface WorkerOptions {
  readonly broker: Broker;
  /** No other worker has it. */
  readonly id: string;
  readonly machine: Machine;
  readonly runner: StepRunner;
  readonly versions: Pick<Versions, 'local'>;
  readonly clock: Clock;
  readonly observer?: WorkerObserver | undefined;
  readonly checkpointEvery: number;
  /** It cannot run the application now, and tries again. Each reason is told once. */
  onProblem?(problem: string): void;
  log(message: string): void;
}

/** Hears what becomes of the records of all partitions here. */
export interface WorkerObserver extends ApplicationObserver {
  /** As in `WorkerRecord`. */
  readonly runs: WorkerRecord['runs'];
}

/** How often a worker says that it lives, in milliseconds. */
const BEAT_MS = 250;
/** How long a partition rests that could not be opened, in milliseconds. */
const REST_MS = 1000;
/** The most records on their way in a partition. */
export const WINDOW = 128;

/** Runs the partitions of an application that the coordinator assigns to it. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #runner: SharedRunner;
  readonly #readiness: Readiness;
  readonly #partitions = new Map<number, Partition>();
  /** Partitions that this worker is to have. */
  #assigned = new Set<number>();
  #application: ApplicationRecord | undefined;
  #front: FrontRecord | undefined;
  #beat = 0;
  #watching: { close(): void } | undefined;
  /** Partitions that are being closed. */
  readonly #closing = new Map<number, Promise<void>>();
  #isClosed = false;

  /** @throws Error (rejects) */
  static async open(options: WorkerOptions): Promise<Worker> {
    const worker = new Worker(options);
    const { broker } = options;
    worker.#watching = await insist(
      broker,
      () => worker.#isClosed,
      () => broker.watch((key, entry) => worker.#changed(key, entry)),
    );
    worker.#live();
    return worker;
  }

  private constructor(options: WorkerOptions) {
    this.#options = options;
    this.#runner = new SharedRunner(options.runner);
    this.#readiness = new Readiness({ ...options, runner: this.#runner });
  }

  /** Resolves when it can run the version that is committed: from then on it gets partitions. It never rejects. */
  get ready(): Promise<void> {
    return this.#readiness.first;
  }

  get partitions(): readonly number[] {
    return [...this.#partitions.keys()];
  }

  /** Gives its partitions back, each at a checkpoint of now. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watching?.close();
    this.#readiness.close();
    await Promise.all([...this.#partitions.keys()].map((partition) => this.#release(partition, true)));
    await this.#say(-1);
  }

  #changed(key: string, entry: Entry): void {
    if (this.#isClosed) return;
    if (key === APPLICATION) {
      const record = valueIn<ApplicationRecord>(entry) as ApplicationRecord;
      this.#application = record;
      this.#readiness.follow(record.definition);
      for (const partition of this.#partitions.values()) partition.observe(record);
    } else if (key === FRONT) this.#front = valueIn<FrontRecord>(entry);
    else if (key === ASSIGNMENT) {
      const { workers } = valueIn<AssignmentRecord>(entry) as AssignmentRecord;
      this.#assigned = new Set([...workers.keys()].filter((at) => workers[at] === this.#options.id));
      this.#reconcile();
    }
  }

  /** None of what it begins rejects. */
  #reconcile(): void {
    if (this.#isClosed) return;
    for (const partition of this.#partitions.keys())
      if (!this.#assigned.has(partition)) void this.#release(partition, true);
    for (const partition of this.#assigned)
      if (!this.#partitions.has(partition) && !this.#closing.has(partition)) void this.#own(partition);
  }

  async #own(number: number): Promise<void> {
    const { broker, id, versions, clock, observer, checkpointEvery, log } = this.#options;
    const partition = new Partition({
      broker,
      partition: number,
      worker: id,
      runner: this.#runner,
      definition: (version) => versions.local(version),
      front: () => this.#front,
      clock,
      observer,
      checkpointEvery,
      window: WINDOW,
      log,
    });
    this.#partitions.set(number, partition);
    if (this.#application) partition.observe(this.#application);
    try {
      await partition.open();
      await partition.failed;
    } catch (error) {
      if (this.#partitions.get(number) !== partition) return;
      log(`partition ${number} is given up here: ${messageOf(error)}`);
      await this.#release(number, false);
      clock.after(REST_MS, () => this.#reconcile());
    }
  }

  async #release(number: number, isGraceful: boolean): Promise<void> {
    const partition = this.#partitions.get(number);
    if (!partition) return this.#closing.get(number);
    this.#partitions.delete(number);
    const closed = partition
      .close(isGraceful)
      .catch((error) => this.#options.log(`partition ${number} was not closed well: ${messageOf(error)}`));
    this.#closing.set(number, closed);
    await closed;
    this.#closing.delete(number);
    if (isGraceful) this.#reconcile();
  }

  #live(): void {
    if (this.#isClosed) return;
    this.#beat += 1;
    void this.#say(this.#beat).then(() => this.#options.clock.after(BEAT_MS, () => this.#live()));
  }

  /** It never rejects: the next beat says it again. */
  async #say(beat: number): Promise<void> {
    const { broker, id, machine, observer } = this.#options;
    const holds = [...this.#partitions.keys(), ...this.#closing.keys()];
    const partitions = [...this.#partitions.values()].flatMap((each): PartitionStatus[] => {
      const status = each.status();
      return status ? [status] : [];
    });
    try {
      const { revision = 0 } = (await broker.read(workerKey(id))) ?? {};
      const runs = observer?.runs ?? new Map();
      const record: WorkerRecord = { id, machine, beat, ...this.#readiness.state, holds, partitions, runs };
      await broker.write(workerKey(id), serialize(record), revision);
    } catch {}
  }
}
