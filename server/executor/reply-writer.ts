import type { ContentName } from '../../proto/content.js';
import { type FarlightGPUError, writeFarlightGPUError } from '../../proto/gen/operations.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { OUTCOME, REPLY, type Rejection } from '../../proto/wire/reply.js';
import { Writer } from '../../proto/wire/writer.js';

const SETTLED = Promise.resolve();

/** Collects replies; those of one job leave together, when its promise reactions are over. */
export class ReplyWriter {
  readonly #writer = new Writer({ initialCapacity: 1024 });
  readonly #send: (frame: Uint8Array) => void;
  #scheduled = false;
  readonly #flush = () => {
    this.#scheduled = false;
    for (const frame of this.#writer.take()) this.#send(frame);
  };

  constructor(send: (frame: Uint8Array) => void) {
    this.#send = send;
  }

  /** Throws RangeError, and replies nothing, where the reply is larger than may be sent at once. */
  fulfilled(serial: number, operation: AnyOperation, reply: unknown): void {
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
    this.#writer.u8(REPLY.missing);
    this.#writer.append(name);
    this.#schedule();
  }

  /** Names of pipelines, one after the other. */
  held(names: Uint8Array): void {
    this.#writer.u8(REPLY.held);
    this.#writer.bytes(names);
    this.#schedule();
  }

  #begin(kind: number, id: number): void {
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
}
