import { createHash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { Appender, contentIn } from '../../broker/appender.js';
import { type Broker, insist, LostError, messagesFrom } from '../../broker/broker.js';
import { type NewRecord, UnfitRecordError } from '../../log/record-log.js';
import { recordsOf } from '../records.js';

/** Records of a source that can wait run so far ahead of the steps, at most. */
const MOST_AHEAD = 4096;
/** Room for what a message has beside its record. */
const FRAME_BYTES = 4096;

/** How far a source has read, by key, and the sequence of each partition up to which that holds. */
export interface ReadState {
  readonly positions: ReadonlyMap<string, unknown>;
  readonly read: readonly number[];
}

/** How much of a source there was before. */
export interface IntakeBefore {
  /** How far the coordinator before had come; 'anew' where the source begins anew behind the records that there are. */
  readonly state: ReadState | 'anew' | undefined;
  /** By partition, the sequence of a record that there was. */
  readonly had: readonly number[];
}

/** The records of one source, on their way into the partitions. It is alone in them: see `Appender`. */
export class Intake {
  readonly #broker: Broker;
  readonly #appenders: readonly Appender[];
  readonly #read: number[];
  readonly #positions: Map<string, unknown>;
  /** By partition, the sequences of records that no worker has begun with. */
  readonly #ahead: number[][];
  #count = 0;

  /** @throws LostError where records are gone; Error where `isOver` says so (rejects) */
  static async open(
    broker: Broker,
    source: string,
    partitions: number,
    { state, had }: IntakeBefore,
    isOver: () => boolean,
  ): Promise<Intake> {
    const stream = recordsOf(source);
    await insist(broker, isOver, () => broker.openStream(stream));
    const numbers = Array.from({ length: partitions }, (_, at) => at);
    const appenders = await Promise.all(numbers.map((at) => Appender.open(broker, stream, at, isOver)));
    const before = state === 'anew' ? undefined : state;
    const read = appenders.map(({ content }, at) => (state === 'anew' ? content : (before?.read[at] ?? 0)));
    for (const [at, { content }] of appenders.entries()) {
      const known = Math.max(had[at] ?? 0, read[at] ?? 0);
      // The next records would get sequences that others had: their readers would leave them out.
      if (content < known) throw new LostError(stream, at, known, content);
    }
    const intake = new Intake(broker, appenders, read, new Map(before?.positions));
    await Promise.all(numbers.map((at) => intake.#readAll(stream, at, isOver)));
    return intake;
  }

  private constructor(
    broker: Broker,
    appenders: readonly Appender[],
    read: number[],
    positions: Map<string, unknown>,
  ) {
    this.#broker = broker;
    this.#appenders = appenders;
    this.#read = read;
    this.#positions = positions;
    this.#ahead = appenders.map(() => []);
  }

  /** How far each key was read when this was opened or since. Records that are not logged yet are not in it. */
  get state(): ReadState {
    return { positions: new Map(this.#positions), read: [...this.#read] };
  }

  /** How many records were logged since the start. */
  get count(): number {
    return this.#count;
  }

  /** How many records no worker has begun with. */
  get ahead(): number {
    return this.#ahead.reduce((sum, { length }) => sum + length, 0);
  }

  /** Those of one partition. */
  aheadIn(partition: number): number {
    return this.#ahead[partition]?.length ?? 0;
  }

  /** The backlog for a source that can wait: it has none until it is far ahead. */
  get backlog(): number {
    return Math.max(0, this.ahead - MOST_AHEAD);
  }

  /** Resolves with the record's offset and partition once it is logged. @throws Error (rejects) */
  async ingest(record: NewRecord): Promise<{ offset: number; partition: number }> {
    if (record.key.includes('\n')) throw new UnfitRecordError('a key has no line breaks');
    const partition = partitionOf(record.key, this.#appenders.length);
    const bytes = serialize(record);
    if (bytes.length + FRAME_BYTES > this.#broker.mostBytes)
      throw new UnfitRecordError(
        `a record has ${bytes.length} bytes, and NATS takes ${this.#broker.mostBytes}: raise its max_payload`,
      );
    const sequence = await (this.#appenders[partition] as Appender).append(bytes);
    this.#note(partition, sequence, record);
    this.#count += 1;
    this.#ahead[partition]?.push(sequence);
    return { offset: sequence, partition };
  }

  /** A worker takes this offset next. */
  begun(partition: number, next: number): void {
    const ahead = this.#ahead[partition];
    if (!ahead) return;
    const first = ahead.findIndex((sequence) => sequence >= next);
    ahead.splice(0, first < 0 ? ahead.length : first);
  }

  close(): void {
    for (const appender of this.#appenders) appender.close();
  }

  #note(partition: number, sequence: number, { key, position }: NewRecord): void {
    this.#read[partition] = sequence;
    if (position !== undefined) this.#positions.set(key, position);
  }

  /** Reads the records that the coordinator before has logged since its state was stored. The fence ends them. */
  async #readAll(stream: string, partition: number, isOver: () => boolean): Promise<void> {
    const fence = this.#appenders[partition]?.sequence ?? 0;
    const from = (this.#read[partition] ?? 0) + 1;
    for await (const message of messagesFrom(this.#broker, stream, partition, from, isOver)) {
      if (message.sequence >= fence) return;
      const content = contentIn(message);
      if (content) this.#note(partition, message.sequence, deserialize(content) as NewRecord);
    }
    throw new Error('the coordinator was closed');
  }
}

/** The partition of a key, the same for good. */
export function partitionOf(key: string, partitions: number): number {
  return createHash('sha256').update(key).digest().readUInt32LE(0) % partitions;
}
