import type { DrawnFrame } from '../canvas/drawing-buffer.js';
import { FramePace } from '../canvas/frames/frame-pace.js';
import { type FramePixels, imageBytes } from '../canvas/pixels.js';
import { Readback } from '../canvas/readback.js';

export type Canvas = HTMLCanvasElement | OffscreenCanvas;
export type Context2d = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

const { requestAnimationFrame, cancelAnimationFrame } = globalThis;

/** The frames of this page, or of this worker. */
export const pace = new FramePace({
  request: (callback) => requestAnimationFrame.call(globalThis, callback),
  cancel: (id) => cancelAnimationFrame.call(globalThis, id),
});

/** How many frames of a canvas may be on their way. Beyond that, only the newest one waits. */
const MOST_UNDER_WAY = 3;

/** Brings frames from the host to a canvas of the page. */
export class Presenter {
  readonly #context: Context2d;
  readonly #readback = new Readback();
  #underWay = 0;
  #waiting: DrawnFrame | undefined;

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
    const brought = this.#readback.read(frame, (pixels) => this.#draw(pixels, frame.colorSpace));
    frame.texture.destroy();
    // Rejected: the device is lost, or the texture could not be made. The program learns of it elsewhere, and
    // the canvas stays as it was.
    brought
      .catch(() => {})
      .finally(() => {
        this.#underWay -= 1;
        pace.ended();
        const next = this.#waiting;
        this.#waiting = undefined;
        if (next) this.present(next);
      });
  }

  #draw(frame: FramePixels, colorSpace: PredefinedColorSpace): void {
    const image = new ImageData(imageBytes(frame), frame.width, frame.height, { colorSpace });
    this.#context.putImageData(image, 0, 0);
  }
}
