import { enforceRange } from '../../proto/webidl/converters.js';
import { INTERNAL } from '../api/interface.js';
import { GPUCanvasContext } from './canvas-context.js';
import { PlainElement } from './elements.js';
import { pace } from './frames/animation.js';
import type { Picture } from './picture.js';
import { type Frame, Presentation } from './presentation.js';

/** The context of a canvas in this process: that of WebGPU, except for the type of its canvas. */
export type CanvasContext = Omit<GPUCanvasContextOfWebGPU, 'canvas'> & { readonly canvas: Canvas };
type GPUCanvasContextOfWebGPU = globalThis.GPUCanvasContext;

/** The width and height of a canvas whose own are out of range. */
const DEFAULT_WIDTH = 300;
const DEFAULT_HEIGHT = 150;
const MOST_PIXELS = 2 ** 31 - 1;

/** A canvas without a screen. Drawn frames stay on the GPU until they are read. */
export class Canvas extends PlainElement {
  readonly #presentation: Presentation;
  #context: CanvasContext | undefined;

  /** @throws TypeError if a size is not an integer from 0 on. */
  constructor(width: number = DEFAULT_WIDTH, height: number = DEFAULT_HEIGHT) {
    super('canvas');
    this.#presentation = new Presentation(dimension(width, 'width'), dimension(height, 'height'));
  }

  get width(): number {
    return this.#presentation.width;
  }

  /** Setting a size empties the canvas, also if the size does not change. */
  set width(value: unknown) {
    this.#presentation.width = withDefault(value, DEFAULT_WIDTH);
    this.#presentation.drawing.replace();
  }

  get height(): number {
    return this.#presentation.height;
  }

  set height(value: unknown) {
    this.#presentation.height = withDefault(value, DEFAULT_HEIGHT);
    this.#presentation.drawing.replace();
  }

  // One pixel of the canvas is one pixel of a screen.
  get clientWidth(): number {
    return this.width;
  }

  get clientHeight(): number {
    return this.height;
  }

  getBoundingClientRect() {
    const { width, height } = this;
    return { x: 0, y: 0, left: 0, top: 0, right: width, bottom: height, width, height };
  }

  /** The one context of the canvas; null for any type but `webgpu`. */
  getContext(type: string): CanvasContext | null {
    if (type !== 'webgpu') return null;
    this.#context ??= new GPUCanvasContext(
      INTERNAL,
      this,
      this.#presentation.drawing,
    ) as unknown as CanvasContext;
    return this.#context;
  }

  /**
   * Ends the frame. The drawn pixels become the canvas's picture, and the frame's texture can no longer be
   * used. A frame also ends when the callbacks of an animation frame have run.
   *
   * Resolves when the next frame may be drawn: when the GPU, and the programs that take the frames, have room
   * for it.
   */
  present(): Promise<void> {
    this.#presentation.endFrame();
    return pace.free();
  }

  /**
   * The canvas's picture now: the frame that is being drawn, with everything submitted, or else the last
   * presented frame. Rejects if its device is lost, or could not make its texture.
   */
  readPixels(): Promise<Picture> {
    return this.#presentation.read();
  }

  /** The same, as a PNG file. */
  async toPNG(): Promise<Uint8Array> {
    return (await this.readPixels()).toPNG();
  }

  /**
   * The frames that are presented from now on, one after the other. A program that draws is held back until
   * its frames are taken. If it does not wait, frames are lost. The frames end with `break`; after the signal
   * is aborted, they end with the last frame presented before.
   */
  frames({ signal }: { signal?: AbortSignal | undefined } = {}): AsyncIterableIterator<Frame> {
    return this.#presentation.frames(signal);
  }
}

function dimension(value: unknown, name: string): number {
  return enforceRange(value, 0, MOST_PIXELS, 'unsigned long', `a canvas's ${name}`);
}

function withDefault(value: unknown, otherwise: number): number {
  const pixels = Number(value) >>> 0;
  return pixels > MOST_PIXELS ? otherwise : pixels;
}
