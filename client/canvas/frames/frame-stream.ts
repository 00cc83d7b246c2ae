import { native } from '../../../link/machine/globals.js';
import { MOST_UNDER_WAY } from './frame-pace.js';

/**
 * Frames that a stream holds for who takes them. A program that draws at the pace it is given never has it drop one: a
 * frame is requested while the one before is drawn, which is not under way yet.
 */
export const MOST_HELD: number = MOST_UNDER_WAY + 1;

interface Held<T> {
  readonly frame: Promise<T>;
  readonly taken: () => void;
}

/** The frames of a canvas from now on, for one who takes them one by one. */
export class FrameStream<T> implements AsyncIterableIterator<T> {
  readonly #signal: AbortSignal | undefined;
  readonly #left: (stream: FrameStream<T>) => void;
  #held: Held<T>[] = [];
  /** Who has asked for a frame that there is not yet. */
  #asking: ((frame: Promise<T> | undefined) => void)[] = [];
  #ended = false;
  readonly #end = () => this.#finish();

  /**
   * @param signal ends the stream, after the frames that it holds then.
   * @param left called when the stream takes no more.
   */
  constructor(signal: AbortSignal | undefined, left: (stream: FrameStream<T>) => void) {
    this.#signal = signal;
    this.#left = left;
    if (signal?.aborted) this.#ended = true;
    else signal?.addEventListener('abort', this.#end);
  }

  /** Resolves when the frame was taken, or will not be. Where as many are held as may be, it is not read at all. */
  offer(read: () => Promise<T>): Promise<void> {
    if (this.#ended || this.#held.length >= MOST_HELD) return native.Promise.resolve();
    const frame = read();
    // Whoever takes it hears of it.
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

  /** Takes no more, and gives up what is held. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#finish();
    for (const { taken } of this.#held) taken();
    this.#held = [];
    return this.#result(undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Rejects where the frame cannot be read: the stream has ended then. */
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
