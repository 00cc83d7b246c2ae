import { ProtocolError } from '../../../proto/errors.js';
import type { Awaited, Context } from '../context.js';
import type { Entry } from '../objects.js';

/** Ids and generations in turn. */
export function release({ objects, garbage }: Context, _self: Entry, [handles]: [number[]]): void {
  if (handles.length % 2 !== 0) throw new ProtocolError('a release with half a handle');
  for (let at = 0; at < handles.length; at += 2) {
    const { kind, object } = objects.release(handles[at] as number, handles[at + 1] as number);
    if (kind === 'GPUBuffer' || kind === 'GPUTexture') garbage.released(object as GPUBuffer | GPUTexture);
  }
}

export function setLabel(
  { objects }: Context,
  _self: Entry,
  [id, generation, label]: [number, number, string],
): void {
  const { object } = objects.get(id, generation);
  if (object && 'label' in object) object.label = label;
}

export function acknowledge(): Awaited {
  return { promise: Promise.resolve() };
}
