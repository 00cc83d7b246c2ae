import { native } from '../../link/machine/globals.js';
import { GPUBufferUsage, GPUMapMode } from '../../proto/gen/webgpu.js';
import type { DrawnFrame } from './drawing-buffer.js';
import { type FramePixels, texelBytes } from './pixels.js';

/** Rows in a buffer begin at multiples of so many bytes. */
const ROW_ALIGNMENT = 256;
/** Buffers that are kept for later frames. */
const MOST_FREE = 3;

/** Brings frames from the GPU: each is copied to a buffer there, and mapped. */
export class Readback {
  /** Buffers that no frame uses at present, all of one device and length. */
  #free: GPUBuffer[] = [];
  #freeOf: GPUDevice | undefined;

  /**
   * Resolves to what `take` makes of the pixels, which are there while it runs. The texture is copied before this
   * returns: it may then be drawn to or destroyed.
   *
   * Rejects where the texture could not be made or was destroyed, and where its device is lost.
   */
  async read<T>(frame: Omit<DrawnFrame, 'colorSpace'>, take: (pixels: FramePixels) => T): Promise<T> {
    const { device, texture, format, alphaMode } = frame;
    const { width, height } = texture;
    const bytesPerRow = Math.ceil((width * texelBytes(format)) / ROW_ALIGNMENT) * ROW_ALIGNMENT;
    const buffer = this.#buffer(device, bytesPerRow * height);
    try {
      const copied = submit(device, (encoder) =>
        encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, [width, height]),
      );
      const [error] = await native.Promise.all([copied, buffer.mapAsync(GPUMapMode.READ)]);
      if (error) throw new Error(`the canvas has no picture: ${error.message}`);
      const data = new Uint8Array(buffer.getMappedRange());
      const taken = take({ format, alphaMode, width, height, data, bytesPerRow });
      buffer.unmap();
      this.#keep(device, buffer);
      return taken;
    } catch (error) {
      buffer.destroy();
      throw error;
    }
  }

  #buffer(device: GPUDevice, size: number): GPUBuffer {
    if (this.#freeOf !== device || this.#free[0]?.size !== size) {
      for (const buffer of this.#free) buffer.destroy();
      this.#free = [];
      this.#freeOf = device;
    }
    return (
      this.#free.pop() ??
      device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
    );
  }

  #keep(device: GPUDevice, buffer: GPUBuffer): void {
    const [other = buffer] = this.#free;
    if (this.#freeOf === device && other.size === buffer.size && this.#free.length < MOST_FREE)
      this.#free.push(buffer);
    else buffer.destroy();
  }
}

/**
 * Submits commands that are not the program's: a validation error of theirs is no error that its scopes or its
 * handlers hear of. Resolves to it; rejects where the device is lost.
 */
export function submit(
  device: GPUDevice,
  record: (encoder: GPUCommandEncoder) => void,
): Promise<GPUError | null> {
  device.pushErrorScope('validation');
  const encoder = device.createCommandEncoder();
  record(encoder);
  device.queue.submit([encoder.finish()]);
  return device.popErrorScope();
}
