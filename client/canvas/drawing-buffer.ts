import { native } from '../../link/machine/globals.js';
import { GPUTextureUsage } from '../../proto/gen/webgpu.js';
import { type AlphaMode, type ColorSpace, type Configuration, toConfiguration } from './configuration.js';
import type { CanvasFormat } from './pixels.js';

/** A frame that a program draws, or has drawn. */
export interface DrawnFrame {
  readonly device: GPUDevice;
  readonly texture: GPUTexture;
  readonly format: CanvasFormat;
  readonly alphaMode: AlphaMode;
  readonly colorSpace: ColorSpace;
}

/** Receives the frames that are drawn to a canvas. */
export interface Surface {
  readonly width: number;
  readonly height: number;
  /** The device of a configuration; throws TypeError if the value is none. */
  toDevice(value: unknown, where: string): GPUDevice;
  /** A frame begins. Calling `end` ends it, unless it was given up before. */
  began(end: () => void): void;
  /** The frame is given up, and the presented frame, too: the canvas is empty. */
  cleared(): void;
  /** The frame has ended. Its texture belongs to the surface, which destroys it. */
  present(frame: DrawnFrame): void;
}

/**
 * The target of a context: its configuration, and the texture of the current frame. The surface decides when
 * a frame ends. https://gpuweb.github.io/gpuweb/#canvas-context
 */
export class DrawingBuffer {
  readonly #surface: Surface;
  #configuration: Configuration | undefined;
  #frame: DrawnFrame | undefined;

  constructor(surface: Surface) {
    this.#surface = surface;
  }

  get configuration(): Configuration | undefined {
    return this.#configuration;
  }

  /** The frame that is being drawn. */
  get frame(): DrawnFrame | undefined {
    return this.#frame;
  }

  configure(given: unknown): void {
    const configuration = toConfiguration(given, (value, where) => this.#surface.toDevice(value, where));
    // Raises the error that the device will have for this texture. Throws if the device lacks the format.
    this.#create(configuration).destroy();
    this.#configuration = configuration;
    this.replace();
  }

  unconfigure(): void {
    this.#configuration = undefined;
    this.replace();
  }

  currentTexture(): GPUTexture {
    const configuration = this.#configuration;
    if (!configuration) {
      const message =
        'GPUCanvasContext.getCurrentTexture: the canvas is not configured; call configure first.';
      throw new native.DOMException(message, 'InvalidStateError');
    }
    const { width, height } = this.#surface;
    // Setting a canvas's size discards its content. A page does not tell when that happens, so compare the
    // sizes.
    if (this.#frame && (this.#frame.texture.width !== width || this.#frame.texture.height !== height))
      this.replace();
    this.#frame ??= this.#begin(configuration);
    return this.#frame.texture;
  }

  /** Discards the drawn and the presented frame. */
  replace(): void {
    this.#frame?.texture.destroy();
    this.#frame = undefined;
    this.#surface.cleared();
  }

  #begin(configuration: Configuration): DrawnFrame {
    const { device, format, alphaMode, colorSpace } = configuration;
    const frame = { device, format, alphaMode, colorSpace, texture: this.#create(configuration) };
    this.#surface.began(() => this.#end(frame));
    return frame;
  }

  #create({ device, format, usage, viewFormats }: Configuration): GPUTexture {
    const { width, height } = this.#surface;
    return device.createTexture({
      label: 'canvas',
      size: [width, height],
      format,
      // So that it can be presented.
      usage: usage | GPUTextureUsage.COPY_SRC,
      viewFormats: [...viewFormats],
    });
  }

  #end(frame: DrawnFrame): void {
    if (frame !== this.#frame) return;
    this.#frame = undefined;
    this.#surface.present(frame);
  }
}
