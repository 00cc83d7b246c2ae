import type { Piece } from './pieces.js';
import { writeTail } from './tail.js';
import type { Texels } from './texels.js';

/** Writes a part of a resource that copies or shaders can write. */
export function writePiece(
  device: GPUDevice,
  texels: Texels,
  resource: GPUBuffer | GPUTexture,
  piece: Piece,
  bytes: Uint8Array,
): void {
  const data = bytes as Uint8Array<ArrayBuffer>;
  if (piece.kind === 'buffer') {
    device.queue.writeBuffer(resource as GPUBuffer, piece.offset, data);
    return;
  }
  if (piece.kind === 'tail') {
    writeTail(device, resource as GPUBuffer, piece, data);
    return;
  }
  if (piece.kind === 'shader') {
    texels.write(resource as GPUTexture, piece, data);
    return;
  }
  const { aspect, mipLevel, origin, size, bytesPerRow, rowsPerImage } = piece;
  device.queue.writeTexture(
    { texture: resource as GPUTexture, aspect, mipLevel, origin },
    data,
    { bytesPerRow, rowsPerImage },
    size,
  );
}

/** Writes a part of a buffer that is mapped since its creation. */
export function writeMappedPiece(buffer: GPUBuffer, piece: Piece, bytes: Uint8Array): void {
  if (piece.kind === 'buffer') new Uint8Array(buffer.getMappedRange(piece.offset, piece.bytes)).set(bytes);
}
