import { native } from '../../../link/machine/globals.js';

export type FrameCallback = (time: number) => void;

/** A browser's own frames, or the frames of a clock. */
export interface Frames {
  request(callback: FrameCallback): number;
  cancel(id: number): void;
}

/**
 * How many frames may be under way before a program that animates waits. Three frames fill a line of 30 ms.
 */
export const MOST_UNDER_WAY = 3;

/**
 * Animation frames that are held back while too many frames are being computed or on their way. Otherwise a
 * program that draws 60 frames a second would get further and further ahead of a slower host.
 */
export class FramePace {
  readonly #frames: Frames;
  readonly #most: number;
  #underWay = 0;
  #nextId = -1;
  /** Requests that wait, by ids below 0, which no browser uses. */
  readonly #held = new Map<number, FrameCallback>();
  /** Resolve when a frame may begin. */
  #waiting: (() => void)[] = [];
  /** The browser's ids of requests that were passed on to it since. */
  readonly #released = new Map<number, number>();

  constructor(frames: Frames, most: number = MOST_UNDER_WAY) {
    this.#frames = frames;
    this.#most = most;
  }

  /** Like requestAnimationFrame. */
  request(callback: FrameCallback): number {
    if (this.#underWay < this.#most) return this.#frames.request(callback);
    const id = this.#nextId--;
    this.#held.set(id, callback);
    return id;
  }

  /** Like cancelAnimationFrame. */
  cancel(id: number): void {
    if (this.#held.delete(id)) return;
    this.#frames.cancel(this.#released.get(id) ?? id);
    this.#released.delete(id);
  }

  /** Resolves when a frame may begin, for a program that draws in its own loop. */
  free(): Promise<void> {
    if (this.#underWay < this.#most) return native.Promise.resolve();
    return new native.Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** A frame was submitted. */
  began(): void {
    this.#underWay += 1;
  }

  /** A frame is shown, or never will be. Called once for each frame that began. */
  ended(): void {
    this.#underWay -= 1;
    if (this.#underWay >= this.#most) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
    const held = [...this.#held];
    this.#held.clear();
    for (const [id, callback] of held) {
      const given = this.#frames.request((time) => {
        this.#released.delete(id);
        callback(time);
      });
      this.#released.set(id, given);
    }
  }
}
