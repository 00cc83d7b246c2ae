import { randomUUID } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { type Broker, FencedError, insist, LostError, type Message } from './broker.js';

interface Waiting {
  readonly body: Uint8Array;
  resolve(sequence: number): void;
  reject(error: unknown): void;
}

/**
 * Appends to one partition of a stream, and is alone in it: its first message is a fence. All that another process still
 * sends there expects another last message, so it is refused. Each message gets there once and in order, whatever answers
 * are lost, since one is under way at a time and names the one before it.
 */
export class Appender {
  readonly #broker: Broker;
  readonly #stream: string;
  readonly #partition: number;
  readonly #writer: string;
  /** The sequence of the last message with content when this was opened. 0 if there was none. */
  readonly content: number;
  readonly #waiting: Waiting[] = [];
  #sequence: number;
  #count = 0;
  #writing: Promise<void> | undefined;
  /** Why nothing is appended any more. */
  #end: Error | undefined;

  /** @throws Error where `isOver` says so, before the fence is there (rejects) */
  static async open(
    broker: Broker,
    stream: string,
    partition: number,
    isOver: () => boolean,
  ): Promise<Appender> {
    const writer = randomUUID();
    for (;;) {
      const last = await insist(broker, isOver, () => broker.last(stream, partition));
      const content = last ? contentOf(last) : 0;
      if (last?.id === idOf(writer, 0))
        return new Appender(broker, stream, partition, writer, last.sequence, content);
      const body = Buffer.concat([FENCE, serialize(content)]);
      try {
        const fence = { id: idOf(writer, 0), body };
        const sequence = await broker.append(stream, partition, fence, last?.sequence ?? 0);
        return new Appender(broker, stream, partition, writer, sequence, content);
      } catch (error) {
        if (isOver()) throw error;
        await broker.rest();
      }
    }
  }

  private constructor(
    broker: Broker,
    stream: string,
    partition: number,
    writer: string,
    sequence: number,
    content: number,
  ) {
    this.#broker = broker;
    this.#stream = stream;
    this.#partition = partition;
    this.#writer = writer;
    this.#sequence = sequence;
    this.content = content;
  }

  /** The sequence of the last message of this partition. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Resolves with its sequence once the broker has it.
   *
   * @throws FencedError, LostError, or Error where this was closed (rejects)
   */
  append(content: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ body: Buffer.concat([CONTENT, content]), resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  close(): void {
    this.#end ??= new Error('the stream is not written any more');
  }

  /** It never rejects: each message has its own error. */
  async #writeAll(): Promise<void> {
    // It must not end before `append` has its promise.
    await undefined;
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      try {
        if (this.#end) throw this.#end;
        this.#count += 1;
        this.#sequence = await this.#write(idOf(this.#writer, this.#count), next.body);
        next.resolve(this.#sequence);
      } catch (error) {
        this.#end ??= error as Error;
        next.reject(this.#end);
      }
      this.#waiting.shift();
    }
    this.#writing = undefined;
  }

  async #write(id: string, body: Uint8Array): Promise<number> {
    const [broker, stream, partition] = [this.#broker, this.#stream, this.#partition];
    for (;;) {
      try {
        return await broker.append(stream, partition, { id, body }, this.#sequence);
      } catch (error) {
        if (this.#end) throw this.#end;
        const last = await insist(
          broker,
          () => this.#end !== undefined,
          () => broker.last(stream, partition),
        );
        // The answer was lost.
        if (last?.id === id) return last.sequence;
        const end = last?.sequence ?? 0;
        if (end < this.#sequence) throw new LostError(stream, partition, this.#sequence, end);
        if (end !== this.#sequence)
          throw new FencedError(`another process writes partition ${partition} of ${stream}`, {
            cause: error,
          });
        await broker.rest();
      }
    }
  }
}

const FENCE = Uint8Array.of(0);
const CONTENT = Uint8Array.of(1);

/** The content of a message; undefined for a fence. */
export function contentIn({ body }: Message): Uint8Array | undefined {
  return body[0] === FENCE[0] ? undefined : body.subarray(1);
}

/** The sequence of the last message with content, up to this one. 0 if there was none. */
export function contentOf(message: Message): number {
  return contentIn(message) ? message.sequence : (deserialize(message.body.subarray(1)) as number);
}

function idOf(writer: string, count: number): string {
  return `${writer}/${count}`;
}
