import { GPUBufferUsage, GPUMapMode } from '../../../../proto/gen/webgpu.js';
import { checked, scoped } from '../checked.js';
import { type BufferPiece, PIECE_BYTES, type Piece, type ShaderPiece } from './pieces.js';
import { copyTail } from './tail.js';
import type { Texels } from './texels.js';

/** A part's place in the buffer is a multiple of this, as a copy of any format demands. */
const PLACE_BYTES = 256;

/** A part of a resource that is to be read. */
export interface Wanted {
  readonly id: number;
  readonly resource: GPUBuffer | GPUTexture;
  readonly piece: Piece;
}

/**
 * Reads parts of a device's buffers and textures, and gives their bytes to `take`, which may keep nothing of them. No
 * command of the program may come meanwhile. Its error scopes stay as they are. Nothing more is read once `take` has
 * returned false.
 *
 * @throws Error where a part cannot be read, or the device is lost.
 */
export async function readContents(
  device: GPUDevice,
  texels: Texels,
  wanted: readonly Wanted[],
  take: (wanted: Wanted, bytes: Uint8Array) => Promise<boolean>,
): Promise<void> {
  const [mappable, others] = [wanted.filter(isMappable), wanted.filter((each) => !isMappable(each))];
  for (const each of mappable) if (!(await readMapped(device, each, take))) return;
  await readCopies(device, texels, others, take);
}

/** Whether a part of a texture has exactly these texels. */
export async function hasTexels(
  device: GPUDevice,
  texels: Texels,
  texture: GPUTexture,
  piece: ShaderPiece,
  bytes: Uint8Array,
): Promise<boolean> {
  let isSame = false;
  await readContents(device, texels, [{ id: 0, resource: texture, piece }], async (_, found) => {
    isSame = Buffer.compare(found, bytes) === 0;
    return isSame;
  });
  return isSame;
}

/** Such a buffer cannot be copied from. */
function isMappable({ resource }: Wanted): boolean {
  return 'size' in resource && (resource.usage & GPUBufferUsage.MAP_READ) !== 0;
}

async function readMapped(
  device: GPUDevice,
  wanted: Wanted,
  take: (wanted: Wanted, bytes: Uint8Array) => Promise<boolean>,
): Promise<boolean> {
  const buffer = wanted.resource as GPUBuffer;
  const { offset, bytes } = wanted.piece as BufferPiece;
  await scoped(device, () => buffer.mapAsync(GPUMapMode.READ, offset, bytes)).result;
  try {
    return await take(wanted, new Uint8Array(buffer.getMappedRange(offset, bytes)));
  } finally {
    buffer.unmap();
  }
}

/** Copies parts aside, as many at a time as fit one buffer. */
async function readCopies(
  device: GPUDevice,
  texels: Texels,
  wanted: readonly Wanted[],
  take: (wanted: Wanted, bytes: Uint8Array) => Promise<boolean>,
): Promise<void> {
  if (wanted.length === 0) return;
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  // A whole level of a texture with depth or stencil may be longer than the other pieces.
  const size = wanted.reduce((most, { piece }) => Math.max(most, placeOf(piece)), PIECE_BYTES);
  const descriptor = { label: 'parked contents', size, usage: COPY_DST | MAP_READ };
  const { result: buffer, done: made } = checked(device, () => device.createBuffer(descriptor));
  try {
    await made;
    for (const group of groupsOf(wanted)) {
      const { done: copied } = checked(device, () => {
        const encoder = device.createCommandEncoder();
        const between = group.flatMap(({ each, at }) => copy(device, texels, encoder, each, buffer, at));
        device.queue.submit([encoder.finish()]);
        for (const resource of between) resource.destroy();
      });
      await copied;
      await buffer.mapAsync(GPUMapMode.READ);
      const mapped = new Uint8Array(buffer.getMappedRange());
      for (const { each, at } of group)
        if (!(await take(each, mapped.subarray(at, at + each.piece.bytes)))) return;
      buffer.unmap();
    }
  } finally {
    buffer.destroy();
  }
}

/** @returns the resources that the copy needs, to destroy after the submit. */
function copy(
  device: GPUDevice,
  texels: Texels,
  encoder: GPUCommandEncoder,
  { resource, piece }: Wanted,
  buffer: GPUBuffer,
  offset: number,
): (GPUBuffer | GPUTexture)[] {
  if (piece.kind === 'buffer') {
    encoder.copyBufferToBuffer(resource as GPUBuffer, piece.offset, buffer, offset, piece.bytes);
    return [];
  }
  if (piece.kind === 'tail') return [copyTail(device, encoder, resource as GPUBuffer, piece, buffer, offset)];
  if (piece.kind === 'shader') return texels.read(encoder, resource as GPUTexture, piece, buffer, offset);
  const { aspect, mipLevel, origin, size, bytesPerRow, rowsPerImage } = piece;
  encoder.copyTextureToBuffer(
    { texture: resource as GPUTexture, aspect, mipLevel, origin },
    { buffer, offset, bytesPerRow, rowsPerImage },
    size,
  );
  return [];
}

/** The bytes that a part takes in the buffer. */
function placeOf({ bytes }: Piece): number {
  return Math.ceil(bytes / PLACE_BYTES) * PLACE_BYTES;
}

/** Parts that fit the buffer together, with their places there. */
function* groupsOf(wanted: readonly Wanted[]): Generator<{ each: Wanted; at: number }[]> {
  let group: { each: Wanted; at: number }[] = [];
  let end = 0;
  for (const each of wanted) {
    if (end + each.piece.bytes > PIECE_BYTES && group.length > 0) {
      yield group;
      group = [];
      end = 0;
    }
    group.push({ each, at: end });
    end += placeOf(each.piece);
  }
  if (group.length > 0) yield group;
}
