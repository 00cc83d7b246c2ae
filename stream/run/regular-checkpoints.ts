import type { Clock } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';

export interface RegularCheckpointsOptions {
  readonly clock: Clock;
  /** Milliseconds from one checkpoint to the next, at least. */
  readonly everyMs: number;
  /** Stores a checkpoint, if there is anything new. @throws Error where it cannot be stored (rejects) */
  store(): Promise<void>;
  log(message: string): void;
}

/** Of the time, at most so much goes into checkpoints. */
const SHARE = 0.1;

/** Stores a checkpoint every so often, one at a time. One that fails is followed by the next at its usual time. */
export class RegularCheckpoints {
  readonly #options: RegularCheckpointsOptions;
  #isStopped = false;

  constructor(options: RegularCheckpointsOptions) {
    this.#options = options;
  }

  /** Once. The first checkpoint comes later. */
  start(): void {
    this.#later(this.#options.everyMs);
  }

  /** Begins none any more. */
  stop(): void {
    this.#isStopped = true;
  }

  #later(ms: number): void {
    const { clock, everyMs, store, log } = this.#options;
    clock.after(ms, async () => {
      if (this.#isStopped) return;
      const start = clock.now();
      let next = everyMs;
      try {
        await store();
        next = Math.max(next, (clock.now() - start) / SHARE);
      } catch (error) {
        if (!this.#isStopped) log(`no checkpoint could be stored: ${messageOf(error)}`);
      }
      this.#later(next);
    });
  }
}
