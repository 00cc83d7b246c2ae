import type { JsMsg, MsgRequest } from '@nats-io/jetstream';
import type { KV, KvWatchEntry } from '@nats-io/kv';
import type { ObjectStore } from '@nats-io/obj';
import type { MsgHdrs } from '@nats-io/transport-node';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import {
  type Broker,
  ConflictError,
  type Entry,
  type Following,
  insist,
  type Message,
  type NewMessage,
} from './broker.js';
import { loadNats, type Nats } from './nats-connection.js';

const REST_MS = 100;
/** Messages that are read ahead of the one who takes them. */
const MOST_AHEAD = 64;
/** How long a request for messages waits at the server. After so long it is known that a server has gone, in milliseconds. */
const WAIT_MS = 2000;
/** After so long without a message a reader of all partitions looks whether there is one, in milliseconds. */
const LOOK_MS = 200;
/** A message that is there is given within this time, in milliseconds, or the server has left it out. */
const GIVEN_MS = 100;
/** How long the next piece of an object may take, in milliseconds. */
const PIECE_MS = 5000;
/** Another message, or another revision, came first. */
const WRONG_LAST_SEQUENCE = 10071;
const NO_STREAM = 10059;

/** The broker of one application, at NATS: streams of JetStream, a bucket of keys, and one of objects. */
export class NatsBroker implements Broker {
  readonly #nats: Nats;
  readonly #application: string;
  readonly #replicas: number;
  readonly #keys: KV;
  readonly #objects: ObjectStore;

  /** @param replicas how many servers of the cluster keep each message. */
  static async open(nats: Nats, application: string, replicas: number): Promise<NatsBroker> {
    const { Kvm, Objm } = await loadNats();
    const bucket = `farlight-${application}`;
    const keys = await new Kvm(nats.jetstream).create(bucket, { history: 1, replicas });
    const objects = await new Objm(nats.jetstream).create(bucket, { replicas });
    return new NatsBroker(nats, application, replicas, keys, objects);
  }

  private constructor(nats: Nats, application: string, replicas: number, keys: KV, objects: ObjectStore) {
    this.#nats = nats;
    this.#application = application;
    this.#replicas = replicas;
    this.#keys = keys;
    this.#objects = objects;
  }

  get mostBytes(): number {
    return this.#nats.mostBytes;
  }

  async openStream(stream: string): Promise<void> {
    const { manager } = this.#nats;
    const name = this.#name(stream);
    try {
      await manager.streams.info(name);
    } catch (error) {
      if ((error as { code?: unknown }).code !== NO_STREAM) throw error;
      const subjects = [`${this.#subject(stream)}.*`];
      await manager.streams.add({ name, subjects, num_replicas: this.#replicas });
    }
  }

  async append(
    stream: string,
    partition: number,
    { id, body }: NewMessage,
    lastSubjectSequence: number,
  ): Promise<number> {
    const subject = this.#subject(stream, partition);
    try {
      const { seq } = await this.#nats.jetstream.publish(subject, body, {
        msgID: id,
        expect: { lastSubjectSequence },
      });
      return seq;
    } catch (error) {
      throw conflictIn(error);
    }
  }

  last(stream: string, partition: number): Promise<Message | undefined> {
    return this.#message(stream, { last_by_subj: this.#subject(stream, partition) });
  }

