import { clearInterval, monotonicNow, setInterval } from '../../../link/machine/clock.js';
import { excessOf, type MemoryBounds } from './memory-bounds.js';
import type { PooledExecutor } from './pooled-executor.js';
import { takenMemory } from './process-memory.js';

export interface ExecutorWatchOptions {
  /** How long an executor may be busy without a pause, in milliseconds. */
  busyMs: number;
  memory: MemoryBounds;
  /** All executors. */
  executors: Iterable<PooledExecutor>;
  /** An executor exceeds a limit; `what` completes the sentence "the GPU executor …". */
  onExcess(executor: PooledExecutor, what: string): void;
  /** A warm executor must make room for others. */
  onUnneeded(executor: PooledExecutor): void;
}

/** How often to read the executors' memory, in milliseconds. */
const MEMORY_CHECK_MS = 1000;
/** How many pings an executor gets within `busyMs`. */
const PINGS = 8;

/** Finds executors that take too much of the host's time or memory. */
export class ExecutorWatch {
  readonly #options: ExecutorWatchOptions;
  readonly #timers: readonly NodeJS.Timeout[];

  constructor(options: ExecutorWatchOptions) {
    this.#options = options;
    this.#timers = [
      setInterval(() => this.#findBusy(), options.busyMs / PINGS).unref(),
      setInterval(() => this.#findLarge(), MEMORY_CHECK_MS).unref(),
    ];
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Executors that have been busy for too long, such as one in an endless shader compilation. */
  #findBusy(): void {
    const { busyMs, executors, onExcess } = this.#options;
    for (const executor of executors) {
      if (!executor.isAtWork || !executor.isReady) continue;
      executor.child.tell({ type: 'ping' });
      const seconds = Math.round(busyMs / 1000);
      if (monotonicNow() - executor.aliveAt < busyMs) continue;
      onExcess(executor, `was busy for ${seconds} seconds without a pause`);
    }
  }

  /** Executors with too much of the machine's memory, which includes what GPU memory limits do not count. */
  #findLarge(): void {
    const { memory, executors, onExcess, onUnneeded } = this.#options;
    const holders = [...executors].flatMap((executor) => {
      // An ending executor soon frees its memory: no other has to end for it.
      const bytes = executor.isEnding ? undefined : takenMemory(executor.child.pid);
      const { tenant, isAtWork, isWarm } = executor;
      return bytes === undefined ? [] : [{ executor, tenant, isAtWork, isWarm, bytes }];
    });
    for (const [{ executor }, what] of excessOf(holders, memory)) {
      if (what === undefined) onUnneeded(executor);
      else onExcess(executor, what);
    }
  }
}
