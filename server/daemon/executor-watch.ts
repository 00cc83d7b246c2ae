import { clearInterval, monotonicNow, setInterval } from '../../link/clock.js';
import type { PooledExecutor } from './pooled-executor.js';
import { processMemory } from './process-memory.js';

export interface ExecutorWatchOptions {
  /** How long an executor may be busy without a pause, in milliseconds. */
  busyMs: number;
  /** Bytes of the machine's memory that a session's executor may have. 0: as many as there are. */
  memoryBytes: number;
  /** All that there are. */
  executors: Iterable<PooledExecutor>;
  /** One has taken more than it may, as `what` says of it. */
  onExcess(executor: PooledExecutor, what: string): void;
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
      ...(options.memoryBytes > 0 ? [setInterval(() => this.#findLarge(), MEMORY_LOOK_MS).unref()] : []),
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
    const { memoryBytes, executors, onExcess } = this.#options;
    const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
    for (const executor of executors) {
      if (!executor.isAtWork) continue;
      const bytes = processMemory(executor.child.pid);
      if (bytes === undefined || bytes <= memoryBytes) continue;
      onExcess(executor, `had ${mib(bytes)} of the host's memory, of ${mib(memoryBytes)} that it may have`);
    }
  }
}
