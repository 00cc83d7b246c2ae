import { native } from '../../../link/machine/globals.js';

export type FrameCallback = (time: number) => void;

/** A browser's own frames, or those of a clock. */
export interface Frames {
  request(callback: FrameCallback): number;
  cancel(id: number): void;
}

/** Frames that may be under way before a program that animates waits for one: a line of 30 ms is full with three. */
export const MOST_UNDER_WAY = 3;

/**
 * Animation frames, held back while as many of them as may are being computed or on their way: a program that draws
 * sixty a second would otherwise be further ahead of a slower host from second to second.
 */
export class FramePace {
  readonly #frames: Frames;
  readonly #most: number;
  #underWay = 0;
  #nextId = -1;
  /** Requests that wait, by ids below 0, which no browser gives. */
  readonly #held = new Map<number, FrameCallback>();
  /** Who waits until a frame may begin. */
  #waiting: (() => void)[] = [];
  /** What those got from the browser that it has been asked for since. */
  readonly #released = new Map<number, number>();

  constructor(frames: Frames, most: number = MOST_UNDER_WAY) {
    this.#frames = frames;
    this.#most = most;
  }

  /** As requestAnimationFrame. */
  request(callback: FrameCallback): number {
    if (this.#underWay < this.#most) return this.#frames.request(callback);
    const id = this.#nextId--;
    this.#held.set(id, callback);
    return id;
  }

  /** As cancelAnimationFrame. */
  cancel(id: number): void {
    if (this.#held.delete(id)) return;
    this.#frames.cancel(this.#released.get(id) ?? id);
    this.#released.delete(id);
  }

  /** Resolves when a frame may begin: for a program that draws one after the other by itself. */
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

  /** A frame is shown, or never will be. Comes once for each that began. */
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
