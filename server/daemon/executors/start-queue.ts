import { clearTimeout, setImmediate, setTimeout } from '../../../link/machine/clock.js';

export interface StartQueueOptions {
  /** How many processes start at a time. */
  most: number;
  /** After how many milliseconds the next process starts, even if this one is not ready. Default 5 s. */
  longestMs?: number;
}

/** The default of `longestMs`: no other process has to wait longer for a slow GPU to open. */
const LONGEST_MS = 5000;

/**
 * Starts processes a few at a time, in order. Each start blocks this process, longer when the processors are busy. Many
 * at once would keep clients from being served meanwhile, and none of the processes would be ready sooner.
 */
export class StartQueue {
  readonly #options: StartQueueOptions;
  readonly #waiting = new Set<() => void>();
  #starting = 0;

  constructor(options: StartQueueOptions) {
    this.#options = options;
  }

  /** Calls `start` in its turn. @returns a function that says the process has started, or will not start. */
  add(start: () => void): () => void {
    let timer: NodeJS.Timeout | undefined;
    const begin = () => {
      this.#starting += 1;
      timer = setTimeout(end, this.#options.longestMs ?? LONGEST_MS).unref();
      start();
    };
    const end = () => {
      if (this.#waiting.delete(begin) || !timer) return;
      clearTimeout(timer);
      timer = undefined;
      this.#starting -= 1;
      // In a later turn of the event loop, so that clients are served between two starts.
      setImmediate(() => this.#next());
    };
    this.#waiting.add(begin);
    this.#next();
    return end;
  }

  #next(): void {
    const [first] = this.#waiting;
    if (!first || this.#starting >= this.#options.most) return;
    this.#waiting.delete(first);
    first();
  }
}
