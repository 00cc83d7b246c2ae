import type { Entry } from '../objects/object-table.js';
import type { Awaited, Context } from './context.js';

/** The host's label is for the implementation's messages alone; handles that share the object share it. */
export function setLabel(context: Context, _self: Entry, [id, label]: [number, string]): void {
  const { object, device } = context.objects.get(id);
  if (!object || !('label' in object)) return;
  if (device) context.opened(device).shared.withdraw(object);
  object.label = label;
}

export function acknowledge(): Awaited {
  return { promise: Promise.resolve() };
}
