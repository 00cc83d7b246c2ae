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

/** What a canvas does with the frames that are drawn to it. */
export interface Surface {
  readonly width: number;
  readonly height: number;
  /** The device of a configuration, or a TypeError. */
  toDevice(value: unknown, where: string): GPUDevice;
  /** A frame begins. Calling `end` ends it, where it was not given up before. */
  began(end: () => void): void;
  /** The frame is given up, and what was presented before goes too: the canvas is empty. */
  cleared(): void;
  /** The frame has ended. Its texture is the surface's, which destroys it. */
  present(frame: DrawnFrame): void;
}

/**
 * What a context draws to: its configuration, and the texture of the current frame. When a frame ends is the canvas's
 * matter. https://gpuweb.github.io/gpuweb/#canvas-context
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
    // Raises the error of the device that the texture will be, or throws for a format that the device has not.
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
    // A canvas whose size is set loses what was drawn. A page does not say when that is.
    if (this.#frame && (this.#frame.texture.width !== width || this.#frame.texture.height !== height))
      this.replace();
    this.#frame ??= this.#begin(configuration);
    return this.#frame.texture;
  }

  /** Gives up what is drawn and was presented. */
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
      // To be presented.
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
