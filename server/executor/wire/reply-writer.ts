import type { ContentName } from '../../../proto/content/content.js';
import {
  type FarlightGPUError,
  writeFarlightGPUError,
  writeFarlightMemoryState,
} from '../../../proto/gen/operations.js';
import { type MemoryState, toWire } from '../../../proto/session/memory.js';
import type { Span } from '../../../proto/session/spans.js';
import { PART_BYTES } from '../../../proto/wire/limits.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import { OUTCOME, REPLY, type Rejection } from '../../../proto/wire/reply.js';
import { writeSpanReport } from '../../../proto/wire/span-report.js';
import { Writer } from '../../../proto/wire/writer.js';

/** The reply of an awaited command that is under way. */
export interface PendingReply {
  /** The implementation's own promise, so that replies go out in the order of its results. */
  promise: Promise<unknown>;
  /** Makes the reply, at the moment when `promise` resolves. Absent: the reply is the promise's value. */
  reply?: (value: never) => unknown;
}

/** Bytes that leave as the parts of a reply, as fast as the connection takes them. */
interface LongReply {
  readonly serial: number;
  /** Of a mapped range. It becomes empty when the buffer is unmapped, and then nobody awaits the rest. */
  readonly bytes: Uint8Array;
  sent: number;
}

/** The most spans that wait while the connection takes nothing. Further spans are only counted. */
const MOST_SPANS = 8192;

const SETTLED = Promise.resolve();
const NOTHING = new Uint8Array(0);

/** Collects replies. The replies of one job leave together, after its promise reactions have run. */
export class ReplyWriter {
  readonly #writer = new Writer({ initialCapacity: 1024 });
  readonly #partWriter = new Writer();
  readonly #send: (frame: Uint8Array, onlySpans: boolean) => unknown;
  #scheduled = false;
  readonly #flush = () => {
    this.#scheduled = false;
    this.#cut();
    this.#pump();
  };
  /** Frames and long replies that are to leave, in order. */
  readonly #queue: (Uint8Array | LongReply)[] = [];
  #full = false;
  /** Whether the writer holds spans alone. */
  #onlySpans = false;
  /** Frames that carry spans alone. */
  readonly #spanFrames = new WeakSet<Uint8Array>();
  #waitingSpans = 0;
  #lostSpans = 0;

  /**
   * `send` returns false if the next frames must wait for `drained`. With `onlySpans` the frame carries spans alone: a
   * span about that frame would need a frame again, without end.
   */
  constructor(send: (frame: Uint8Array, onlySpans: boolean) => unknown) {
    this.#send = send;
  }

  /** The connection takes frames again. */
  drained(): void {
    this.#full = false;
    this.#pump();
  }

  /** Throws RangeError, and replies nothing, where the reply is larger than one frame may be. */
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

  /** Asks the client for a content. */
  missing(name: ContentName): void {
    this.#onlySpans = false;
    this.#writer.u8(REPLY.missing);
    this.#writer.append(name);
    this.#schedule();
  }

  /** The names of pipelines that the client gets without waiting, one after the other. */
  compiled(names: Uint8Array): void {
    this.#onlySpans = false;
    this.#writer.u8(REPLY.held);
    this.#writer.bytes(names);
    this.#schedule();
  }

  /** Tells the client that watches its memory. Returns false where the connection takes nothing now: then call again. */
  memory(state: MemoryState): boolean {
    if (this.#full) return false;
    this.#onlySpans = false;
    this.#writer.u8(REPLY.memory);
    writeFarlightMemoryState(this.#writer, toWire(state));
    this.#schedule();
    return true;
  }

  spans(spans: Span[]): void {
    if (this.#full && this.#waitingSpans + spans.length > MOST_SPANS) {
      this.#lostSpans += spans.length;
      return;
    }
    this.#waitingSpans += spans.length;
    // Spans leave with the reply that they led to, where one is about to leave: the client may end after that reply.
    if (this.#writer.length === 0) this.#onlySpans = true;
    this.#writer.u8(REPLY.activity);
    writeSpanReport(this.#writer, { spans, lost: this.#lostSpans });
    this.#lostSpans = 0;
    this.#schedule();
  }

  /** Sends the written replies now. The current job may take long to end. */
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
    // Not queueMicrotask: Node makes an async resource for each of its calls.
    void SETTLED.then(this.#flush);
  }

  /** Puts the written replies into the queue, before anything else gets there. */
  #cut(): void {
    if (this.#writer.length === 0) return;
    const frames = this.#writer.take();
    if (this.#onlySpans) for (const frame of frames) this.#spanFrames.add(frame);
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
      if (frame) this.#full = this.#send(frame, this.#spanFrames.has(frame)) === false;
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
