import { CONTENT_NAME_BYTES, type ContentName, toContentName } from '../../proto/content/content.js';
import { ProtocolError } from '../../proto/errors.js';
import { type FarlightGPUError, readFarlightGPUError } from '../../proto/gen/operations.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { Reader } from '../../proto/wire/reader.js';
import { OUTCOME, REPLY, type Rejection } from '../../proto/wire/reply.js';
import { type ActivityReport, readActivity } from '../../proto/wire/spans.js';

/** What a device wants to hear of. */
export interface DeviceEvents {
  onUncapturedError(error: FarlightGPUError<never>): void;
  onLost(reason: string, message: string): void;
}

/** An awaited command that its reply settles. */
export interface Settles {
  operation: AnyOperation;
  /** The host answered. */
  resolve(reply: unknown): void;
  /** The host refused. */
  refuse(rejection: Rejection): void;
  /** The answer cannot be read. */
  reject(error: unknown): void;
  /** A part of a long answer came, ahead of it. Absent where the answer has none. */
  part: ((bytes: Uint8Array) => void) | undefined;
}

/** Who the records of a batch are for. */
export interface Recipients {
  /** Takes the awaited command of a serial out of the pending ones. Throws ProtocolError where there is none. */
  take(serial: number): Settles;
  device(id: number): DeviceEvents | undefined;
  /** A part of a long answer. Throws ProtocolError where none is awaited that may come in parts. */
  part(serial: number, bytes: Uint8Array): void;
  /** The host lacks a content that a command named. Throws ProtocolError where none did. */
  missing(name: ContentName): void;
  /** The host has compiled these pipelines already. Throws ProtocolError where they are no names. */
  held(names: Uint8Array): void;
  /** What the host did, where it was asked to tell. */
  activity(report: ActivityReport): void;
}

/**
 * Reads a batch of replies and settles what they answer, in their order. Throws ProtocolError at the
 * first record that the protocol does not allow; those before it stand. Returns true where all of it was one
 * part of a long answer, whose bytes were copied.
 */
export function readReplies(batch: Uint8Array, recipients: Recipients): boolean {
  const r = new Reader(batch);
  const isPart = batch[0] === REPLY.part;
  let records = 0;
  while (!r.done) {
    records += 1;
    const kind = r.u8();
    if (kind === REPLY.settled) {
      settle(r, recipients.take(r.u32()));
    } else if (kind === REPLY.uncaptured) {
      const id = r.u32();
      const error = readFarlightGPUError<never>(r);
      recipients.device(id)?.onUncapturedError(error);
    } else if (kind === REPLY.lost) {
      const id = r.u32();
      const reason = r.string();
      const message = r.string();
      recipients.device(id)?.onLost(reason, message);
    } else if (kind === REPLY.missing) {
      // Copied: the name outlives the batch.
      recipients.missing(toContentName(r.take(CONTENT_NAME_BYTES, CONTENT_NAME_BYTES).slice()));
    } else if (kind === REPLY.part) {
      recipients.part(r.u32(), r.bytes());
    } else if (kind === REPLY.held) {
      recipients.held(r.bytes());
    } else if (kind === REPLY.activity) {
      recipients.activity(readActivity(r));
    } else {
      throw new ProtocolError(`a reply of kind ${kind}`);
    }
  }
  return isPart && records === 1;
}

function settle(r: Reader, settles: Settles): void {
  try {
    if (r.index(2) === OUTCOME.fulfilled) settles.resolve(settles.operation.readReply(r));
    else settles.refuse({ name: r.string(), message: r.string(), reason: r.string() });
  } catch (error) {
    settles.reject(error);
    throw error;
  }
}
