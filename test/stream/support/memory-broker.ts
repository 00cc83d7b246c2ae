import {
  type Broker,
  ConflictError,
  type Entry,
  type Following,
  type Message,
  type NewMessage,
} from '#farlight/stream/broker/broker.js';
import type { Process, World } from './world.js';

interface Stream {
  last: number;
  /** Those that are there, and all that ever were. */
  messages: Message[];
  readonly ever: Message[];
}

/** The disk of a broker. Each process reaches it through `for`. */
export class MemoryBroker {
  readonly #world: World;
  readonly streams = new Map<string, Stream>();
  readonly keys = new Map<string, Entry>();
  readonly objects = new Map<string, Uint8Array>();
  readonly #wakes = new Set<() => void>();
  readonly #watches = new Set<(key: string, entry: Entry) => void>();
  #revision = 0;
  isDown = false;
  /** Of answers, how many in a hundred are lost, and of operations, how many come late. */
  faults = 3;
  /** Told of each key that is written, when it is. */
  onWrite: (key: string, value: Uint8Array) => void = () => {};

  constructor(world: World) {
    this.#world = world;
  }

  for(process: Process): Broker {
    const world = this.#world;
    const ask = <T>(act: () => T) => this.#ask(process, act);
    return {
      mostBytes: 1 << 20,
      openStream: (stream) =>
        ask(() => {
          if (!this.streams.has(stream)) this.streams.set(stream, { last: 0, messages: [], ever: [] });
        }),
      append: (stream, partition, message, last) => ask(() => this.#append(stream, partition, message, last)),
      last: (stream, partition) => ask(() => this.#last(stream, partition)),
      follow: (stream, partition, from, wake) =>
        ask(() => this.#follow(process, stream, partition, from, wake)),
      trim: (name, partition, before) =>
        ask(() => {
          const stream = this.#stream(name);
          const last = this.#last(name, partition)?.sequence ?? 0;
          const until = Math.min(before, last);
          stream.messages = stream.messages.filter(
            (message) => message.partition !== partition || message.sequence >= until,
          );
        }),
      read: (key) => ask(() => this.keys.get(key)),
      write: (key, value, revision) => ask(() => this.#write(key, value, revision)),
      forget: (key) => ask(() => void this.keys.delete(key)),
      watch: (changed) =>
        ask(() => {
          const queue = [...this.keys];
          let isClosed = false;
          const deliver = () => {
            const next = queue.shift();
            if (next && !isClosed) changed(...next);
          };
          // One event for each delivery keeps their order.
          const told = () => void world.later(process, deliver);
          for (const _ of queue) told();
          const watch = (key: string, entry: Entry) => {
            queue.push([key, entry]);
            told();
          };
          this.#watches.add(watch);
          return {
            close: () => {
              isClosed = true;
              this.#watches.delete(watch);
            },
          };
        }),
      put: (name, bytes) => ask(() => void this.objects.set(name, bytes)),
      get: (name) => ask(() => this.objects.get(name)),
      delete: (name) => ask(() => void this.objects.delete(name)),
      names: (prefix) => ask(() => [...this.objects.keys()].filter((name) => name.startsWith(prefix))),
      rest: () => new Promise((resolve) => world.clock(process).after(100, resolve)),
    };
  }

  /** Loses the last messages of a stream, as a server may whose disk did not have them yet. */
  lose(name: string, count: number): void {
    const stream = this.#stream(name);
    stream.messages = stream.messages.slice(0, -count);
    stream.last -= count;
  }

  #ask<T>(process: Process, act: () => T): Promise<T> {
    const { random } = this.#world;
    const now = () => {
      if (this.isDown) throw new Error('the broker is away');
      return act();
    };
    if (random.below(200) < this.faults) {
      // The broker did it, and the answer is lost.
      return this.#world.later(process, () => {
        now();
        throw new Error('no answer');
      });
    }
    if (random.below(200) < this.faults) {
      // The broker does it when nobody expects it any more.
      return this.#world.later(process, () => {
        this.#world.sometime(() => {
          try {
            now();
          } catch {
            // Nobody waits for it.
          }
        });
        throw new Error('no answer');
      });
    }
    return this.#world.later(process, now);
  }

  #append(name: string, partition: number, { id, body }: NewMessage, last: number): number {
    const stream = this.#stream(name);
    if ((this.#last(name, partition)?.sequence ?? 0) !== last) throw new ConflictError('wrong last sequence');
    stream.last += 1;
    const message = { partition, id, body: Uint8Array.from(body), sequence: stream.last };
    stream.messages.push(message);
    stream.ever.push(message);
    for (const wake of this.#wakes) wake();
    return stream.last;
  }

  #last(name: string, partition: number): Message | undefined {
    return this.#stream(name).messages.findLast((message) => message.partition === partition);
  }

  #follow(
    process: Process,
    name: string,
    partition: number | undefined,
    from: number,
    wake: () => void,
  ): Following {
    let at = from;
    let seen = 0;
    // Messages up to `seen` have arrived in the process.
    const arrive = () =>
      void this.#world.later(process, () => {
        seen = this.#stream(name).last;
        wake();
      });
    this.#wakes.add(arrive);
    arrive();
    return {
      next: () => {
        const found = this.#stream(name).messages.find(
          (message) =>
            message.sequence >= at &&
            message.sequence <= seen &&
            (partition === undefined || message.partition === partition),
        );
        if (found) at = found.sequence + 1;
        return found;
      },
      close: () => void this.#wakes.delete(arrive),
    };
  }

  #write(key: string, value: Uint8Array, revision: number): void {
    if ((this.keys.get(key)?.revision ?? 0) !== revision) throw new ConflictError('wrong revision');
    this.#revision += 1;
    const entry = { value: Uint8Array.from(value), revision: this.#revision };
    this.keys.set(key, entry);
    this.onWrite(key, entry.value);
    for (const watch of this.#watches) watch(key, entry);
  }

  #stream(name: string): Stream {
    const stream = this.streams.get(name);
    if (!stream) throw new Error(`there is no stream ${name}`);
    return stream;
  }
}
