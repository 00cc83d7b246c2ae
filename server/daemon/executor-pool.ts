import { deferred } from '../../link/deferred.js';
import {
  type BlobFolder,
  ExecutorChild,
  type ExecutorChildEvents,
  type ExecutorReady,
} from '../../link/executor-child.js';
import type { FarlightError } from '../../proto/errors.js';

export interface PoolOptions {
  /** What the executors open. Once one has found its adapter, later ones open that without a search. */
  adapter: string;
  /** How many executors are kept warm. */
  spares: number;
  /** Where they keep contents. */
  blobs?: BlobFolder | undefined;
  entry?: URL | undefined;
  /** An executor opened its GPU. */
  onGpu(ready: ExecutorReady): void;
  /** An executor could not open a GPU. */
  onNoGpu(problem: FarlightError): void;
}

/** How long to wait before the next spare after one failed, in milliseconds; doubles each time. */
const RETRY_MS = { first: 500, longest: 30_000 };

/** An executor process, and the session that uses it: none while it is a spare. */
interface Executor {
  child: ExecutorChild;
  ready: ExecutorReady | undefined;
  user: ExecutorChildEvents | undefined;
}

/**
 * The daemon's executor processes: the pool owns each one until its exit, whether it is a spare or a
 * session uses it. Starting Node, Dawn and an adapter takes 0.2 s, so a session gets a process that
 * has done it already where one is warm.
 */
export class ExecutorPool {
  readonly #options: PoolOptions;
  readonly #executors = new Map<Executor, Promise<void>>();
  readonly #spares: Executor[] = [];
  #choice: string;
  #retryMs = RETRY_MS.first;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#choice = options.adapter;
  }

  /** Starts spares until there are `count`, unless one has just failed and the next try is still to come. */
  fill(count: number = this.#options.spares): void {
    while (!this.#closed && !this.#retry && this.#spares.length < count) this.#spares.push(this.#start());
  }

  /**
   * Gives an executor to a session. Its onReady comes in a later turn of the event loop, even where
   * the executor has been ready for long.
   */
  take(user: ExecutorChildEvents): ExecutorChild {
    const warm = this.#spares.findIndex((spare) => spare.ready);
    const [spare] = this.#spares.splice(Math.max(warm, 0), 1);
    const executor = spare ?? this.#start();
    executor.user = user;
    const { ready } = executor;
    if (ready) setImmediate(() => user.onReady(ready));
    setImmediate(() => this.fill());
    return executor.child;
  }

  /** Ends every executor; resolves when none is left. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const { child } of this.#executors.keys()) child.kill();
    await Promise.all(this.#executors.values());
  }

  #start(): Executor {
    const { blobs, entry } = this.#options;
    const exited = deferred<void>();
    const child = new ExecutorChild(
      { adapter: this.#choice, blobs, entry },
      {
        onReady: (ready) => {
          executor.ready = ready;
          // Only the first answer counts: a GPU that is lost later must not make the host a software one.
          if (this.#choice === this.#options.adapter) this.#choice = ready.choice;
          this.#retryMs = RETRY_MS.first;
          this.#options.onGpu(ready);
          executor.user?.onReady(ready);
        },
        onFrame: (frame) => executor.user?.onFrame(frame),
        onDrain: () => executor.user?.onDrain(),
        onExit: (reason) => {
          this.#executors.delete(executor);
          exited.resolve();
          this.#onExit(executor, reason);
        },
      },
    );
    const executor: Executor = { child, ready: undefined, user: undefined };
    this.#executors.set(executor, exited.promise);
    return executor;
  }

  #onExit(executor: Executor, reason: FarlightError | undefined): void {
    if (!executor.ready && reason && !this.#closed) this.#options.onNoGpu(reason);
    if (executor.user) executor.user.onExit(reason);
    else if (!this.#closed) this.#replace(executor);
  }

  #replace(executor: Executor): void {
    this.#spares.splice(this.#spares.indexOf(executor), 1);
    // A spare that fails fails again at once, most likely: the pause keeps that from using up the machine.
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.fill();
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest);
  }
}
