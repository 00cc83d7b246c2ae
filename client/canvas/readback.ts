import { native } from '../../link/machine/globals.js';
import { GPUBufferUsage, GPUMapMode } from '../../proto/gen/webgpu.js';
import type { DrawnFrame } from './drawing-buffer.js';
import { type FramePixels, texelBytes } from './pixels.js';

/** Rows in a buffer begin at multiples of this many bytes. */
const ROW_ALIGNMENT = 256;
/** How many buffers are kept for later frames. */
const MOST_FREE = 3;

/** Reads frames from the GPU: copies each to a buffer there, and maps it. */
export class Readback {
  /** Buffers that no frame uses now, all of one device and length. */
  #free: GPUBuffer[] = [];
  #freeOf: GPUDevice | undefined;

  /**
   * Resolves to the result of `take`. The pixels are valid while `take` runs. The texture is copied before
   * this returns: from then on it may be drawn to or destroyed.
   *
   * Rejects if the texture could not be made or was destroyed, or if its device is lost.
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
 * Submits commands that are not the program's: the program's error scopes and handlers do not get their
 * validation errors. Resolves to a validation error or null; rejects if the device is lost.
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
