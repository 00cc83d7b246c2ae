import { native } from '../../link/globals.js';
import { GPUTextureUsage } from '../../proto/gen/webgpu.js';
import { enforceRange, requireArguments, toDictionary, toEnum } from '../../proto/webidl/converters.js';
import { CANVAS_FORMATS, type CanvasFormat } from '../browser/canvas-pixels.js';
import { type Canvas, type Context2d, Presenter } from '../browser/presenter.js';
import { whenTaskEnds } from '../session/task-end.js';
import { defineInterface, INTERNAL, illegal, receiver } from './define.js';

interface Configuration {
  readonly device: GPUDevice;
  readonly format: CanvasFormat;
  readonly usage: number;
  readonly viewFormats: readonly GPUTextureFormat[];
  readonly colorSpace: PredefinedColorSpace;
  readonly toneMapping: GPUCanvasToneMapping;
  readonly alphaMode: 'opaque' | 'premultiplied';
}

/** Canvases that are drawn to in the current task: what comes of it is not here yet. */
export const drawnTo: WeakSet<Canvas> = new WeakSet();

const CONFIGURE = 'GPUCanvasContext.configure';

/**
 * https://gpuweb.github.io/gpuweb/#gpucanvascontext, on a canvas of this page. A frame is what was drawn when the task
 * ends in which its texture was first asked for; it is copied from the host to the canvas, and is there when it has
 * come.
 */
export class GPUCanvasContext {
  readonly #canvas: Canvas;
  readonly #presenter: Presenter;
  #configuration: Configuration | undefined;
  #texture: GPUTexture | undefined;

  constructor(token?: unknown, canvas?: Canvas, context?: Context2d) {
    if (token !== INTERNAL || !canvas || !context) illegal();
    this.#canvas = canvas;
    this.#presenter = new Presenter(context);
  }

  get canvas(): Canvas {
    return this.#canvas;
  }

  configure(...args: unknown[]): undefined {
    requireArguments(args.length, 1, CONFIGURE);
    this.#configuration = toConfiguration(args[0]);
    this.#drop();
  }

  unconfigure(): undefined {
    this.#configuration = undefined;
    this.#drop();
  }

  getConfiguration(): Configuration | null {
    return this.#configuration ? { ...this.#configuration } : null;
  }

  getCurrentTexture(): GPUTexture {
    const configuration = this.#configuration;
    if (!configuration) {
      const message =
        'GPUCanvasContext.getCurrentTexture: the canvas is not configured; call configure first.';
      throw new native.DOMException(message, 'InvalidStateError');
    }
    const { width, height } = this.#canvas;
    // A canvas whose size is set loses what was drawn.
    if (this.#texture && (this.#texture.width !== width || this.#texture.height !== height)) this.#drop();
    this.#texture ??= this.#begin(configuration);
    return this.#texture;
  }

  #begin({ device, format, usage, viewFormats }: Configuration): GPUTexture {
    const { width, height } = this.#canvas;
    const texture = device.createTexture({
      label: 'canvas',
      size: [width, height],
      format,
      // To be brought here.
      usage: usage | GPUTextureUsage.COPY_SRC,
      viewFormats: [...viewFormats],
    });
    drawnTo.add(this.#canvas);
    whenTaskEnds(() => this.#end(texture));
    return texture;
  }

  #end(texture: GPUTexture): void {
    if (texture !== this.#texture || !this.#configuration) return;
    this.#texture = undefined;
    drawnTo.delete(this.#canvas);
    this.#presenter.present({ ...this.#configuration, texture });
  }

  /** Gives up what is being drawn. */
  #drop(): void {
    this.#texture?.destroy();
    this.#texture = undefined;
    drawnTo.delete(this.#canvas);
  }
}

defineInterface('GPUCanvasContext', GPUCanvasContext);

/** @throws TypeError where it is no GPUCanvasConfiguration. */
function toConfiguration(value: unknown): Configuration {
  const given = toDictionary(value, 'GPUCanvasConfiguration');
  const { device, usage = GPUTextureUsage.RENDER_ATTACHMENT, viewFormats = [], toneMapping = {} } = given;
  receiver(device, 'GPUDevice', `${CONFIGURE}: device`);
  const { mode = 'standard' } = toDictionary(toneMapping, 'GPUCanvasToneMapping');
  const { colorSpace = 'srgb', alphaMode = 'opaque' } = given;
  return {
    device: device as GPUDevice,
    format: toEnum(given.format, CANVAS_FORMATS, 'GPUTextureFormat', `${CONFIGURE}: format`),
    usage: enforceRange(usage, 0, 2 ** 32 - 1, 'unsigned long', `${CONFIGURE}: usage`),
    viewFormats: [...(viewFormats as Iterable<GPUTextureFormat>)],
    colorSpace: toEnum(
      colorSpace,
      ['srgb', 'display-p3'],
      'PredefinedColorSpace',
      `${CONFIGURE}: colorSpace`,
    ),
    toneMapping: {
      mode: toEnum(
        mode,
        ['standard', 'extended'],
        'GPUCanvasToneMappingMode',
        `${CONFIGURE}: toneMapping.mode`,
      ),
    },
    alphaMode: toEnum(
      alphaMode,
      ['opaque', 'premultiplied'],
      'GPUCanvasAlphaMode',
      `${CONFIGURE}: alphaMode`,
    ),
  };
}
