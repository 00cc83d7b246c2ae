import { networkOf } from './ip-address.js';

export interface AttemptLimitOptions {
  /** How many attempts may fail at once. Default 10. */
  burst?: number;
  /** After how many milliseconds one failure is forgotten. Default 6000. */
  forgetMs?: number;
  /** How many addresses are remembered; the one that failed longest ago makes room. Default 4096. */
  maxAddresses?: number;
}

/**
 * How often one remote address may fail to show a token. It does not make guessing impossible, the tokens' length
 * does that; it bounds what somebody who tries costs the host. Who holds many networks meets it in none of them.
 */
export class AttemptLimit {
  readonly #burst: number;
  readonly #forgetMs: number;
  readonly #maxAddresses: number;
  /** By network: when its failures will all be forgotten. The one that failed longest ago first. */
  readonly #clearAt = new Map<string, number>();

  constructor({ burst = 10, forgetMs = 6000, maxAddresses = 4096 }: AttemptLimitOptions = {}) {
    this.#burst = burst;
    this.#forgetMs = forgetMs;
    this.#maxAddresses = maxAddresses;
  }

  /** How many milliseconds this address has to wait before it may try; 0: it may. `now` is in milliseconds. */
  waitMs(address: string, now: number): number {
    const debt = (this.#clearAt.get(networkOf(address)) ?? now) - now;
    return Math.max(0, debt - (this.#burst - 1) * this.#forgetMs);
  }

  /** Notes that an attempt failed at `now`, in milliseconds of any steady clock. */
  failed(address: string, now: number): void {
    const network = networkOf(address);
    const clearAt = Math.max(this.#clearAt.get(network) ?? now, now) + this.#forgetMs;
    this.#clearAt.delete(network);
    this.#clearAt.set(network, clearAt);
    if (this.#clearAt.size <= this.#maxAddresses) return;
    for (const oldest of this.#clearAt.keys()) {
      this.#clearAt.delete(oldest);
      return;
    }
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#clearAt.size;
  }
}
