import { FOREIGN_ID } from '../../../proto/wire/handle.js';
import type { Kept } from '../live/live-objects.js';
import { type Entry, objectIn } from '../objects/object-table.js';
import { DecodedCommand } from '../wire/decoded-command.js';
import { scoped } from './checked.js';
import type { SessionParts } from './session-state.js';

/**
 * Has a destroyed resource, a view or a bind group made when a command names it. `entryOf` gives the entries of its parts,
 * of which this keeps no others.
 */
export function makeLate(
  context: SessionParts['context'],
  entry: Entry,
  { command, operands, payloads, isDestroyed, label }: Kept<DecodedCommand>,
  entryOf: (id: number) => Entry,
): void {
  const { kind, device: owner } = entry;
  if (!owner) return;
  const parts = new Map(operands.filter((id) => id !== FOREIGN_ID).map((id) => [id, entryOf(id)] as const));
  const part = (id: number) => objectIn(parts.get(id) as Entry);
  const make = () => {
    // Another command of the same template may be the one that names the object.
    const own = new DecodedCommand(command.shape, false);
    own.fill(operands, payloads, (id, kinds) =>
      id === FOREIGN_ID ? context.invalidObject(owner, kinds) : part(id),
    );
    const object = create(context, part(operands[0] as number), own);
    if (isDestroyed) (object as GPUBuffer).destroy();
    return object;
  };
  entry.late = () => {
    const { result } = scoped(owner.object as GPUDevice, () => {
      try {
        return make();
      } catch {
        // An exception means no object, as it did when the program made the object.
        return undefined;
      }
    });
    const object = result ?? context.invalidObject(owner, [kind]);
    if (label !== undefined) (object as GPUObjectBase).label = label;
    return object;
  };
}

function create(
  { parkable: { copyable } }: SessionParts['context'],
  receiver: object,
  command: DecodedCommand,
): object | undefined {
  const device = receiver as GPUDevice;
  const { args, operation } = command;
  const [descriptor = {}] = args as [object?];
  if (operation.creates === 'GPUBuffer')
    return copyable.buffer({ ...(descriptor as GPUBufferDescriptor), mappedAtCreation: false }, (as) =>
      device.createBuffer(as),
    );
  if (operation.creates === 'GPUTexture')
    return copyable.texture(descriptor as GPUTextureDescriptor, (as) => device.createTexture(as));
  const isView = operation.creates === 'GPUTextureView';
  if (isView && copyable.refusesView(receiver, descriptor)) return undefined;
  return command
    .method(receiver)
    .apply(receiver, isView ? copyable.viewArgs(receiver, args) : args) as object;
}
