import { toWire } from '../../../proto/session/memory.js';
import type { Entry } from '../objects/object-table.js';
import type { PendingReply } from '../wire/reply-writer.js';
import type { Context } from './context.js';

export function read({ memoryReports }: Context): PendingReply {
  return { promise: memoryReports.read(), reply: toWire };
}

/** The reply is made now: commands that come next change the peak. */
export function resetPeak({ memory }: Context): PendingReply {
  return { promise: Promise.resolve(memory.ledger.resetPeak()) };
}

/** The next commands may draw from the reservation. So they wait if the session must ask the host. */
export function reserve(context: Context, _self: Entry, [bytes]: [number]): PendingReply {
  const { memory, memoryReports } = context;
  const isAtOnce = memory.canReserve(bytes);
  const promise = memoryReports.reserve(bytes);
  if (!isAtOnce) context.pauseUntil(promise);
  return { promise };
}

export function release({ memory }: Context, _self: Entry, [bytes]: [number]): void {
  memory.ledger.release(bytes);
}

export function watch({ memoryReports }: Context, _self: Entry, [on]: [boolean]): void {
  memoryReports.watch(on);
}
