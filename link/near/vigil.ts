import { availableParallelism } from 'node:os';
import { monotonicNow, setImmediate } from '../machine/clock.js';

export interface VigilOptions {
  /** Milliseconds of any steady clock. */
  now?(): number;
  /** Calls back when the event loop has looked once for what has come. */
  soon?(look: () => void): void;
  /** How many threads the machine runs at once. */
  cores?: number;
}

/** The longest that a thread stays awake for an answer, in milliseconds. */
const QUICK_MS = 0.2;
/**
 * How many more answers have come within that before it does: some do by chance, while V8 still needs the cores. One
 * that took longer counts as so many, and more than twice the number are not counted.
 */
const ENOUGH = 32;
const SLOW_WEIGHT = 8;

/**
 * Keeps this thread's event loop awake for an answer of a process on this machine that will most likely be there in a
 * moment, because those before were. To put a thread to sleep and to wake it again, which is the sender's work, takes
 * as long as all else that a short round trip does. Answers that take longer are waited for asleep, as ever.
 */
export class Vigil {
  readonly #now: () => number;
  readonly #soon: (look: () => void) => void;
  readonly #isPossible: boolean;
  #askedAt = Number.NEGATIVE_INFINITY;
  #isWaiting = false;
  /** How many more answers came within the time that is worth it than did not. */
  #quick = 0;
  #isAwake = false;

  constructor({ now = monotonicNow, soon = setImmediate, cores }: VigilOptions = {}) {
    this.#now = now;
    this.#soon = soon;
    // With one core it would be the peer's time.
    this.#isPossible = (cores ?? availableParallelism()) > 1;
  }

  /** Something was sent that the peer will answer. */
  asked(): void {
    if (!this.#isPossible) return;
    this.#askedAt = this.#now();
    this.#isWaiting = true;
    if (this.#quick < ENOUGH || this.#isAwake) return;
    this.#isAwake = true;
    this.#soon(this.#look);
  }

  /** Something came from the peer. */
  answered(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    const more = this.#isInTime ? 1 : -SLOW_WEIGHT;
    this.#quick = Math.min(Math.max(this.#quick + more, 0), 2 * ENOUGH);
  }

  readonly #look = () => {
    this.#isAwake = this.#isWaiting && this.#isInTime;
    if (this.#isAwake) this.#soon(this.#look);
  };

  get #isInTime(): boolean {
    return this.#now() - this.#askedAt < QUICK_MS;
  }
}
