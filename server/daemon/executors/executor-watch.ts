import { clearInterval, monotonicNow, setInterval } from '../../../link/machine/clock.js';
import { excessOf, type MemoryBounds } from './memory-bounds.js';
import type { PooledExecutor } from './pooled-executor.js';
import { takenMemory } from './process-memory.js';

export interface ExecutorWatchOptions {
  /** How long an executor may be busy without a pause, in milliseconds. */
  busyMs: number;
  /** What of the machine's memory they may have. */
  memory: MemoryBounds;
  /** All that there are. */
  executors: Iterable<PooledExecutor>;
  /** One has taken more than it may, as `what` says of it. */
  onExcess(executor: PooledExecutor, what: string): void;
  /** One that no session has is to make room for others. */
  onUnneeded(executor: PooledExecutor): void;
}

/** How often it is looked how much memory executors have, in milliseconds. */
const MEMORY_LOOK_MS = 1000;
/** In so many parts of `busyMs` it is asked whether it is still there. */
const ASKS = 8;

/** Looks for executors that take more of the host's machine than a session may. */
export class ExecutorWatch {
  readonly #options: ExecutorWatchOptions;
  readonly #timers: readonly NodeJS.Timeout[];

  constructor(options: ExecutorWatchOptions) {
    this.#options = options;
    this.#timers = [
      setInterval(() => this.#findBusy(), options.busyMs / ASKS).unref(),
      setInterval(() => this.#findLarge(), MEMORY_LOOK_MS).unref(),
    ];
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Executors that have been busy for too long, such as one in a shader compiler that never ends. */
  #findBusy(): void {
    const { busyMs, executors, onExcess } = this.#options;
    for (const executor of executors) {
      if (!executor.isAtWork || !executor.isReady) continue;
      executor.child.ping();
      const seconds = Math.round(busyMs / 1000);
      if (monotonicNow() - executor.aliveAt < busyMs) continue;
      onExcess(executor, `was busy for ${seconds} seconds without a pause`);
    }
  }

  /** Executors that have more of the machine's memory than they may: what is not counted on the GPU counts here. */
  #findLarge(): void {
    const { memory, executors, onExcess, onUnneeded } = this.#options;
    const holders = [...executors].flatMap((executor) => {
      // What ends has its memory for a moment yet: nobody else has to end for it.
      const bytes = executor.isEnding ? undefined : takenMemory(executor.child.pid);
      const { tenant, isAtWork, isWaiting } = executor;
      return bytes === undefined ? [] : [{ executor, tenant, isAtWork, isWaiting, bytes }];
    });
    for (const [{ executor }, what] of excessOf(holders, memory)) {
      if (what === undefined) onUnneeded(executor);
      else onExcess(executor, what);
    }
  }
}
