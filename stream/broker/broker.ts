/**
 * The part of a broker that the workers of an application share: streams of messages, keys that are changed by
 * compare-and-set, and objects. Every operation may fail while the broker is away, and then it is not known whether it was done.
 */
export interface Broker {
  /** The most bytes of a message. */
  readonly mostBytes: number;
  /** Makes a stream, unless it is there. */
  openStream(stream: string): Promise<void>;
  /**
   * Appends a message, if the last one of this partition has the sequence `last` (0: there is none).
   *
   * @returns its sequence, which grows over all partitions of a stream
   * @throws ConflictError where another one is the last (rejects)
   */
  append(stream: string, partition: number, message: NewMessage, last: number): Promise<number>;
  /** The last message of a partition. */
  last(stream: string, partition: number): Promise<Message | undefined>;
  /** Reads messages of one partition, or of all, from a sequence on. `wake` is called when there are more. */
  follow(stream: string, partition: number | undefined, from: number, wake: () => void): Promise<Following>;
  /** Deletes the messages of a partition before this sequence, and never the last one. */
  trim(stream: string, partition: number, before: number): Promise<void>;
  read(key: string): Promise<Entry | undefined>;
  /**
   * Writes a key, if its revision is this one (0: there is none).
   *
   * @throws ConflictError where another one is (rejects)
   */
  write(key: string, value: Uint8Array, revision: number): Promise<void>;
  forget(key: string): Promise<void>;
  /** Tells of each key that there is, and then of each change, in order. It does not tell of keys that are forgotten. */
  watch(changed: (key: string, entry: Entry) => void): Promise<{ close(): void }>;
  put(name: string, bytes: Uint8Array): Promise<void>;
  get(name: string): Promise<Uint8Array | undefined>;
  delete(name: string): Promise<void>;
  /** The names of objects that begin with this. */
  names(prefix: string): Promise<string[]>;
  /** Waits a moment before something is tried again. */
  rest(): Promise<void>;
}

export interface NewMessage {
  /** No two messages have the same. */
  readonly id: string;
  readonly body: Uint8Array;
}

export interface Message extends NewMessage {
  readonly partition: number;
  readonly sequence: number;
}

export interface Entry {
  readonly value: Uint8Array;
  readonly revision: number;
}

export interface Following {
  /** The next message; undefined where there is none yet. */
  next(): Message | undefined;
  close(): void;
}

/** The most messages of a batch. */
const MOST_AT_ONCE = 256;

/** Another process was faster: read again. */
export class ConflictError extends Error {}

/** Another process has taken over what this one did. */
export class FencedError extends Error {}

/** The broker does not have messages any more that it had. Their sequences come again, so nothing can go on by itself. */
export class LostError extends Error {
  constructor(stream: string, partition: number | undefined, had: number, has: number) {
    const place = partition === undefined ? stream : `${stream}, partition ${partition},`;
    super(
      `the NATS server has lost messages: ${place} had message ${had}, and ends at ${has}. Bring the server's data back from a copy, or begin anew: give the application another name`,
    );
  }
}

/** Deletes the objects that begin with this, except one. It never rejects: the next call deletes those that are left. */
export async function tidy(broker: Broker, prefix: string, kept: string | undefined): Promise<void> {
  try {
    for (const name of await broker.names(prefix)) if (name !== kept) await broker.delete(name);
  } catch {
    // The broker is away.
  }
}

/** Gives messages as they come, from a sequence on, until `isOver` says that nobody waits any more. */
export async function* messagesFrom(...following: Parameters<typeof batchesFrom>): AsyncGenerator<Message> {
  const isOver = following.at(-1) as () => boolean;
  for await (const batch of batchesFrom(...following))
    for (const message of batch) {
      if (isOver()) return;
      yield message;
    }
}

/** The same, with all messages at once that are there. */
export async function* batchesFrom(
  broker: Broker,
  stream: string,
  partition: number | undefined,
  from: number,
  isOver: () => boolean,
): AsyncGenerator<Message[]> {
  let wake = () => {};
  const following = await insist(broker, isOver, () => broker.follow(stream, partition, from, () => wake()));
  try {
    while (!isOver()) {
      const batch: Message[] = [];
      while (batch.length < MOST_AT_ONCE) {
        const message = following.next();
        if (!message) break;
        batch.push(message);
      }
      if (batch.length > 0) {
        yield batch;
        continue;
      }
      const more = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([more, broker.rest()]);
    }
  } finally {
    following.close();
  }
}

/** Asks until the broker answers, or `isOver` says that nobody waits any more. @throws Error then (rejects) */
export async function insist<T>(broker: Broker, isOver: () => boolean, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (isOver() || error instanceof ConflictError || error instanceof FencedError) throw error;
      await broker.rest();
    }
  }
}
