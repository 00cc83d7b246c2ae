import { requireArguments } from '../../proto/webidl/converters.js';
import { defineInterface, INTERNAL, illegal } from '../api/interface.js';
import { CONFIGURE, type Configuration } from './configuration.js';
import type { DrawingBuffer } from './drawing-buffer.js';

/** https://gpuweb.github.io/gpuweb/#gpucanvascontext, of a canvas of a page or of `farlight/canvas`. */
export class GPUCanvasContext {
  readonly #canvas: object;
  readonly #drawing: DrawingBuffer;

  constructor(token?: unknown, canvas?: object, drawing?: DrawingBuffer) {
    if (token !== INTERNAL || !canvas || !drawing) illegal();
    this.#canvas = canvas;
    this.#drawing = drawing;
  }

  get canvas(): object {
    return this.#canvas;
  }

  configure(...args: unknown[]): undefined {
    requireArguments(args.length, 1, CONFIGURE);
    this.#drawing.configure(args[0]);
  }

  unconfigure(): undefined {
    this.#drawing.unconfigure();
  }

  getConfiguration(): Configuration | null {
    const { configuration } = this.#drawing;
    if (!configuration) return null;
    const { viewFormats, toneMapping } = configuration;
    return { ...configuration, viewFormats: [...viewFormats], toneMapping: { ...toneMapping } };
  }

  getCurrentTexture(): GPUTexture {
    return this.#drawing.currentTexture();
  }
}

defineInterface('GPUCanvasContext', GPUCanvasContext);
