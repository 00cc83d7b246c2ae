import type { Span } from '../../../proto/activity.js';
import type { ContentName } from '../../../proto/content.js';
import { type FarlightGPUError, writeFarlightGPUError } from '../../../proto/gen/operations.js';
import { PART_BYTES } from '../../../proto/wire/limits.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import { OUTCOME, REPLY, type Rejection } from '../../../proto/wire/reply.js';
import { writeActivity } from '../../../proto/wire/spans.js';
import { Writer } from '../../../proto/wire/writer.js';

/** Bytes that leave as a reply's parts, as the link takes them. */
interface LongReply {
  readonly serial: number;
  /** Of a mapped range, which is empty as soon as the buffer is unmapped: nobody awaits the rest then. */
  readonly bytes: Uint8Array;
  sent: number;
}

/** The spans that may wait while the link takes nothing. Those beyond are only counted. */
const MOST_SPANS = 8192;

const SETTLED = Promise.resolve();

/** Collects replies; those of one job leave together, when its promise reactions are over. */
export class ReplyWriter {
  readonly #writer = new Writer({ initialCapacity: 1024 });
  readonly #partWriter = new Writer();
  readonly #send: (frame: Uint8Array, ofActivity: boolean) => unknown;
  #scheduled = false;
  readonly #flush = () => {
    this.#scheduled = false;
    this.#cut();
    this.#pump();
  };
  /** What is to leave, in order. */
  readonly #queue: (Uint8Array | LongReply)[] = [];
  #full = false;
  /** Whether spans are all that was written. */
  #onlySpans = false;
  /** Frames that have nothing else. */
  readonly #ofActivity = new WeakSet<Uint8Array>();
  #waitingSpans = 0;
  #lostSpans = 0;

  /**
   * `send` returns false where what comes next should wait for `drained`. It hears which frames are made of spans: to
   * tell of those in spans would never end.
   */
  constructor(send: (frame: Uint8Array, ofActivity: boolean) => unknown) {
    this.#send = send;
  }

  /** The link takes frames again. */
  drained(): void {
    this.#full = false;
    this.#pump();
  }

  /** Throws RangeError, and replies nothing, where the reply is larger than may be sent at once. */
  fulfilled(serial: number, operation: AnyOperation, reply: unknown): void {
    if (reply instanceof Uint8Array && reply.length > PART_BYTES) {
      this.#cut();
      this.#queue.push({ serial, bytes: reply, sent: 0 });
      this.fulfilled(serial, operation, NOTHING);
      return;
    }
    const { length } = this.#writer;
    this.#begin(REPLY.settled, serial);
    this.#writer.u8(OUTCOME.fulfilled);
    try {
      operation.writeReply(this.#writer, reply);
    } catch (error) {
      this.#writer.truncate(length);
      throw error;
    }
  }

  rejected(serial: number, { name, message, reason }: Rejection): void {
    this.#begin(REPLY.settled, serial);
    this.#writer.u8(OUTCOME.rejected);
    this.#writer.string(name);
    this.#writer.string(message);
    this.#writer.string(reason);
  }

  uncaptured(device: number, error: FarlightGPUError<never>): void {
    this.#begin(REPLY.uncaptured, device);
    writeFarlightGPUError(this.#writer, error);
  }

  lost(device: number, reason: string, message: string): void {
    this.#begin(REPLY.lost, device);
    this.#writer.string(reason);
    this.#writer.string(message);
  }

  missing(name: ContentName): void {
    this.#onlySpans = false;
    this.#writer.u8(REPLY.missing);
    this.#writer.append(name);
    this.#schedule();
  }

  /** Names of pipelines, one after the other. */
  held(names: Uint8Array): void {
    this.#onlySpans = false;
    this.#writer.u8(REPLY.held);
    this.#writer.bytes(names);
    this.#schedule();
  }

  /** What the host did. */
  activity(spans: Span[]): void {
    if (this.#full && this.#waitingSpans + spans.length > MOST_SPANS) {
      this.#lostSpans += spans.length;
      return;
    }
    this.#waitingSpans += spans.length;
    // With the answer that they led to, where one is about to leave: the client may end when it has that.
    if (this.#writer.length === 0) this.#onlySpans = true;
    this.#writer.u8(REPLY.activity);
    writeActivity(this.#writer, { spans, lost: this.#lostSpans });
    this.#lostSpans = 0;
    this.#schedule();
  }

  /** Has what was written leave now, and not at the end of the job: that may take long. */
  leaveNow(): void {
    this.#cut();
    this.#pump();
  }

  #begin(kind: number, id: number): void {
    this.#onlySpans = false;
    this.#writer.u8(kind);
    this.#writer.u32(id);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // A reaction, and not queueMicrotask: Node makes a resource of its own for each of those.
    void SETTLED.then(this.#flush);
  }

  /** What was written so far leaves before what comes next. */
  #cut(): void {
    if (this.#writer.length === 0) return;
    const frames = this.#writer.take();
    if (this.#onlySpans) for (const frame of frames) this.#ofActivity.add(frame);
    this.#onlySpans = false;
    this.#queue.push(...frames);
  }

  #pump(): void {
    while (!this.#full) {
      const next = this.#queue[0];
      if (!next) {
        this.#waitingSpans = 0;
        return;
      }
      const frame = next instanceof Uint8Array ? next : this.#part(next);
      if (next instanceof Uint8Array || next.sent >= next.bytes.length) this.#queue.shift();
      if (frame) this.#full = this.#send(frame, this.#ofActivity.has(frame)) === false;
    }
  }

  #part(reply: LongReply): Uint8Array | undefined {
    if (reply.sent >= reply.bytes.length) return undefined;
    const bytes = reply.bytes.subarray(reply.sent, reply.sent + PART_BYTES);
    reply.sent += bytes.length;
    this.#partWriter.u8(REPLY.part);
    this.#partWriter.u32(reply.serial);
    this.#partWriter.bytes(bytes);
    return this.#partWriter.take()[0];
  }
}

const NOTHING = new Uint8Array(0);
