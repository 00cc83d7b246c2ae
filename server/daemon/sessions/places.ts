import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';

export interface PlacesOptions {
  /** Whether a process for another session of the tenant may start now. */
  hasRoom(tenant: string): boolean;
  /** How long a session may wait for that, in milliseconds. */
  waitMs: number;
}

interface Waiting {
  readonly tenant: string;
  readonly start: () => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Has sessions wait for a process while those of sessions that are over have not ended: a client that opens and closes
 * has never more processes than it may have sessions.
 */
export class Places {
  readonly #options: PlacesOptions;
  /** The longest waiting first. */
  readonly #waiting = new Set<Waiting>();

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /**
   * Calls `start` now or when there is room, or else `late`, once.
   *
   * @returns what gives the wait up.
   */
  want(tenant: string, start: () => void, late: () => void): () => void {
    const timer = setTimeout(() => {
      this.#waiting.delete(waiting);
      late();
    }, this.#options.waitMs);
    const waiting = { tenant, start, timer };
    this.#waiting.add(waiting);
    this.look();
    return () => this.#leave(waiting);
  }

  /** There may be room where there was none. */
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
