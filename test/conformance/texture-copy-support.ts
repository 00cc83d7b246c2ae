import { BLUE, canvas, GREEN, NOTHING, RED, TEXTURE_COPY_DST, TEXTURE_COPY_SRC } from './render-support.js';

/** The meaning of the letters in a picture. */
export const names = { r: RED, g: GREEN, b: BLUE, '.': NOTHING };
export const usage = TEXTURE_COPY_SRC | TEXTURE_COPY_DST;

/** An empty texture of 4 by 4 texels that can be copied from and to. */
export function image(device: GPUDevice, descriptor: Partial<GPUTextureDescriptor> = {}): GPUTexture {
  return canvas(device, { size: [4, 4], usage, ...descriptor });
}

/** A texture with the texels that the letters of `rows` stand for. */
export function painted(
  device: GPUDevice,
  rows: string[],
  descriptor?: Partial<GPUTextureDescriptor>,
): GPUTexture {
  const texture = image(device, { size: [rows[0]?.length ?? 1, rows.length], ...descriptor });
  const texels = rows.flatMap((row) => [...row].flatMap((letter) => names[letter as keyof typeof names]));
  const layout = { bytesPerRow: texture.width * 4 };
  device.queue.writeTexture({ texture }, Uint8Array.from(texels), layout, [texture.width, texture.height]);
  return texture;
}

/** Submits what `act` encodes. */
export function copy(device: GPUDevice, act: (encoder: GPUCommandEncoder) => void): void {
  const encoder = device.createCommandEncoder();
  act(encoder);
  device.queue.submit([encoder.finish()]);
}
