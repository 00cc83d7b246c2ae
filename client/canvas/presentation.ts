import { native } from '../../link/machine/globals.js';
import { GPUTextureUsage } from '../../proto/gen/webgpu.js';
import { describe, isObject } from '../../proto/webidl/converters.js';
import { DrawingBuffer, type DrawnFrame, type Surface } from './drawing-buffer.js';
import { beingDrawn, pace } from './frames/animation.js';
import { FrameStream } from './frames/frame-stream.js';
import { Picture } from './picture.js';
import { imageBytes } from './pixels.js';
import { Readback, submit } from './readback.js';

/** A presented frame of a canvas. */
export interface Frame extends Picture {
  /** The number of the frame in its canvas, from 1 on. */
  readonly number: number;
}

/** The frame that was presented last, in a texture that nobody draws to. */
interface Shown extends DrawnFrame {
  /** Resolves to the reason why there is no picture; to undefined if there is one. */
  readonly problem: Promise<string | undefined>;
}

/**
 * The frames of a canvas without a page: keeps the last frame on the GPU, and reads a frame when the program asks
 * for it.
 */
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

  /** A device of Farlight or of any other WebGPU: only calls that a program could make are made on it. */
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

  /** Presents the frame, if one was drawn since the last call. */
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
    // A lost device has no work left. Its program learns of the loss elsewhere.
    native.Promise.allSettled([frame.device.queue.onSubmittedWorkDone(), ...offered]).then(() =>
      pace.ended(),
    );
  }

  /** The content of the canvas now: the frame that is being drawn, or else the last presented one. */
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

  /**
   * Copies the frame to a texture that stays. The program must no longer use the frame's own texture, and
   * gets errors if it does.
   */
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
