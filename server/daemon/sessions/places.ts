import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';

export interface PlacesOptions {
  /** Whether a process for another session of the tenant may start now. */
  hasRoom(tenant: string): boolean;
  /** How long a session may wait for a place, in milliseconds. */
  waitMs: number;
}

interface Waiting {
  readonly tenant: string;
  readonly start: () => void;
  /** Undefined where it waits until it is told to stop. */
  readonly timer: NodeJS.Timeout | undefined;
}

/**
 * Makes new sessions wait while processes of ended sessions still run, and parked sessions while others have their places.
 * So a client that opens and closes sessions never has more processes than it may have sessions.
 */
export class Places {
  readonly #options: PlacesOptions;
  /** The longest waiting first. */
  readonly #waiting = new Set<Waiting>();

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /**
   * Calls `start` once there is room, which may be now; or `late`, if there is one, when the time is up. Calls one of them,
   * once.
   *
   * @returns a function that stops waiting.
   */
  want(tenant: string, start: () => void, late?: () => void): () => void {
    const stop = () => {
      this.#waiting.delete(waiting);
      late?.();
    };
    const timer = late && setTimeout(stop, this.#options.waitMs);
    const waiting = { tenant, start, timer };
    this.#waiting.add(waiting);
    this.look();
    return () => this.#leave(waiting);
  }

  /** There may be room now. */
  look(): void {
    for (const waiting of this.#waiting) {
      if (!this.#options.hasRoom(waiting.tenant)) continue;
      this.#leave(waiting);
      waiting.start();
    }
  }

  #leave(waiting: Waiting): void {
    clearTimeout(waiting.timer);
    this.#waiting.delete(waiting);
  }
}
