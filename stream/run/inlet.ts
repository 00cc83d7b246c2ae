import type { Tensor } from '../../infer/service/tensor.js';
import type { Definition } from '../definition/definition.js';
import type { FlowRecord } from '../flow/version.js';
import {
  BrokenLogError,
  type LoggedRecord,
  type NewRecord,
  type SourceLog,
  UnfitRecordError,
} from '../log/record-log.js';
import { RunningSource } from '../sources/running-source.js';
import type { Feed, Source } from '../sources/source.js';
import { Reader } from './reader.js';
import type { ApplicationStatus } from './status.js';

export interface InletOptions {
  /**
   * Opens the log of a source, of which no record before an offset is read any more. A log that ends before goes on there.
   * `wake` is for logs that others append to: it says that there is more.
   */
  openLog(source: string, from: number, wake: () => void): Promise<SourceLog>;
  /**
   * Starts a source, which gives its records to `ingest` from now on. `positions` says how far it had read, by key. Left
   * out where others append to the logs.
   */
  openSource?(name: string, definition: Definition, feed: Feed): Promise<Source>;
}

/** The receiver of the records of inlets. */
export interface Receiver {
  /** A record is in the log. */
  logged(source: string, offset: number): void;
  /** Takes a record, or says that there is no room for it: then `wake` comes later. */
  admit(record: FlowRecord<Tensor>, traceparent: string | undefined): boolean;
  /** The first offset of a source that it takes next. */
  next(source: string): number;
  /** The log is broken. */
  fail(error: unknown): void;
}

/** One source on its way in: what gives its records, their log, and the reader that gives them to a receiver. */
export class Inlet {
  readonly #name: string;
  readonly #log: SourceLog;
  readonly #options: InletOptions;
  readonly #receiver: Receiver;
  readonly #reader: Reader;
  /** By key, how far the source had read at the record that was admitted last. */
  readonly #positions: Map<string, unknown>;
  readonly #source = new RunningSource();
  #isStopped = false;
  /** The first offset that it reads. */
  readonly first: number;

  /**
   * Opens the log. It is read from `wake` on.
   *
   * @param positions by key, how far the source had read at the record before the first one.
   * @param isNew whether records that are in the log already are left out: they are those of an earlier source.
   */
  static async open(
    { name, from, positions, isNew }: { name: string; from: number; positions: Positions; isNew: boolean },
    options: InletOptions,
    receiver: Receiver,
  ): Promise<Inlet> {
    let inlet: Inlet | undefined;
    const log = await options.openLog(name, from, () => inlet?.wake());
    const first = isNew ? Math.max(from, log.end) : from;
    inlet = new Inlet(name, log, first, new Map(positions), options, receiver);
    return inlet;
  }

  private constructor(
    name: string,
    log: SourceLog,
    first: number,
    positions: Map<string, unknown>,
    options: InletOptions,
    receiver: Receiver,
  ) {
    this.#name = name;
    this.#log = log;
    this.first = first;
    this.#positions = positions;
    this.#options = options;
    this.#receiver = receiver;
    this.#reader = new Reader(log, first, (record) => this.#admit(record), receiver.fail);
  }

  /** The offset of the record that is logged next. */
  get end(): number {
    return this.#log.end;
  }

  /** Records that were logged and that have not begun. */
  get backlog(): number {
    return this.#log.end - this.#receiver.next(this.#name);
  }

  /** By key, how far the source had read at the record that was admitted last. */
  get positions(): Positions {
    return new Map(this.#positions);
  }

  get status(): ApplicationStatus['sources'][number] {
    const { end, bytes } = this.#log;
    return { name: this.#name, records: end, waiting: this.backlog, bytes, ...this.#source.health };
  }

  /** There are more records, or there is more room. */
  wake(): void {
    this.#reader.wake();
  }

  /** Logs a record. Resolves with its offset once it is safe. @throws Error where it cannot be taken (rejects) */
  async ingest(record: NewRecord): Promise<number> {
    if (this.#isStopped) throw new Error(`source ${this.#name} takes no records`);
    if (record.key.includes('\n')) throw new UnfitRecordError('a key has no line breaks');
    const offset = await this.#log.append(record).catch((error) => {
      if (error instanceof BrokenLogError) this.#receiver.fail(error);
      throw error;
    });
    this.#receiver.logged(this.#name, offset);
    this.wake();
    return offset;
  }

  /** Starts the source where it stood at the last record of the log. @throws Error where it cannot start (rejects) */
  async start(definition: Definition): Promise<void> {
    await this.#source.start(() => this.#open(definition));
  }

  /** Goes on as another definition of the source says. @throws Error where it cannot start (rejects) */
  async become(definition: Definition): Promise<void> {
    await this.#source.become(definition.sources[this.#name], () => this.#open(definition));
  }

  /** Frees room that only records before this offset take. */
  trim(before: number): Promise<void> {
    return this.#log.trim(before);
  }

  /** Ends the source, and reads no more. Records that are under way into the log get there: it stays open. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#source.close();
    await this.#reader.close();
  }

  /** After `stop`. */
  close(): Promise<void> {
    return this.#log.close();
  }

  /** Ends the source, and deletes its log. */
  async delete(): Promise<void> {
    await this.stop();
    await this.#log.delete();
  }

  #admit({ offset, key, values, position, traceparent }: LoggedRecord): boolean {
    if (!this.#receiver.admit({ source: this.#name, offset, key, values }, traceparent)) return false;
    if (position !== undefined) this.#positions.set(key, position);
    return true;
  }

  async #open(definition: Definition): Promise<Source | undefined> {
    const { openSource } = this.#options;
    if (!openSource) return undefined;
    return openSource(this.#name, definition, {
      positions: await this.#lastPositions(),
      ingest: (record) => this.ingest(record),
      backlog: () => this.backlog,
    });
  }

  /** Those of records that wait in the log, too. */
  async #lastPositions(): Promise<Positions> {
    const positions = new Map(this.#positions);
    const cursor = this.#log.cursor(this.#receiver.next(this.#name));
    try {
      for (let record = await cursor.next(); record; record = await cursor.next())
        if (record.position !== undefined) positions.set(record.key, record.position);
    } finally {
      await cursor.close();
    }
    return positions;
  }
}

type Positions = ReadonlyMap<string, unknown>;
