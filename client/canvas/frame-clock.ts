import { queueMicrotask } from '../../link/clock.js';
import type { FrameCallback, Frames } from './frame-pace.js';

/** How far apart frames are, as on most screens. */
const FRAME_MS = 1000 / 60;

/** Where frames get their time. */
export interface Timers {
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** Animation frames of a process that has no screen: sixty a second, while any are requested. */
export class FrameClock implements Frames {
  readonly #timers: Timers;
  readonly #ended: () => void;
  readonly #requested = new Map<number, FrameCallback>();
  #lastId = 0;
  #timer: unknown;

  /** @param ended called after each frame's callbacks. */
  constructor(timers: Timers, ended: () => void) {
    this.#timers = timers;
    this.#ended = ended;
  }

  request(callback: FrameCallback): number {
    if (typeof callback !== 'function') throw new TypeError('requestAnimationFrame takes a function');
    this.#lastId += 1;
    this.#requested.set(this.#lastId, callback);
    this.#timer ??= this.#timers.setTimeout(() => this.#frame(), FRAME_MS - (this.#timers.now() % FRAME_MS));
    return this.#lastId;
  }

  cancel(id: number): void {
    this.#requested.delete(id);
    if (this.#requested.size > 0) return;
    this.#timers.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #frame(): void {
    this.#timer = undefined;
    const time = this.#timers.now();
    // What a callback requests is for the next frame.
    for (const id of [...this.#requested.keys()]) {
      const callback = this.#requested.get(id);
      this.#requested.delete(id);
      try {
        callback?.(time);
      } catch (error) {
        // The program's own, as from its timers; the other callbacks have their turn.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    this.#ended();
  }
}