  async follow(
    stream: string,
    partition: number | undefined,
    from: number,
    wake: () => void,
  ): Promise<Following> {
    const { consumers } = this.#nats.jetstream;
    const ready: Message[] = [];
    let hasRoom = () => {};
    const closing = new AbortController();
    const isClosed = () => closing.signal.aborted;
    let next = Math.max(1, from);
    const give = async (message: Message) => {
      ready.push(message);
      next = message.sequence + 1;
      wake();
      while (ready.length >= MOST_AHEAD && !isClosed())
        await new Promise<void>((resolve) => {
          hasRoom = resolve;
        });
    };
    const consume = async () => {
      const consumer = await consumers.get(this.#name(stream), {
        filter_subjects: this.#subject(stream, partition ?? '*'),
        deliver_policy: 'by_start_sequence',
        opt_start_seq: next,
      });
      return consumer.consume({ max_messages: MOST_AHEAD, expires: WAIT_MS });
    };
    const reading = await this.#read(consume, async ({ seq, subject, headers, data }: JsMsg) => {
      // One that it gives again, since it was opened anew.
      if (seq < next) return;
      // nats-server 2.9.10 moves a consumer of all partitions over messages when one partition is trimmed.
      while (partition === undefined && next < seq && !isClosed()) {
        const skipped = await insist(this, isClosed, () => this.#firstFrom(stream, next));
        if (!skipped || skipped.sequence >= seq) break;
        await give(skipped);
      }
      if (!isClosed()) await give(messageOf(subject, seq, headers, data));
    });
    // It may leave out the last messages: then no later one shows it.
    const lookAgain = async () => {
      while (!isClosed() && !this.#nats.connection.isClosed()) {
        const before = next;
        const isIdle = () => next === before && ready.length === 0 && !isClosed();
        await pause(LOOK_MS, closing.signal);
        if (!isIdle()) continue;
        const left = await this.#firstFrom(stream, before).catch(() => undefined);
        if (!left) continue;
        await pause(GIVEN_MS, closing.signal);
        if (isIdle()) reading.reopen();
      }
    };
    if (partition === undefined) void lookAgain();
    return {
      next() {
        const message = ready.shift();
        hasRoom();
        return message;
      },
      close() {
        closing.abort();
        reading.close();
        ready.length = 0;
        hasRoom();
      },
    };
  }

  async trim(stream: string, partition: number, before: number): Promise<void> {
    const last = await this.last(stream, partition);
    if (!last) return;
    const filter = this.#subject(stream, partition);
    const seq = Math.min(before, last.sequence);
    // The server would delete all messages before sequence 1: the last one, too.
    if (seq > 1) await this.#nats.manager.streams.purge(this.#name(stream), { filter, seq });
  }

  /** The first message of all partitions, from a sequence on. */
  #firstFrom(stream: string, sequence: number): Promise<Message | undefined> {
    // The server knows this request, and the type of the package only that without a sequence.
    return this.#message(stream, { seq: sequence, next_by_subj: this.#subject(stream, '*') } as MsgRequest);
  }

  async #message(stream: string, request: MsgRequest): Promise<Message | undefined> {
    const found = await this.#nats.manager.streams.getMessage(this.#name(stream), request);
    return found ? messageOf(found.subject, found.seq, found.header, found.data) : undefined;
  }

  async read(key: string): Promise<Entry | undefined> {
    const entry = await this.#keys.get(key);
    return entry?.operation === 'PUT' ? { value: entry.value, revision: entry.revision } : undefined;
  }

  async write(key: string, value: Uint8Array, revision: number): Promise<void> {
    try {
      if (revision === 0) await this.#keys.create(key, value);
      else await this.#keys.update(key, value, revision);
    } catch (error) {
      throw conflictIn(error);
    }
  }

  forget(key: string): Promise<void> {
    // Not by `purge`: nats-server 2.9.10 moves those who watch all keys over changes that they have not seen.
    return this.#keys.delete(key);
  }

  watch(changed: (key: string, entry: Entry) => void): Promise<{ close(): void }> {
    return this.#read(
      () => this.#keys.watch(),
      ({ key, value, revision, operation }: KvWatchEntry) => {
        if (operation === 'PUT') changed(key, { value, revision });
      },
    );
  }

  /** Takes each item until it is closed. The package gives up after a long outage: then `open` is asked again. */
  async #read<T>(
    open: () => Promise<AsyncIterable<T> & { stop(): void }>,
    take: (item: T) => Promise<void> | void,
  ): Promise<{ close(): void; reopen(): void }> {
    const { connection } = this.#nats;
    let items = await open();
    let isClosed = false;
    const isOver = () => isClosed || connection.isClosed();
    const readAll = async () => {
      for (;;) {
        try {
          for await (const item of items) {
            if (isClosed) return;
            await take(item);
          }
        } catch {
          // It begins again below.
        }
        if (isOver()) return;
        await this.rest();
        items = await insist(this, isOver, open);
        if (isClosed) items.stop();
      }
    };
    // It rejects only where it is over: then nobody waits for an item.
    readAll().catch(() => {});
    return {
      reopen: () => items.stop(),
      close() {
        isClosed = true;
        items.stop();
      },
    };
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.#objects.putBlob({ name }, bytes);
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const found = await this.#objects.get(name);
    if (!found) return undefined;
    // Its error ends the data too.
    found.error.catch(() => {});
    const reader = found.data.getReader();
    const pieces: Uint8Array[] = [];
    try {
      for (;;) {
        const { done, value } = await inTime(reader.read());
        if (done) break;
        pieces.push(value);
      }
    } catch (error) {
      // It is asked for again, and nobody waits for the end of this one.
      reader.cancel().catch(() => {});
      throw error;
    }
    return new Uint8Array(Buffer.concat(pieces));
  }

  async delete(name: string): Promise<void> {
    await this.#objects.delete(name);
  }

  async names(prefix: string): Promise<string[]> {
    const objects = await this.#objects.list();
    return objects.map(({ name }) => name).filter((name) => name.startsWith(prefix));
  }

  rest(): Promise<void> {
    return pause(REST_MS);
  }

  #name(stream: string): string {
    return `farlight-${this.#application}-${stream}`;
  }

  #subject(stream: string, ...rest: (number | string)[]): string {
    return ['farlight', this.#application, stream, ...rest].join('.');
  }
}

/** Rejects where the next piece of an object does not come: the package would wait for ever for a server that has gone. */
function inTime<T>(piece: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const why = `NATS has sent nothing of an object for ${PIECE_MS / 1000} seconds`;
    const late = setTimeout(() => reject(new Error(why)), PIECE_MS);
    piece.then(resolve, reject).finally(() => clearTimeout(late));
  });
}

function messageOf(
  subject: string,
  sequence: number,
  headers: MsgHdrs | undefined,
  body: Uint8Array,
): Message {
  const partition = Number(subject.slice(subject.lastIndexOf('.') + 1));
  return { partition, sequence, id: headers?.get('Nats-Msg-Id') ?? '', body };
}

/** The error, as others know it. */
function conflictIn(error: unknown): unknown {
  const isConflict = (error as { code?: unknown }).code === WRONG_LAST_SEQUENCE;
  return isConflict ? new ConflictError('another one came first', { cause: error }) : error;
}
