import { SPAN } from '../../../proto/session/spans.js';
import { type Entry, objectIn } from '../objects/object-table.js';
import type { PendingReply } from '../wire/reply-writer.js';
import type { Context } from './context.js';

/** The label is for the implementation's messages alone. Handles that stand for one object share its label. */
export function setLabel(context: Context, _self: Entry, [id, label]: [number, string]): void {
  const entry = context.objects.get(id);
  const { device, late, made } = entry;
  const object = late ? objectIn(entry) : entry.object;
  if (!object || !('label' in object)) return;
  if (device) context.devices.of(device).shared.withdraw(object);
  object.label = label;
  if (made) Object.assign(made, { label });
}

export function acknowledge(): PendingReply {
  return { promise: Promise.resolve() };
}

/** The client may ask for kinds of spans that this host does not know. The host has none of these. */
export function watch(context: Context, _self: Entry, [kinds]: [number]): void {
  context.watch(kinds);
}

/** The reply leaves at once: the sooner it does, the better the client knows when this was. */
export function readClock({ tracer, replies }: Context, _self: Entry, [number]: [number]): void {
  const now = tracer.now();
  tracer.add(SPAN.clock, { start: now, end: now, number });
  tracer.deliver();
  replies.leaveNow();
}
