import { queueMicrotask } from '../../../link/machine/clock.js';
import type { FrameCallback, Frames } from './frame-pace.js';

/** The time between frames, as on most screens. */
const FRAME_MS = 1000 / 60;

/** The clock and the timers of frames. */
export interface Timers {
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  whenTaskEnds(callback: () => void): void;
}

/** Animation frames for a process without a screen: 60 a second, while any are requested. */
export class FrameClock implements Frames {
  readonly #timers: Timers;
  readonly #ended: () => void;
  readonly #requested = new Map<number, FrameCallback>();
  #lastId = 0;
  #timer: unknown;
  /** When the last frame should have begun. */
  #due = Number.NEGATIVE_INFINITY;
  #inFrame = false;

  /** @param ended called after each frame, when its callbacks and their microtasks have run. */
  constructor(timers: Timers, ended: () => void) {
    this.#timers = timers;
    this.#ended = ended;
  }

  request(callback: FrameCallback): number {
    if (typeof callback !== 'function') throw new TypeError('requestAnimationFrame takes a function');
    this.#lastId += 1;
    this.#requested.set(this.#lastId, callback);
    this.#schedule();
    return this.#lastId;
  }

  cancel(id: number): void {
    this.#requested.delete(id);
    if (this.#requested.size > 0 || this.#timer === undefined) return;
    this.#timers.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Schedules nothing before a frame has ended: a timer that is due at once would fire before that. */
  #schedule(): void {
    if (this.#requested.size === 0 || this.#timer !== undefined || this.#inFrame) return;
    const now = this.#timers.now();
    this.#due = Math.max(this.#due + FRAME_MS, now);
    this.#timer = this.#timers.setTimeout(() => this.#frame(), this.#due - now);
  }

  #frame(): void {
    this.#timer = undefined;
    this.#inFrame = true;
    const time = this.#timers.now();
    // Requests that a callback makes are for the next frame.
    for (const id of [...this.#requested.keys()]) {
      const callback = this.#requested.get(id);
      this.#requested.delete(id);
      try {
        callback?.(time);
      } catch (error) {
        // Thrown later, like the program's own errors in timers, so that the other callbacks still run.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    this.#timers.whenTaskEnds(() => {
      this.#inFrame = false;
      this.#ended();
      this.#schedule();
    });
  }
}
