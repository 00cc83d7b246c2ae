import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';

/** The longest time that a timer can have, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;
/** How often the time to the next attempt doubles at most. */
const MOST_DOUBLINGS = 6;

/**
 * Tells when a session has had no command for long enough to be parked. Where its contents were read in vain, it waits twice
 * as long until the next attempt.
 */
export class IdleWatch {
  readonly #idleMs: number;
  readonly #onIdle: () => void;
  #workedAt = monotonicNow();
  /** How often its contents were read in vain since it was parked last. */
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param idleMs in milliseconds; 0: never. */
  constructor(idleMs: number, onIdle: () => void) {
    this.#idleMs = idleMs;
    this.#onIdle = onIdle;
  }

  /** The session had a command. */
  worked(): void {
    this.#workedAt = monotonicNow();
  }

  /** Waits from now on, until the session is idle. */
  start(): void {
    this.worked();
    this.#look();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  failed(): void {
    this.#failures = Math.min(this.#failures + 1, MOST_DOUBLINGS);
  }

  succeeded(): void {
    this.#failures = 0;
  }

  #look(): void {
    clearTimeout(this.#timer);
    if (this.#idleMs === 0) return;
    const left = this.#workedAt + this.#idleMs * 2 ** this.#failures - monotonicNow();
    if (left <= 0) this.#onIdle();
    else this.#timer = setTimeout(() => this.#look(), Math.min(left, LONGEST_MS)).unref();
  }
}
