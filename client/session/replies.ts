import { CONTENT_NAME_BYTES, type ContentName, toContentName } from '../../proto/content/content.js';
import { ProtocolError } from '../../proto/errors.js';
import {
  type FarlightGPUError,
  readFarlightGPUError,
  readFarlightMemoryState,
} from '../../proto/gen/operations.js';
import { fromWire, type MemoryState } from '../../proto/session/memory.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { Reader } from '../../proto/wire/reader.js';
import { OUTCOME, REPLY, type Rejection } from '../../proto/wire/reply.js';
import { readSpanReport, type SpanReport } from '../../proto/wire/span-report.js';

/** The events of a device. */
export interface DeviceEvents {
  onUncapturedError(error: FarlightGPUError<never>): void;
  onLost(reason: string, message: string): void;
}

/** An awaited command, which its reply settles. */
export interface Settles {
  operation: AnyOperation;
  /** The host answered. */
  resolve(reply: unknown): void;
  /** The host refused. */
  refuse(rejection: Rejection): void;
  /** The reply cannot be read. */
  reject(error: unknown): void;
  /** A part of a long result has arrived, before the reply. Absent if the result has no parts. */
  part: ((bytes: Uint8Array) => void) | undefined;
}

/** The recipients of the records in a flush of replies. */
export interface Recipients {
  /** Takes the awaited command of a serial out of the pending ones. Throws ProtocolError if there is none. */
  take(serial: number): Settles;
  device(id: number): DeviceEvents | undefined;
  /** A part of a long result. Throws ProtocolError if the awaited result has no parts. */
  part(serial: number, bytes: Uint8Array): void;
  /** The host lacks a content that a command named. Throws ProtocolError if no command named it. */
  missing(name: ContentName): void;
  /** The host has compiled these pipelines already. Throws ProtocolError if the bytes are no names. */
  held(names: Uint8Array): void;
  /** Spans of the host's work, which the client has asked for. */
  activity(report: SpanReport): void;
  /** The session's memory, which the client watches. */
  memory(state: MemoryState): void;
}

/**
 * Reads a flush of replies, and settles their commands in order. Throws ProtocolError at the first record that the
 * protocol does not allow; the records before it stay settled. Returns true if the flush was one part of a long result,
 * whose bytes were copied.
 */
export function readReplies(flush: Uint8Array, recipients: Recipients): boolean {
  const r = new Reader(flush);
  const isPart = flush[0] === REPLY.part;
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
      // Copied: the name outlives the flush.
      recipients.missing(toContentName(r.take(CONTENT_NAME_BYTES, CONTENT_NAME_BYTES).slice()));
    } else if (kind === REPLY.part) {
      recipients.part(r.u32(), r.bytes());
    } else if (kind === REPLY.held) {
      recipients.held(r.bytes());
    } else if (kind === REPLY.activity) {
      recipients.activity(readSpanReport(r));
    } else if (kind === REPLY.memory) {
      recipients.memory(fromWire(readFarlightMemoryState(r)));
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
