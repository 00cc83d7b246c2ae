import { native } from '../../link/machine/globals.js';
import { GPUTextureUsage } from '../../proto/gen/webgpu.js';
import { describe, isObject } from '../../proto/webidl/converters.js';
import { DrawingBuffer, type DrawnFrame, type Surface } from './drawing-buffer.js';
import { beingDrawn, pace } from './frames/animation.js';
import { FrameStream } from './frames/frame-stream.js';
import { Picture } from './picture.js';
import { imageBytes } from './pixels.js';
import { Readback, submit } from './readback.js';

/** A frame of a canvas, as it was presented. */
export interface Frame extends Picture {
  /** Which frame of its canvas, from 1 on. */
  readonly number: number;
}

/** The last frame that was presented, in a texture that nobody draws to. */
interface Shown extends DrawnFrame {
  /** Why it has no picture, once that is known. */
  readonly problem: Promise<string | undefined>;
}

/** What a canvas without a page does with its frames: it keeps the last one on the GPU, and brings those asked for. */
export class Presentation implements Surface {
  readonly drawing: DrawingBuffer = new DrawingBuffer(this);
  width: number;
  height: number;
  readonly #readback = new Readback();
  readonly #streams = new Set<FrameStream<Frame>>();
  #end: (() => void) | undefined;
  #shown: Shown | undefined;
  #presented = 0;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
  }

  /** A device of Farlight or of any other WebGPU: all that is done with it is what its program could do. */
  toDevice(value: unknown, where: string): GPUDevice {
    if (isObject(value) && typeof (value as GPUDevice).createTexture === 'function')
      return value as GPUDevice;
    throw new TypeError(`${where}: ${describe(value)} is not a GPUDevice`);
  }

  began(end: () => void): void {
    this.#end = end;
    beingDrawn.add(this);
  }

  cleared(): void {
    this.#over();
    this.#shown?.texture.destroy();
    this.#shown = undefined;
  }

  /** Presents what was drawn, if anything was since the last time. */
  endFrame(): void {
    this.#end?.();
  }

  present(frame: DrawnFrame): void {
    this.#over();
    this.#presented += 1;
    const shown = this.#show(frame);
    const number = this.#presented;
    const offered = [...this.#streams].map((stream) =>
      stream.offer(async () => Object.assign(await this.#read(shown), { number })),
    );
    pace.began();
    // A device that is lost has no more work to do: its program hears of it elsewhere.
    native.Promise.allSettled([frame.device.queue.onSubmittedWorkDone(), ...offered]).then(() =>
      pace.ended(),
    );
  }

  /** What the canvas has at this moment: the frame that is being drawn, or else the last one. */
  async read(): Promise<Picture> {
    const { frame, configuration } = this.drawing;
    if (frame) return this.#read(frame);
    if (this.#shown) return this.#read(this.#shown);
    const { width, height } = this;
    const data = new Uint8ClampedArray(4 * width * height);
    if (configuration?.alphaMode === 'opaque') for (let at = 3; at < data.length; at += 4) data[at] = 255;
    return new Picture(data, width, height, configuration?.colorSpace ?? 'srgb');
  }

  frames(signal: AbortSignal | undefined): FrameStream<Frame> {
    const stream = new FrameStream<Frame>(signal, (ended) => this.#streams.delete(ended));
    if (!signal?.aborted) this.#streams.add(stream);
    return stream;
  }

  /** No frame is being drawn any more. */
  #over(): void {
    this.#end = undefined;
    beingDrawn.delete(this);
  }

  /** Copies the frame to a texture that stays: its own is the program's no longer, and errors if it is used again. */
  #show({ device, texture: drawn, format, alphaMode, colorSpace }: DrawnFrame): Shown {
    const { width, height } = drawn;
    const last = this.#shown?.device === device ? this.#shown.texture : undefined;
    const texture =
      last ??
      device.createTexture({
        label: 'canvas, presented',
        size: [width, height],
        format,
        usage: GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST,
      });
    const copied = submit(device, (encoder) =>
      encoder.copyTextureToTexture({ texture: drawn }, { texture }, [width, height]),
    );
    drawn.destroy();
    const problem = copied.then(
      (error) => error?.message,
      () => 'the device is lost',
    );
    this.#shown = { device, texture, format, alphaMode, colorSpace, problem };
    return this.#shown;
  }

  async #read(frame: DrawnFrame | Shown): Promise<Picture> {
    const { width, height } = frame.texture;
    const data = await this.#readback.read(frame, imageBytes);
    const problem = 'problem' in frame ? await frame.problem : undefined;
    if (problem) throw new Error(`the canvas has no picture: ${problem}`);
    return new Picture(data, width, height, frame.colorSpace);
  }
}
