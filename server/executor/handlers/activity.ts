import { SPAN } from '../../../proto/activity.js';
import type { Entry } from '../objects/object-table.js';
import type { Context } from './context.js';

/** Kinds that this host does not know are none that it could tell of. */
export function watch(context: Context, _self: Entry, [kinds]: [number]): void {
  context.tellOf(kinds);
}

/** The sooner it leaves, the better the client knows when this was. */
export function readClock({ activity, replies }: Context, _self: Entry, [number]: [number]): void {
  const now = activity.now();
  activity.add(SPAN.clock, { start: now, end: now, number });
  activity.flush();
  replies.leaveNow();
}
