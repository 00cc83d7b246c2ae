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
  /** How many executors are ready for any program. */
  spares: number;
  /** How many executors are kept for the next session of the program that they served last. */
  kept: number;
  /** Where they keep contents. */
  blobs?: BlobFolder | undefined;
  entry?: URL | undefined;
  /** An executor opened its GPU. */
  onGpu(ready: ExecutorReady): void;
  /** An executor is ready for another session of its program. */
  onKept(): void;
  /** A session is given an executor that has served its program before. */
  onReuse(): void;
  /** An executor could not open a GPU. */
  onNoGpu(problem: FarlightError): void;
}

/** How long an executor is kept for the next session of its program, in milliseconds. */
const KEEP_MS = 15 * 60_000;
/** How long an executor may take to end, or to be ready for another session, in milliseconds, before it is killed. */
const END_GRACE_MS = 5000;
/** How long to wait before the next spare after one failed, in milliseconds; doubles each time. */
const RETRY_MS = { first: 500, longest: 30_000 };

/**
 * An executor process.
 *
 * States: *spare* (no session has used it), *used* (a session has it: `user`), *retiring* (its session is
 * over, and `timer` ends it by force), *kept* (for the next session of `program`; `timer` ends it).
 * spare -> used -> retiring -> kept -> used; from each of them it is gone when the process ends.
 */
interface Executor {
  child: ExecutorChild;
  ready: ExecutorReady | undefined;
  user: ExecutorChildEvents | undefined;
  /** Whose sessions it serves. */
  program: string | undefined;
  timer: NodeJS.Timeout | undefined;
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
  /** The longest kept first. */
  readonly #kept: Executor[] = [];
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
   * Gives an executor to a session of `program`, which gives it back: one that has served that program before,
   * with what was compiled for it, where there is one. Its onReady comes in a later turn of the event loop,
   * even where the executor has been ready for long.
   */
  take(program: string, user: ExecutorChildEvents): ExecutorChild {
    const executor = this.#takeKept(program) ?? this.#takeSpare() ?? this.#start();
    executor.user = user;
    executor.program = program;
    executor.child.begin({ program });
    const { ready } = executor;
    if (ready) setImmediate(() => user.onReady(ready));
    setImmediate(() => this.fill());
    return executor.child;
  }

  /** The session of an executor is over: it is kept for the next one of its program, or ended. */
  giveBack(child: ExecutorChild): void {
    const executor = [...this.#executors.keys()].find((each) => each.child === child);
    if (!executor) return;
    executor.user = undefined;
    executor.timer = setTimeout(() => child.kill(), END_GRACE_MS).unref();
    if (this.#options.kept > 0 && executor.ready && !this.#closed) child.retire();
    else child.end();
  }

  /** Ends every executor; resolves when none is left. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const { child } of this.#executors.keys()) child.kill();
    await Promise.all(this.#executors.values());
  }

  #takeKept(program: string): Executor | undefined {
    const at = this.#kept.findLastIndex((kept) => kept.program === program);
    const executor = at < 0 ? undefined : this.#kept.splice(at, 1)[0];
    if (!executor) return undefined;
    clearTimeout(executor.timer);
    this.#options.onReuse();
    return executor;
  }

  #takeSpare(): Executor | undefined {
    const warm = this.#spares.findIndex((spare) => spare.ready);
    return this.#spares.splice(Math.max(warm, 0), 1)[0];
  }

  #keep(executor: Executor): void {
    clearTimeout(executor.timer);
    this.#kept.push(executor);
    this.#options.onKept();
    executor.timer = setTimeout(() => this.#end(executor), KEEP_MS).unref();
    const oldest = this.#kept.length > this.#options.kept ? this.#kept[0] : undefined;
    if (oldest) this.#end(oldest);
  }

  /** Ends one that is kept. */
  #end(executor: Executor): void {
    this.#forget(executor);
    executor.timer = setTimeout(() => executor.child.kill(), END_GRACE_MS).unref();
    executor.child.end();
  }

  /** Takes an executor out of those that are kept, if it is one. */
  #forget(executor: Executor): void {
    clearTimeout(executor.timer);
    const at = this.#kept.indexOf(executor);
    if (at >= 0) this.#kept.splice(at, 1);
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
        onIdle: () => this.#keep(executor),
        onDrain: () => executor.user?.onDrain(),
        onExit: (reason) => {
          this.#executors.delete(executor);
          exited.resolve();
          this.#onExit(executor, reason);
        },
      },
    );
    const executor: Executor = {
      child,
      ready: undefined,
      user: undefined,
      program: undefined,
      timer: undefined,
    };
    this.#executors.set(executor, exited.promise);
    return executor;
  }

  #onExit(executor: Executor, reason: FarlightError | undefined): void {
    if (!executor.ready && reason && !this.#closed) this.#options.onNoGpu(reason);
    this.#forget(executor);
    if (executor.user) executor.user.onExit(reason);
    else if (!this.#closed && this.#spares.includes(executor)) this.#replace(executor);
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
