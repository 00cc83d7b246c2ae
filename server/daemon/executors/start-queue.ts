import { clearTimeout, setImmediate, setTimeout } from '../../../link/machine/clock.js';

export interface StartTurnsOptions {
  /** How many start at a time. */
  most: number;
  /** How long one has its turn, in milliseconds, where it does not say that it has started. Default 5 s. */
  longestMs?: number;
}

/** A GPU that takes longer to open than this is not worth waiting for with all others. */
const LONGEST_MS = 5000;

/**
 * Has processes start a few at a time, in the order in which they came. To start one holds this process up, the more so
 * the busier the processors are: many at once, and nobody would be heard meanwhile, nor would any of them be ready sooner.
 */
export class StartTurns {
  readonly #options: StartTurnsOptions;
  readonly #waiting = new Set<() => void>();
  #starting = 0;

  constructor(options: StartTurnsOptions) {
    this.#options = options;
  }

  /** Calls `start` when it is its turn. Returns what says that it has started, or will not. */
  take(start: () => void): () => void {
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
      // In a turn of its own: who has come meanwhile is heard between two.
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
