import { enforceRange } from '../../proto/webidl/converters.js';
import { INTERNAL } from '../api/interface.js';
import { GPUCanvasContext } from './canvas-context.js';
import { PlainElement } from './elements.js';
import { pace } from './frames/animation.js';
import type { Picture } from './picture.js';
import { type Frame, Presentation } from './presentation.js';

/** The context of a canvas of this process: WebGPU's own, beside what its canvas is. */
export type CanvasContext = Omit<GPUCanvasContextOfWebGPU, 'canvas'> & { readonly canvas: Canvas };
type GPUCanvasContextOfWebGPU = globalThis.GPUCanvasContext;

/** What a width or height becomes that is out of the range of a canvas's. */
const DEFAULT_WIDTH = 300;
const DEFAULT_HEIGHT = 150;
const MOST_PIXELS = 2 ** 31 - 1;

/** A canvas that no screen has. What is drawn to it stays on the GPU until it is read. */
export class Canvas extends PlainElement {
  readonly #presentation: Presentation;
  #context: CanvasContext | undefined;

  /** @throws TypeError where one is not an integer from 0 on. */
  constructor(width: number = DEFAULT_WIDTH, height: number = DEFAULT_HEIGHT) {
    super('canvas');
    this.#presentation = new Presentation(dimension(width, 'width'), dimension(height, 'height'));
  }

  get width(): number {
    return this.#presentation.width;
  }

  /** Setting a size empties the canvas, also where it is the one that it has. */
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

  // Each pixel is one of a screen's.
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

  /** The canvas's one context; null for one of another kind than `webgpu`. */
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
   * Ends the frame: what was drawn is the canvas's picture, and its texture can be used no longer. A frame also ends
   * when the callbacks of an animation frame have run.
   *
   * Resolves when the next frame may be drawn: not before the GPU, and those who take the frames, have room for it.
   */
  present(): Promise<void> {
    this.#presentation.endFrame();
    return pace.free();
  }

  /**
   * The canvas's picture at this moment: the frame that is being drawn, with all that was submitted, or else the last
   * one that was presented. Rejects where its device is lost, or could not make its texture.
   */
  readPixels(): Promise<Picture> {
    return this.#presentation.read();
  }

  /** The same, as a file. */
  async toPNG(): Promise<Uint8Array> {
    return (await this.readPixels()).toPNG();
  }

  /**
   * The frames that are presented from now on, one after the other, as long as somebody takes them: a program that
   * draws is held back until they are taken, and loses frames where it does not heed that. They end with `break`, or
   * after those that were presented when the signal is aborted.
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
