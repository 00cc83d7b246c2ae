import { steadyTime } from '../../link/machine/clock.js';
import type { ServedPool } from './served-pool.js';

/** All pools in one second: hosts with a session and without one, the most there may be, and bookings that wait. */
export interface SecondView {
  /** Since 1970. */
  readonly second: number;
  readonly used: number;
  readonly unused: number;
  readonly max: number;
  readonly waiting: number;
}

const KEPT = 300;

/** The last five minutes of a portal. */
export class Seconds {
  #all: SecondView[] = [];

  /** @param pools as they are now. */
  note(pools: readonly ServedPool[]): void {
    const hosts = pools.flatMap((pool) => pool.hosts.all.filter(({ joined }) => joined));
    const used = hosts.filter(({ sessions }) => sessions > 0).length;
    this.#all.push({
      second: Math.floor(steadyTime() / 1000),
      used,
      unused: hosts.length - used,
      max: pools.reduce((sum, { pool }) => sum + pool.max, 0),
      waiting: pools.reduce((sum, pool) => sum + pool.waiting.length, 0),
    });
    if (this.#all.length > KEPT) this.#all.shift();
  }

  /** Those from this second on. */
  from(second: number): SecondView[] {
    return this.#all.filter((each) => each.second >= second);
  }
}
