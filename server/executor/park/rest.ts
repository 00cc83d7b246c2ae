import { GPUBufferUsage, GPUTextureUsage } from '../../../proto/gen/webgpu.js';
import { isOpen } from '../live/live-objects.js';
import type { Made } from '../live/made.js';
import type { MappedRange } from '../live/parkable.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import { AtWork, Unparkable } from '../wire/endpoint.js';
import { type Piece, piecesOfBuffer, piecesOfTexture } from './contents/pieces.js';
import type { SessionParts } from './session-state.js';

/** A resource with contents that are to be stored. */
export interface Resource {
  readonly id: number;
  readonly device: number;
  readonly object: GPUBuffer | GPUTexture;
  readonly pieces: readonly Piece[];
}

const released = () => new Unparkable('a device was released, and objects of it are still there');

/** @throws Unparkable unless everything that the client has asked for is done, and nothing is half done. */
export function checkRest({ context, runner, held, assembler }: SessionParts): void {
  const { live } = context.parkable;
  if (!runner.isSettled || !held.isEmpty || assembler.isPartial) throw new AtWork();
  if (live.isOver) throw new Unparkable('its objects are too many to be noted');
  for (const entry of context.objects.entries)
    if (isOpen(entry)) throw new Unparkable(`a ${entry.kind} is not finished, or not submitted`);
  if (!context.lines.isEmpty) throw new Unparkable('it has lines to other hosts');
  if (context.memory.ledger.hasReservation) throw new Unparkable('it has reserved GPU memory');
  for (const queue of context.objects.all('GPUQueue'))
    if (context.uploads.isDropping(queue)) throw new Unparkable('a long write is half done');
}

/**
 * The buffers and textures with contents.
 *
 * @throws Unparkable where one of them, or a query set, cannot be read or made again with the same contents.
 */
export function resourcesOf({ context }: SessionParts): Resource[] {
  const { live } = context.parkable;
  const devices = new Set([...context.objects.all('GPUDevice')].map(({ id }) => id));
  for (const { device } of context.objects.entries) if (device && !devices.has(device.id)) throw released();
  const resources: Resource[] = [];
  for (const made of live.entries()) {
    const { id, operands, command } = made;
    const { interface: parent, creates } = command.operation;
    if (parent !== 'GPUDevice') continue;
    const device = operands[0] as number;
    const entry = devices.has(device) ? context.objects.get(device) : undefined;
    if (!entry) throw released();
    if (made.isDestroyed || made.isValid === false || context.devices.of(entry).isLost) continue;
    const object = objectOf(context, made) as object;
    if (creates === 'GPUQuerySet' && made.isWritten)
      throw new Unparkable(`the query set ${named(object)} has results, which cannot be written again`);
    if (creates === 'GPUBuffer')
      resources.push({
        id,
        device,
        object: object as GPUBuffer,
        pieces: buffer(object as GPUBuffer, made, context.parkable.mapped),
      });
    else if (creates === 'GPUTexture')
      resources.push({ id, device, object: object as GPUTexture, pieces: texture(object as GPUTexture) });
  }
  return resources;
}

/** The object of an entry, whether the client has its handle or not. */
export function objectOf(
  { objects }: SessionParts['context'],
  { id, isNamed, object }: Made<DecodedCommand>,
): object | undefined {
  return isNamed ? objects.get(id).object : object;
}

function buffer(
  object: GPUBuffer,
  { command }: Made<DecodedCommand>,
  mapped: WeakMap<GPUBuffer, MappedRange>,
): Piece[] {
  // The program cannot change what it has mapped for reading.
  const isFixed = object.mapState === 'unmapped' || (object.mapState === 'mapped' && mapped.has(object));
  if (!isFixed) throw new Unparkable(`the buffer ${named(object)} is mapped`);
  const { usage } = (command.args[0] ?? {}) as GPUBufferDescriptor;
  // It is filled while it is mapped at its creation, which needs a multiple of 4.
  if (object.size % 4 !== 0 && usage & GPUBufferUsage.MAP_WRITE)
    throw new Unparkable(`the buffer ${named(object)} of ${object.size} bytes cannot be filled again`);
  const pieces = piecesOfBuffer(object.size);
  // Only a map reads such a buffer, and no map reaches the tail.
  return usage & GPUBufferUsage.MAP_READ ? pieces.filter(({ kind }) => kind === 'buffer') : pieces;
}

function texture(object: GPUTexture): Piece[] {
  // Between two passes such a texture has no defined contents.
  if (object.usage & GPUTextureUsage.TRANSIENT_ATTACHMENT) return [];
  const pieces = piecesOfTexture(object);
  if (pieces) return pieces;
  const { format, sampleCount } = object;
  const samples = sampleCount === 1 ? '' : `, ${sampleCount} samples`;
  throw new Unparkable(`the texture ${named(object)} (${format}${samples}) cannot be read`);
}

/** A resource's name in messages. */
export function named(object: object): string {
  const { label = '' } = object as { label?: string };
  return label === '' ? 'without a label' : `'${label}'`;
}
