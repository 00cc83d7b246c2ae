import type { Clock } from '../../link/machine/timer.js';
import { invariant } from '../../proto/errors.js';

export interface WriteScheduleOptions {
  clock: Clock;
  /** For so many milliseconds nothing has come from the program that has come to rest. */
  quietMs?: number;
  /** The longest that a content waits for a program that never rests, in milliseconds. */
  mostMs?: number;
  /** Bytes of memory that contents which wait may take, about. */
  mostBytes?: number;
}

/** Longer than the pauses between what a program sends while it starts. */
const QUIET_MS = 250;
const MOST_MS = 5000;
/** Where the folder has room for much more. */
export const MOST_WAITING_BYTES = 64 << 20;

/**
 * When the contents are written that came with a program's commands: not while it waits for those, since writing takes
 * as long as some of them do, but when it has come to rest. It has when nothing comes from it for a while, or its
 * session is over. What waits too long, or takes too much memory, is written all the same.
 */
export class WriteSchedule {
  readonly #clock: Clock;
  readonly #quietMs: number;
  readonly #mostMs: number;
  readonly #mostBytes: number;
  #workedAt = Number.NEGATIVE_INFINITY;
  #bytes = 0;
  /** How many wait for all to be written. */
  #hurries = 0;
  /** The oldest content that waits. */
  #next: { since: number; go(): void } | undefined;
  #timed = false;

  constructor({ clock, quietMs, mostMs, mostBytes }: WriteScheduleOptions) {
    this.#clock = clock;
    this.#quietMs = quietMs ?? QUIET_MS;
    this.#mostMs = mostMs ?? MOST_MS;
    this.#mostBytes = mostBytes ?? MOST_WAITING_BYTES;
  }

  /** Something was done for the program just now. */
  worked(): void {
    this.#workedAt = this.#clock.now();
  }

  /** The program's session is over. */
  rested(): void {
    this.#workedAt = Number.NEGATIVE_INFINITY;
    this.#look();
  }

  now(): number {
    return this.#clock.now();
  }

  takes(bytes: number): void {
    this.#bytes = bytes;
    this.#look();
  }

  next(since: number): Promise<void> {
    invariant(!this.#next, 'contents are written one after the other');
    return new Promise((go) => {
      this.#next = { since, go };
      this.#look();
    });
  }

  hurry(until: Promise<unknown>): void {
    this.#hurries += 1;
    this.#look();
    void until.then(() => {
      this.#hurries -= 1;
    });
  }

  #look(): void {
    const next = this.#next;
    if (!next) return;
    const dueMs = this.#dueMs(next.since);
    if (dueMs <= 0) {
      this.#next = undefined;
      next.go();
    } else if (!this.#timed) {
      // None is due before it: work only puts off, and the next content came later.
      this.#timed = true;
      this.#clock.after(dueMs, () => {
        this.#timed = false;
        this.#look();
      });
    }
  }

  #dueMs(since: number): number {
    if (this.#hurries > 0 || this.#bytes > this.#mostBytes) return 0;
    return Math.min(this.#workedAt + this.#quietMs, since + this.#mostMs) - this.#clock.now();
  }
}
