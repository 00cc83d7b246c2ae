import type { Clock } from '#farlight/link/machine/timer.js';

interface Waiting {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

/** A clock that goes from one timer to the next, once all that can happen before has happened. */
export class EventTime implements Clock {
  #now = 0;
  #order = 0;
  #waiting: Waiting[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, act: () => void): void {
    this.#waiting.push({ at: this.#now + ms, order: this.#order++, act });
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets time pass until a promise has settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    promise.then(over, over);
    await turn();
    while (!isOver) {
      if (this.#waiting.length > 0) await this.#step();
      else if (!(await this.#fileRead(() => isOver)))
        throw new Error(`nothing is left to happen at ${this.#now} ms`);
    }
    return promise;
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    await this.until(this.sleep(ms));
  }

  /** Waits for files that are read, which no timer shows. Returns false if none comes. */
  async #fileRead(isOver: () => boolean): Promise<boolean> {
    for (let wait = 0; wait < 15_000; wait += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (isOver() || this.#waiting.length > 0) return true;
    }
    return false;
  }

  async #step(): Promise<void> {
    let first = 0;
    for (const [index, { at, order }] of this.#waiting.entries()) {
      const least = this.#waiting[first] as Waiting;
      if (at < least.at || (at === least.at && order < least.order)) first = index;
    }
    const [next] = this.#waiting.splice(first, 1) as [Waiting];
    this.#now = Math.max(this.#now, next.at);
    next.act();
    await turn();
  }
}

/** All promises that can settle do, and what they put off to the end of their turn of the event loop happens. */
async function turn(): Promise<void> {
  for (let end = 0; end < 2; end += 1) await new Promise((resolve) => setImmediate(resolve));
}
