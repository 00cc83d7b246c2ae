import { deserialize } from 'node:v8';
import { contentIn, contentOf } from '../broker/appender.js';
import { type Broker, type Following, insist, LostError } from '../broker/broker.js';
import type { Cursor, LoggedRecord, NewRecord, SourceLog } from '../log/record-log.js';
import { recordsOf } from './records.js';

export interface PartitionLogOptions {
  readonly broker: Broker;
  readonly source: string;
  readonly partition: number;
  /** No record before this offset is read. */
  readonly from: number;
  /** Called when there are more records. */
  wake(): void;
  /** The sequence up to which the coordinator has stored positions: no record after it is deleted. */
  read(): number;
  /** Whether nobody waits for the log any more. */
  isOver(): boolean;
}

/**
 * The records of one partition of a source, at the broker. The coordinator appends them. A record's offset is its sequence
 * in the stream of all partitions, so offsets have gaps here.
 */
export class PartitionLog implements SourceLog {
  readonly #options: PartitionLogOptions;
  readonly #cursors = new Set<PartitionCursor>();
  #end = 0;

  /** @throws LostError where records are gone that were read before (rejects) */
  static async open(options: PartitionLogOptions): Promise<PartitionLog> {
    const { broker, source, partition, from, isOver } = options;
    const log = new PartitionLog(options);
    const last = await insist(broker, isOver, () => broker.last(recordsOf(source), partition));
    const sequence = last ? contentOf(last) : 0;
    if (sequence + 1 < from) throw new LostError(recordsOf(source), partition, from - 1, sequence);
    if (sequence > 0) log.#end = sequence + 1;
    return log;
  }

  private constructor(options: PartitionLogOptions) {
    this.#options = options;
  }

  get end(): number {
    return this.#end;
  }

  /** The broker knows. */
  get bytes(): number {
    return 0;
  }

  append(_record: NewRecord): Promise<number> {
    return Promise.reject(new Error('records of a partition come through the coordinator'));
  }

  cursor(offset: number): Cursor {
    const cursor = new PartitionCursor(
      () => this.#follow(offset),
      (sequence) => {
        this.#end = Math.max(this.#end, sequence + 1);
      },
    );
    this.#cursors.add(cursor);
    return cursor;
  }

  async trim(before: number): Promise<void> {
    const { broker, source, partition, read } = this.#options;
    const until = Math.min(before, read() + 1);
    // The next checkpoint trims again.
    if (until > 1) await broker.trim(recordsOf(source), partition, until).catch(() => {});
  }

  /** The source is gone. */
  async delete(): Promise<void> {
    await this.trim(this.#end);
    await this.close();
  }

  async close(): Promise<void> {
    for (const cursor of this.#cursors) await cursor.close();
  }

  #follow(offset: number): Promise<Following> {
    const { broker, source, partition, wake, isOver } = this.#options;
    return insist(broker, isOver, () => broker.follow(recordsOf(source), partition, offset, wake));
  }
}

class PartitionCursor implements Cursor {
  readonly #open: () => Promise<Following>;
  readonly #saw: (sequence: number) => void;
  #following: Following | undefined;
  #isClosed = false;

  constructor(open: () => Promise<Following>, saw: (sequence: number) => void) {
    this.#open = open;
    this.#saw = saw;
  }

  async next(): Promise<LoggedRecord | undefined> {
    if (this.#isClosed) return undefined;
    if (!this.#following) {
      const following = await this.#open();
      if (this.#isClosed) following.close();
      else this.#following = following;
    }
    for (let message = this.#following?.next(); message; message = this.#following?.next()) {
      const content = contentIn(message);
      if (!content) continue;
      this.#saw(message.sequence);
      const { position: _, ...record } = deserialize(content) as NewRecord;
      return { ...record, offset: message.sequence };
    }
    return undefined;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#following?.close();
  }
}
