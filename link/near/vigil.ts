import { availableParallelism } from 'node:os';
import { monotonicNow, setImmediate } from '../machine/clock.js';

export interface VigilOptions {
  /** Returns the milliseconds of a monotonic clock. */
  now?(): number;
  /** Calls back after the event loop has read its connections once. */
  soon?(look: () => void): void;
  /** How many threads the machine can run at once. */
  cores?: number;
}

/** How long a thread stays awake for a reply, in milliseconds. */
const QUICK_MS = 0.2;
/**
 * A thread stays awake only after this many more quick replies than slow ones: some are quick by chance, while V8 still
 * needs the cores to compile. A slow reply counts as SLOW_WEIGHT quick ones. The count ends at twice this number.
 */
const ENOUGH = 32;
const SLOW_WEIGHT = 8;

/**
 * Keeps this thread's event loop awake for a reply from a process of this machine, if earlier replies were quick. To put a
 * thread to sleep and wake it takes as long as everything else in a short round trip. For slower replies the thread sleeps
 * as usual.
 */
export class Vigil {
  readonly #now: () => number;
  readonly #soon: (look: () => void) => void;
  readonly #isPossible: boolean;
  #askedAt = Number.NEGATIVE_INFINITY;
  #isWaiting = false;
  /** How many more replies were quick than slow. */
  #quick = 0;
  #isAwake = false;

  constructor({ now = monotonicNow, soon = setImmediate, cores }: VigilOptions = {}) {
    this.#now = now;
    this.#soon = soon;
    // With one core, staying awake would take the peer's time.
    this.#isPossible = (cores ?? availableParallelism()) > 1;
  }

  /** A packet was sent that the peer will reply to. */
  asked(): void {
    if (!this.#isPossible) return;
    this.#askedAt = this.#now();
    this.#isWaiting = true;
    if (this.#quick < ENOUGH || this.#isAwake) return;
    this.#isAwake = true;
    this.#soon(this.#look);
  }

  /** A packet came from the peer. */
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
