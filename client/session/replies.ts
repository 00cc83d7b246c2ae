import { ProtocolError } from '../../proto/errors.js';
import { type FarlightGPUError, readFarlightGPUError } from '../../proto/gen/operations.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { Reader } from '../../proto/wire/reader.js';
import { OUTCOME, REPLY, type Rejection } from '../../proto/wire/reply.js';
import { asException } from '../api/errors.js';

/** What a device wants to hear of. */
export interface DeviceEvents {
  onUncapturedError(error: FarlightGPUError<never>): void;
  onLost(reason: string, message: string): void;
}

interface Settles {
  operation: AnyOperation;
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

/**
 * Reads a batch of replies and settles what they answer, in their order. Throws ProtocolError at the
 * first record that the protocol does not allow; those before it stand.
 */
export function readReplies(
  batch: Uint8Array,
  take: (serial: number) => Settles,
  device: (id: number) => DeviceEvents | undefined,
): void {
  const r = new Reader(batch);
  while (!r.done) {
    const kind = r.u8();
    if (kind === REPLY.settled) {
      settle(r, take(r.u32()));
    } else if (kind === REPLY.uncaptured) {
      const id = r.u32();
      const error = readFarlightGPUError<never>(r);
      device(id)?.onUncapturedError(error);
    } else if (kind === REPLY.lost) {
      const id = r.u32();
      const reason = r.string();
      const message = r.string();
      device(id)?.onLost(reason, message);
    } else {
      throw new ProtocolError(`a reply of kind ${kind}`);
    }
  }
}

function settle(r: Reader, { operation, resolve, reject }: Settles): void {
  try {
    if (r.index(2) === OUTCOME.fulfilled) resolve(operation.readReply(r));
    else reject(asException(readRejection(r)));
  } catch (error) {
    reject(error);
    throw error;
  }
}

function readRejection(r: Reader): Rejection {
  return { name: r.string(), message: r.string(), reason: r.string() };
}
