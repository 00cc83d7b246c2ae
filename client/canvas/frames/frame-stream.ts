import { native } from '../../../link/machine/globals.js';
import { MOST_UNDER_WAY } from './frame-pace.js';

/**
 * How many frames a stream keeps for the program that takes them. A program that draws at the given pace
 * loses none: it requests a frame while it draws the one before, which is not under way yet.
 */
export const MOST_HELD: number = MOST_UNDER_WAY + 1;

interface Held<T> {
  readonly frame: Promise<T>;
  readonly taken: () => void;
}

/** The frames of a canvas from now on, for a program that takes them one by one. */
export class FrameStream<T> implements AsyncIterableIterator<T> {
  readonly #signal: AbortSignal | undefined;
  readonly #left: (stream: FrameStream<T>) => void;
  #held: Held<T>[] = [];
  /** Calls of `next` that wait for a frame. */
  #asking: ((frame: Promise<T> | undefined) => void)[] = [];
  #ended = false;
  readonly #end = () => this.#finish();

  /**
   * @param signal ends the stream, after the frames that it has then.
   * @param left called when the stream takes no more frames.
   */
  constructor(signal: AbortSignal | undefined, left: (stream: FrameStream<T>) => void) {
    this.#signal = signal;
    this.#left = left;
    if (signal?.aborted) this.#ended = true;
    else signal?.addEventListener('abort', this.#end);
  }

  /** Resolves when the frame was taken, or never will be. A full stream does not read the frame at all. */
  offer(read: () => Promise<T>): Promise<void> {
    if (this.#ended || this.#held.length >= MOST_HELD) return native.Promise.resolve();
    const frame = read();
    // The error reaches the caller who takes the frame.
    frame.catch(() => {});
    const asking = this.#asking.shift();
    if (asking) {
      asking(frame);
      return native.Promise.resolve();
    }
    return new native.Promise((taken) => {
      this.#held.push({ frame, taken });
    });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const held = this.#held.shift();
    held?.taken();
    if (held || this.#ended) return this.#result(held?.frame);
    return new native.Promise((resolve) => {
      this.#asking.push((frame) => resolve(this.#result(frame)));
    });
  }

  /** Takes no more frames, and drops the frames that wait. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#finish();
    for (const { taken } of this.#held) taken();
    this.#held = [];
    return this.#result(undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Rejects if the frame cannot be read. Then the stream has ended. */
  async #result(frame: Promise<T> | undefined): Promise<IteratorResult<T, undefined>> {
    if (!frame) return { done: true, value: undefined };
    try {
      return { done: false, value: await frame };
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.#end);
    this.#left(this);
    for (const answer of this.#asking) answer(undefined);
    this.#asking = [];
  }
}
