import type { Clock } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import { UnfitRecordError } from '../log/record-log.js';

export interface AttemptsOptions {
  /** The source, for a person. */
  readonly name: string;
  readonly clock: Clock;
  log(message: string): void;
}

/** The part that is all of a source. */
export const WHOLE = '';

/** Milliseconds until a part is tried again: it doubles up to the second one. */
const PAUSE_MS = [200, 10_000] as const;

interface Failure {
  readonly problem: string;
  /** When the part is tried again, and how long it rests after the next failure. */
  readonly at: number;
  readonly pause: number;
}

/**
 * Tries the parts of a source again when they fail, after pauses that grow: a part is a file or a folder, or `WHOLE`. A
 * part that can never give a record is put aside, and the others go on.
 */
export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #failures = new Map<string, Failure>();
  #aside = 0;

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /** Why a part fails now: that of the part that has failed for longest. */
  get problem(): string | undefined {
    for (const { problem } of this.#failures.values()) return problem;
    return undefined;
  }

  /** How many parts were put aside. */
  get aside(): number {
    return this.#aside;
  }

  /** Tries a part, unless it rests. It never rejects. */
  async once(part: string, act: () => Promise<void>, signal: AbortSignal): Promise<void> {
    if (this.#left(part) === 0) await this.#try(part, act, signal);
  }

  /** Tries a part until it goes well, is put aside, or the signal aborts. It never rejects. */
  async untilWell(part: string, act: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !(await this.#try(part, act, signal)))
      await this.#rest(this.#left(part), signal);
  }

  /** A part goes on. */
  well(part: string): void {
    if (!this.#failures.delete(part)) return;
    if (this.#failures.size === 0) this.#options.log(`source ${this.#options.name} goes on`);
  }

  /** Forgets the failures of parts that are gone. */
  keep(parts: readonly string[]): void {
    for (const part of this.#failures.keys()) if (!parts.includes(part)) this.#failures.delete(part);
  }

  putAside(part: string, why: string): void {
    this.#failures.delete(part);
    this.#aside += 1;
    this.#options.log(`source ${this.#options.name} puts ${part} aside: ${why}`);
  }

  /** The source has ended by a bug: nothing is tried again. */
  ended(message: string): void {
    const problem = `it has ended: ${message}`;
    this.#options.log(`source ${this.#options.name} has ended: ${message}`);
    this.#failures.clear();
    this.#failures.set(WHOLE, { problem, at: Number.POSITIVE_INFINITY, pause: 0 });
  }

  /** Whether there is nothing to try again. */
  async #try(part: string, act: () => Promise<void>, signal: AbortSignal): Promise<boolean> {
    try {
      await act();
      this.well(part);
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      if (error instanceof UnfitRecordError) {
        this.putAside(part, error.message);
        return true;
      }
      this.#failed(part, messageOf(error));
      return false;
    }
  }

  #failed(part: string, message: string): void {
    const { name, clock, log } = this.#options;
    const before = this.#failures.get(part);
    const problem = part === WHOLE ? message : `${part}: ${message}`;
    if (before?.problem !== problem) log(`source ${name} fails, and is tried again: ${problem}`);
    const pause = before?.pause ?? PAUSE_MS[0];
    this.#failures.set(part, {
      problem,
      at: clock.now() + pause,
      pause: Math.min(2 * pause, PAUSE_MS[1]),
    });
  }

  /** Milliseconds until a part is tried again; 0 for one that has not failed. */
  #left(part: string): number {
    return Math.max(0, (this.#failures.get(part)?.at ?? 0) - this.#options.clock.now());
  }

  #rest(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        signal.removeEventListener('abort', end);
        resolve();
      };
      signal.addEventListener('abort', end);
      this.#options.clock.after(ms, end);
    });
  }
}
