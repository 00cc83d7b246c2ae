import { native } from '../../link/machine/globals.js';
import { slot } from '../../proto/webidl/slots.js';
import { INTERNAL, receiver } from '../api/interface.js';
import { GPUCanvasContext as PageCanvasContext } from '../canvas/canvas-context.js';
import { DrawingBuffer, type DrawnFrame, type Surface } from '../canvas/drawing-buffer.js';
import { whenTaskEnds } from '../session/process/task-end.js';
import { type Canvas, type Context2d, Presenter, pace } from './presenter.js';

type GetContext = (this: Canvas, type: string, ...more: unknown[]) => unknown;

/** The canvas prototypes that exist here: a worker has only the second. */
const prototypes = [globalThis.HTMLCanvasElement?.prototype, globalThis.OffscreenCanvas?.prototype].filter(
  (prototype) => prototype !== undefined,
) as unknown as { getContext: GetContext }[];
const natives = prototypes.map((prototype) => ({
  prototype,
  getContext: prototype.getContext,
  widthOf: slot<number>(prototype, 'width'),
}));

const offscreenWidth = slot<number>(globalThis.OffscreenCanvas?.prototype, 'width');

const contexts = new WeakMap<Canvas, PageCanvasContext>();
/** Canvases that are known to have a context of the browser's own. */
const taken = new WeakSet<Canvas>();
/** Canvases that are drawn to in the current task: their pixels are not here yet. */
const drawnTo = new WeakSet<Canvas>();

/**
 * A canvas of this page. A frame begins when its texture is first asked for, and ends with that task. It is
 * copied from the host to the canvas, and appears when it arrives.
 */
class PageSurface implements Surface {
  readonly #canvas: Canvas;
  readonly #presenter: Presenter;

  constructor(canvas: Canvas, context: Context2d) {
    this.#canvas = canvas;
    this.#presenter = new Presenter(context);
  }

  get width(): number {
    return this.#canvas.width;
  }

  get height(): number {
    return this.#canvas.height;
  }

  toDevice(value: unknown, where: string): GPUDevice {
    receiver(value, 'GPUDevice', where);
    return value as GPUDevice;
  }

  began(end: () => void): void {
    drawnTo.add(this.#canvas);
    whenTaskEnds(end);
  }

  cleared(): void {
    drawnTo.delete(this.#canvas);
  }

  present(frame: DrawnFrame): void {
    drawnTo.delete(this.#canvas);
    this.#presenter.present(frame);
  }
}

/**
 * The WebGPU context of a canvas, as `getContext('webgpu')` returns it after `install`. Null if the canvas
 * has a context of another kind.
 */
export function canvasContext(canvas: HTMLCanvasElement | OffscreenCanvas): GPUCanvasContext | null {
  let context = contexts.get(canvas);
  if (!context) {
    if (taken.has(canvas)) return null;
    // Recognized by its slot: the canvas may belong to an iframe.
    const native = natives.find(({ widthOf }) => widthOf(canvas) !== undefined);
    if (!native) throw new TypeError('canvasContext takes an HTMLCanvasElement or an OffscreenCanvas');
    // Frames from the host are drawn by the CPU, and often.
    const plain = native.getContext.call(canvas, '2d', { willReadFrequently: true }) as Context2d | null;
    if (!plain) return null;
    const drawing = new DrawingBuffer(new PageSurface(canvas, plain));
    context = new PageCanvasContext(INTERNAL, canvas, drawing);
    contexts.set(canvas, context);
  }
  return context as unknown as GPUCanvasContext;
}

/** Makes `getContext('webgpu')` of every canvas return a context of Farlight. */
function patchGetContext(): void {
  for (const { prototype, getContext } of natives) {
    prototype.getContext = function (type, ...more) {
      if (type === 'webgpu') return canvasContext(this);
      // A canvas has only one context.
      if (contexts.has(this)) return null;
      const context = getContext.call(this, type, ...more);
      if (context) taken.add(this);
      return context;
    };
  }
}

/**
 * Throws if a program reads an offscreen canvas in the same task in which the GPU draws to it, as
 * TensorFlow.js does in `dataSync`: it would read old pixels. A canvas that people see is read as it is.
 */
function patchDrawImage(): void {
  const { CanvasRenderingContext2D: element, OffscreenCanvasRenderingContext2D: offscreen } =
    globalThis as Partial<typeof globalThis>;
  for (const prototype of [element?.prototype, offscreen?.prototype]) {
    if (!prototype) continue;
    const native = prototype.drawImage as (this: unknown, ...args: unknown[]) => void;
    prototype.drawImage = function (this: unknown, ...args: unknown[]) {
      if (offscreenWidth(args[0]) !== undefined && drawnTo.has(args[0] as OffscreenCanvas)) throw tooEarly();
      native.apply(this, args);
    };
  }
}

function tooEarly(): DOMException {
  return new native.DOMException(
    'A remote GPU cannot be read at once. Await the data: in TensorFlow.js, call data() in place of dataSync().',
    'InvalidStateError',
  );
}

let installed = false;

/**
 * Makes canvases show the host's frames, and makes a program that animates wait if the host is slower than
 * the screen.
 */
export function installCanvases(): void {
  if (installed) return;
  installed = true;
  patchGetContext();
  patchDrawImage();
  if (!('requestAnimationFrame' in globalThis)) return;
  globalThis.requestAnimationFrame = (callback) => pace.request(callback);
  globalThis.cancelAnimationFrame = (id) => pace.cancel(id);
}
