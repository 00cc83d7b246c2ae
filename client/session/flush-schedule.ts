import { native } from '../../link/machine/globals.js';
import type { Flush } from './flush-policy.js';
import { whenTaskEnds } from './process/task-end.js';

const SETTLED = native.Promise.resolve();

/** Has a session's batch leave when the policy says that it shall, once for all who want it to. */
export class FlushSchedule {
  readonly #flush: () => void;
  readonly #onTaskEnd: () => void;
  #scheduled: Flush | undefined;
  /** Whether `#endTask` will be called. */
  #taskEnds = false;

  /** `onTaskEnd` is called behind the flush at a task's end. */
  constructor(flush: () => void, onTaskEnd: () => void) {
    this.#flush = flush;
    this.#onTaskEnd = onTaskEnd;
  }

  flush(when: Flush): void {
    if (when === 'now') {
      this.#flush();
    } else if (when === 'microtask' && this.#scheduled !== 'microtask') {
      this.#scheduled = 'microtask';
      // A reaction, and not queueMicrotask: Node makes a resource of its own for each of those.
      void SETTLED.then(this.#flush);
    } else if (when === 'task' && this.#scheduled === undefined) {
      this.#scheduled = 'task';
      this.whenTaskEnds();
    }
  }

  /** The batch has left: what is recorded from now on wants a flush of its own. */
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
