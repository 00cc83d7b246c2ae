import { randomUUID } from 'node:crypto';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';

/** A request for a host. */
export interface Wish {
  readonly tenant: string;
  /** The program's own name for itself. */
  readonly program: string;
  /** The process that asks: its further bookings may share its host. */
  readonly process: string;
  /** For how many seconds a person has the host, without renewals; absent for a program, which renews. */
  readonly seconds?: number | undefined;
}

/** The part of a booking that outlives the portal's process. Times are milliseconds since 1970. */
export interface SavedBooking extends Wish {
  readonly id: string;
  readonly asked: number;
  readonly slot?: number | undefined;
  readonly term?: number | undefined;
  readonly ready?: number | undefined;
}

export type BookingPhase = 'waiting' | 'ready' | 'ended';

const ASKED = 'it was asked for now';
/** How long after its connection was closed a program may come back, in milliseconds. */
const GONE_MS = 5000;

/**
 * A program's, or a person's, right to one host of a pool, from the moment it was asked for.
 *
 * States: *waiting* (for a host), *ready* (it has one), *ended*. waiting -> ready -> ended, or waiting -> ended.
 */
export class Booking {
  readonly id: string;
  readonly wish: Wish;
  /** The times at which it was asked for, got a host, and ended: milliseconds since 1970. */
  readonly asked: number;
  ready: number | undefined;
  ended: number | undefined;
  slot: number | undefined;
  term: number | undefined;
  /** The host's address with its token. */
  url: string | undefined;
  /** When somebody renewed it last, by the steady clock. */
  renewed: number;
  /** Since when its program's connection is closed, by the steady clock. */
  gone: number | undefined;
  #why: string;
  /** Grows with each change that its program has to hear of. */
  #version = 1;
  readonly #listeners = new Set<() => void>();

  constructor(wish: Wish, { now, steady, saved }: { now: number; steady: number; saved?: SavedBooking }) {
    this.id = saved?.id ?? randomUUID();
    this.wish = wish;
    this.asked = saved?.asked ?? now;
    this.ready = saved?.ready;
    this.slot = saved?.slot;
    this.term = saved?.term;
    this.renewed = steady;
    this.#why = ASKED;
  }

  get phase(): BookingPhase {
    if (this.ended !== undefined) return 'ended';
    return this.ready === undefined ? 'waiting' : 'ready';
  }

  /** Why it waits, where it is, or why it has ended: for a person. */
  get why(): string {
    return this.#why;
  }

  get version(): number {
    return this.#version;
  }

  /**
   * @param isNews whether its program hears of it at once. With hundreds that wait, each would ask again whenever one host
   *   is given to one of them.
   */
  say(why: string, isNews: boolean): void {
    if (why === this.#why || this.ended !== undefined) return;
    const isFirst = this.#why === ASKED;
    this.#why = why;
    if (isNews || isFirst) this.#changed();
  }

  /** It has a host. A host that it had before, as the portal's state says, is the same one. */
  give(host: { slot: number; term: number; url: string; why: string }, now: number): void {
    Object.assign(this, { slot: host.slot, term: host.term, url: host.url });
    this.ready ??= now;
    this.#why = host.why;
    this.#changed();
  }

  end(why: string, now: number): void {
    if (this.ended !== undefined) return;
    this.ended = now;
    this.url = undefined;
    this.#why = why;
    this.#changed();
  }

  /** Resolves when its version is another one than `seen`, when the time is over, or when nobody waits any more. */
  changed(seen: number, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#version !== seen || signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        this.#listeners.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#listeners.add(done);
      signal.addEventListener('abort', done);
    });
  }

  /**
   * Why it has to end; undefined where it goes on.
   *
   * @param times by both clocks, in milliseconds, and how long a program may renew nothing.
   */
  reasonToEnd({ now, steady, lease }: { now: number; steady: number; lease: number }): string | undefined {
    const { ready, renewed, gone, wish } = this;
    if (wish.seconds !== undefined)
      return ready !== undefined && now - ready > wish.seconds * 1000 ? 'its time is over' : undefined;
    const isGone = gone !== undefined && steady - gone > Math.min(GONE_MS, lease);
    return isGone || steady - renewed > lease ? 'its program has gone' : undefined;
  }

  get saved(): SavedBooking {
    const { id, wish, asked, slot, term, ready } = this;
    return { ...wish, id, asked, slot, term, ready };
  }

  #changed(): void {
    this.#version += 1;
    for (const listener of [...this.#listeners]) listener();
  }
}
