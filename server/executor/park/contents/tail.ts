import { GPUTextureUsage } from '../../../../proto/gen/webgpu.js';
import type { TailPiece } from './pieces.js';

/** One byte for each texel. A copy of it may begin at any byte of a buffer. */
const FORMAT = 'r8uint';
/** For a copy of one row any value will do. */
const ROW = { bytesPerRow: 256 };

/** Copies the last bytes of a buffer. @returns a texture to destroy after the submit. */
export function copyTail(
  device: GPUDevice,
  encoder: GPUCommandEncoder,
  source: GPUBuffer,
  { offset, bytes }: TailPiece,
  target: GPUBuffer,
  at: number,
): GPUTexture {
  const texture = textureOf(device, bytes);
  encoder.copyBufferToTexture({ buffer: source, offset, ...ROW }, { texture }, [bytes]);
  encoder.copyTextureToBuffer({ texture }, { buffer: target, offset: at, ...ROW }, [bytes]);
  return texture;
}

/** Writes the last bytes of a buffer. */
export function writeTail(
  device: GPUDevice,
  buffer: GPUBuffer,
  { offset, bytes }: TailPiece,
  data: Uint8Array<ArrayBuffer>,
): void {
  const texture = textureOf(device, bytes);
  device.queue.writeTexture({ texture }, data, {}, [bytes]);
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture }, { buffer, offset, ...ROW }, [bytes]);
  device.queue.submit([encoder.finish()]);
  texture.destroy();
}

function textureOf(device: GPUDevice, width: number): GPUTexture {
  const { COPY_SRC, COPY_DST } = GPUTextureUsage;
  return device.createTexture({ size: [width], format: FORMAT, usage: COPY_SRC | COPY_DST });
}
