import { randomUUID } from 'node:crypto';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';

/** A request for hosts. */
export interface Wish {
  readonly tenant: string;
  /** The program's own name for itself. */
  readonly program: string;
  /** The process that asks: its further bookings may share its host. */
  readonly process: string;
  /** How many hosts it needs. It gets all of them, or none. */
  readonly hosts: number;
  /** For how many seconds a person has the hosts, without renewals; absent for a program, which renews. */
  readonly seconds?: number | undefined;
}

/** The part of a booking that outlives the portal's process. Times are milliseconds since 1970. */
export interface SavedBooking extends Wish {
  readonly id: string;
  readonly asked: number;
  readonly places: readonly Place[];
  readonly ready?: number | undefined;
}

/** Which host a booking has: a slot's, of one term. */
export interface Place {
  readonly slot: number;
  readonly term: number;
}

export type BookingPhase = 'waiting' | 'ready' | 'ended';

const ASKED = 'it was asked for now';
/** How long after its connection was closed a program may come back, in milliseconds. */
const GONE_MS = 5000;

/**
 * A program's, or a person's, right to hosts of a pool, from the moment it was asked for.
 *
 * States: *waiting* (for its hosts), *ready* (it has them), *ended*. waiting -> ready -> ended, or waiting -> ended.
 */
export class Booking {
  readonly id: string;
  readonly wish: Wish;
  /** The times at which it was asked for, got its hosts, and ended: milliseconds since 1970. */
  readonly asked: number;
  ready: number | undefined;
  ended: number | undefined;
  /** Its hosts; none while it waits. */
  places: readonly Place[];
  /** The hosts' addresses with their tokens; none until programs may have them. */
  urls: readonly string[] = [];
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
    this.places = saved?.places ?? [];
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

  /** Its program may have its hosts. */
  give(urls: readonly string[], why: string): void {
    this.urls = urls;
    this.#why = why;
    this.#changed();
  }

  end(why: string, now: number): void {
    if (this.ended !== undefined) return;
    this.ended = now;
    this.urls = [];
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
    const { id, wish, asked, places, ready } = this;
    return { ...wish, id, asked, places, ready };
  }

  #changed(): void {
    this.#version += 1;
    for (const listener of [...this.#listeners]) listener();
  }
}
