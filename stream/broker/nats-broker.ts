import type { MsgRequest } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import type { ObjectStore } from '@nats-io/obj';
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

  async last(stream: string, partition: number): Promise<Message | undefined> {
    const { streams } = this.#nats.manager;
    const subject = this.#subject(stream, partition);
    const found = await streams.getMessage(this.#name(stream), { last_by_subj: subject });
    if (!found) return undefined;
    return { partition, sequence: found.seq, id: found.header.get('Nats-Msg-Id'), body: found.data };
  }

  async follow(
    stream: string,
    partition: number | undefined,
    from: number,
    wake: () => void,
  ): Promise<Following> {
    const { consumers } = this.#nats.jetstream;
    const consumer = await consumers.get(this.#name(stream), {
      filter_subjects: this.#subject(stream, partition ?? '*'),
      deliver_policy: 'by_start_sequence',
      opt_start_seq: Math.max(1, from),
    });
    const messages = await consumer.consume({ max_messages: MOST_AHEAD, expires: WAIT_MS });
    const ready: Message[] = [];
    let hasRoom = () => {};
    let isClosed = false;
    let next = Math.max(1, from);
    const give = async (message: Message) => {
      ready.push(message);
      next = message.sequence + 1;
      wake();
      while (ready.length >= MOST_AHEAD && !isClosed)
        await new Promise<void>((resolve) => {
          hasRoom = resolve;
        });
    };
    const read = async () => {
      for await (const { seq, subject, headers, data } of messages) {
        // nats-server 2.9.10 moves a consumer of all partitions over messages when one partition is trimmed.
        while (partition === undefined && next < seq && !isClosed) {
          const skipped = await insist(
            this,
            () => isClosed,
            () => this.#firstFrom(stream, next),
          );
          if (!skipped || skipped.sequence >= seq) break;
          await give(skipped);
        }
        if (isClosed) return;
        const id = headers?.get('Nats-Msg-Id') ?? '';
        await give({ partition: partitionIn(subject), sequence: seq, id, body: data });
      }
    };
    // It ends with the connection, which is made again for as long as it takes, or by `close`.
    read().catch(() => {});
    return {
      next() {
        const message = ready.shift();
        hasRoom();
        return message;
      },
      close() {
        isClosed = true;
        messages.stop();
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
  async #firstFrom(stream: string, sequence: number): Promise<Message | undefined> {
    // The server knows this request, and the type of the package only that without a sequence.
    const request = { seq: sequence, next_by_subj: this.#subject(stream, '*') } as MsgRequest;
    const found = await this.#nats.manager.streams.getMessage(this.#name(stream), request);
    if (!found) return undefined;
    const { seq, subject, header, data } = found;
    return {
      partition: partitionIn(subject),
      sequence: seq,
      id: header?.get('Nats-Msg-Id') ?? '',
      body: data,
    };
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
    return this.#keys.purge(key);
  }

  async watch(changed: (key: string, entry: Entry) => void): Promise<{ close(): void }> {
    const entries = await this.#keys.watch();
    const read = async () => {
      for await (const { key, value, revision, operation } of entries)
        if (operation === 'PUT') changed(key, { value, revision });
    };
    // As `follow`.
    read().catch(() => {});
    return { close: () => entries.stop() };
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.#objects.putBlob({ name }, bytes);
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return (await this.#objects.getBlob(name)) ?? undefined;
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

function partitionIn(subject: string): number {
  return Number(subject.slice(subject.lastIndexOf('.') + 1));
}

/** The error, as others know it. */
function conflictIn(error: unknown): unknown {
  const isConflict = (error as { code?: unknown }).code === WRONG_LAST_SEQUENCE;
  return isConflict ? new ConflictError('another one came first', { cause: error }) : error;
}
