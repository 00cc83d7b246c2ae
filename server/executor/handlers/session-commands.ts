import type { Awaited, Context } from '../context.js';
import type { Entry } from '../objects.js';

export function setLabel({ objects }: Context, _self: Entry, [id, label]: [number, string]): void {
  const { object } = objects.get(id);
  if (object && 'label' in object) object.label = label;
}

export function acknowledge(): Awaited {
  return { promise: Promise.resolve() };
}
