import { GPUBufferUsage, GPUMapMode } from '../../proto/gen/webgpu.js';
import { type CanvasFormat, type FramePixels, imageBytes, texelBytes } from './canvas-pixels.js';
import { pace } from './pace.js';

export type Canvas = HTMLCanvasElement | OffscreenCanvas;
export type Context2d = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** A frame that its program has drawn. The texture is the presenter's from then on. */
export interface DrawnFrame {
  readonly device: GPUDevice;
  readonly texture: GPUTexture;
  readonly format: CanvasFormat;
  readonly alphaMode: 'opaque' | 'premultiplied';
  readonly colorSpace: PredefinedColorSpace;
}

/** Frames of a canvas that may be on their way; of more, the newest alone waits. */
const MOST_UNDER_WAY = 3;
/** Rows in a buffer begin at multiples of so many bytes. */
const ROW_ALIGNMENT = 256;

/** Brings frames from the host to a canvas of the page: each is copied to a buffer there, mapped, and put. */
export class Presenter {
  readonly #context: Context2d;
  #underWay = 0;
  #waiting: DrawnFrame | undefined;
  /** Buffers that no frame uses at present, all of one device and length. */
  #free: GPUBuffer[] = [];
  #freeOf: GPUDevice | undefined;

  constructor(context: Context2d) {
    this.#context = context;
  }

  present(frame: DrawnFrame): void {
    if (this.#underWay >= MOST_UNDER_WAY) {
      this.#waiting?.texture.destroy();
      this.#waiting = frame;
      return;
    }
    this.#underWay += 1;
    pace.began();
    // What is rejected is a device that is lost: its program hears of it elsewhere, and the canvas stays as it was.
    this.#bring(frame)
      .catch(() => {})
      .finally(() => {
        this.#underWay -= 1;
        pace.ended();
        const next = this.#waiting;
        this.#waiting = undefined;
        if (next) this.present(next);
      });
  }

  async #bring({ device, texture, format, alphaMode, colorSpace }: DrawnFrame): Promise<void> {
    const { width, height } = texture;
    const bytesPerRow = Math.ceil((width * texelBytes(format)) / ROW_ALIGNMENT) * ROW_ALIGNMENT;
    const buffer = this.#buffer(device, bytesPerRow * height);
    // A texture that could not be made has been told of already: here it is nobody's error.
    device.pushErrorScope('validation');
    const encoder = device.createCommandEncoder();
    encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, [width, height]);
    device.queue.submit([encoder.finish()]);
    device.popErrorScope().catch(() => {});
    texture.destroy();
    await buffer.mapAsync(GPUMapMode.READ);
    const data = new Uint8Array(buffer.getMappedRange());
    this.#draw({ format, alphaMode, width, height, data, bytesPerRow }, colorSpace);
    buffer.unmap();
    if (this.#freeOf === device) this.#free.push(buffer);
    else buffer.destroy();
  }

  #draw(frame: FramePixels, colorSpace: PredefinedColorSpace): void {
    const image = new ImageData(imageBytes(frame), frame.width, frame.height, { colorSpace });
    this.#context.putImageData(image, 0, 0);
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
}
