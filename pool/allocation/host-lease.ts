/** The times of a host, in milliseconds. */
export interface HostTerms {
  /** How long it is valid after a renewal. */
  readonly lease: number;
  /** How long it may be without a session, and without a program that holds it, before it ends. */
  readonly idle: number;
  /** How long it waits for its first renewal. */
  readonly first: number;
}

/** How long a host that was released waits for another program, in milliseconds. */
const RELEASED_MS = 1000;

/**
 * A host's lease. The host is valid from its first renewal until the lease lapses, and then ends by itself.
 *
 * A renewal names a challenge, a number that the host gave out. It makes the host valid for one lease from the moment of
 * that challenge, and not from now. So a program that has a challenge, then finds no fence, and then sends its renewal,
 * knows: the host lapses at most one lease after that look for a fence, however long the renewal was under way.
 *
 * Times are milliseconds of the host's own steady clock.
 */
export class HostLease {
  readonly #terms: HostTerms;
  readonly #began: number;
  readonly #challenges = new Map<number, number>();
  #latest = 0;
  #expires: number | undefined;
  /** The programs that hold the host, and when each has renewed last. */
  readonly #holders = new Map<string, number>();
  #unusedSince: number;
  #idle: number;

  constructor(terms: HostTerms, now: number) {
    this.#terms = terms;
    this.#began = now;
    this.#unusedSince = now;
    this.#idle = terms.idle;
  }

  /** Gives out a challenge. */
  challenge(now: number): number {
    for (const [number, time] of this.#challenges)
      if (now - time > this.#terms.lease) this.#challenges.delete(number);
    this.#latest += 1;
    this.#challenges.set(this.#latest, now);
    return this.#latest;
  }

  /** A program renews the lease, and so holds the host. Too late a renewal changes nothing. */
  renew(challenge: number, holder: string, now: number): void {
    const given = this.#challenges.get(challenge);
    if (given === undefined || (this.#expires !== undefined && now >= this.#expires)) return;
    this.#expires = Math.max(this.#expires ?? 0, given + this.#terms.lease);
    this.#holders.set(holder, now);
    this.#idle = this.#terms.idle;
  }

  /** A program does not need the host any more. Where no other holds it, it ends soon: also if a session ends after this. */
  release(holder: string, now: number): void {
    if (!this.#holders.delete(holder) || this.#isHeld(now)) return;
    this.#unusedSince = now;
    this.#idle = Math.min(this.#idle, RELEASED_MS);
  }

  /** Whether the host may serve sessions now. */
  isValid(now: number): boolean {
    return this.#expires !== undefined && now < this.#expires;
  }

  /** How many programs hold the host. */
  holders(now: number): number {
    this.#isHeld(now);
    return this.#holders.size;
  }

  /** Why the host must end, with this many sessions open; undefined where it goes on. */
  reasonToEnd(sessions: number, now: number): string | undefined {
    if (sessions > 0 || this.#isHeld(now)) this.#unusedSince = now;
    if (this.#expires === undefined) {
      return now - this.#began < this.#terms.first ? undefined : 'no program came';
    }
    if (now >= this.#expires) return 'no program renewed its lease';
    return now - this.#unusedSince < this.#idle ? undefined : 'nobody used it';
  }

  /** A program that has not renewed for half a lease has ended, or cannot reach the host. */
  #isHeld(now: number): boolean {
    for (const [holder, renewed] of this.#holders)
      if (now - renewed > this.#terms.lease / 2) this.#holders.delete(holder);
    return this.#holders.size > 0;
  }
}
