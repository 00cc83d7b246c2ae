import type { Clock } from '../../link/machine/timer.js';
import { invariant } from '../../proto/errors.js';

export interface WriteScheduleOptions {
  clock: Clock;
  /** A program rests when nothing has come from it for so many milliseconds. */
  quietMs?: number;
  /** How long a content waits at most for a program that never rests, in milliseconds. */
  mostMs?: number;
  /** About the most bytes of memory that waiting contents may take. */
  mostBytes?: number;
}

/** Longer than the pauses of a program that starts. */
const QUIET_MS = 250;
const MOST_MS = 5000;
/** The default of `mostBytes`, for a folder that may take much more. */
export const MOST_WAITING_BYTES = 64 << 20;

/**
 * Says when to write the contents that came with a program's commands: when the program rests. Before that, a write would
 * delay its commands. A program rests when nothing comes from it for a while, or when its session has ended. A content
 * that has waited too long, or takes too much memory, is written anyway.
 */
export class WriteSchedule {
  readonly #clock: Clock;
  readonly #quietMs: number;
  readonly #mostMs: number;
  readonly #mostBytes: number;
  #workedAt = Number.NEGATIVE_INFINITY;
  #bytes = 0;
  /** How many callers of `hurry` wait for everything to be written. */
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

  /** A command of the program was just carried out. */
  worked(): void {
    this.#workedAt = this.#clock.now();
  }

  /** The program's session has ended. */
  rested(): void {
    this.#workedAt = Number.NEGATIVE_INFINITY;
    this.#look();
  }

  /** Milliseconds of any steady clock. */
  now(): number {
    return this.#clock.now();
  }

  /** All waiting contents now take so many bytes of memory. */
  takes(bytes: number): void {
    this.#bytes = bytes;
    this.#look();
  }

  /** Resolves when the content that waits since then may be written. Call it after the write before. */
  next(since: number): Promise<void> {
    invariant(!this.#next, 'contents are written one after the other');
    return new Promise((go) => {
      this.#next = { since, go };
      this.#look();
    });
  }

  /** Until then contents are written at once. */
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
      // Nothing is due earlier: work only delays a content, and the next content came later.
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
