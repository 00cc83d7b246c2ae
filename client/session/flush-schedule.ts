import { native } from '../../link/machine/globals.js';
import type { FlushTime } from './flush-policy.js';
import { whenTaskEnds } from './process/task-end.js';

const SETTLED = native.Promise.resolve();

/** Flushes a session when the policy says so, once for all commands that ask for it. */
export class FlushSchedule {
  readonly #flush: () => void;
  readonly #onTaskEnd: () => void;
  #scheduled: FlushTime | undefined;
  /** Whether `#endTask` will be called. */
  #taskEnds = false;

  /** `onTaskEnd` is called after the flush at the end of a task. */
  constructor(flush: () => void, onTaskEnd: () => void) {
    this.#flush = flush;
    this.#onTaskEnd = onTaskEnd;
  }

  flush(when: FlushTime): void {
    if (when === 'now') {
      this.#flush();
    } else if (when === 'microtask' && this.#scheduled !== 'microtask') {
      this.#scheduled = 'microtask';
      // A promise reaction is cheaper than queueMicrotask: there Node makes an async resource each time.
      void SETTLED.then(this.#flush);
    } else if (when === 'task' && this.#scheduled === undefined) {
      this.#scheduled = 'task';
      this.whenTaskEnds();
    }
  }

  /** The commands have left. Commands that are recorded from now on need another flush. */
  flushed(): void {
    this.#scheduled = undefined;
  }

  /** Flushes, and calls `onTaskEnd`, when the current task is over. */
  whenTaskEnds(): void {
    if (this.#taskEnds) return;
    this.#taskEnds = true;
    whenTaskEnds(this.#endTask);
  }

  readonly #endTask = () => {
    this.#taskEnds = false;
    this.#flush();
    this.#onTaskEnd();
  };
}
