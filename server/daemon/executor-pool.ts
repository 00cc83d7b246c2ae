import { deferred } from '../../link/deferred.js';
import { ExecutorChild, type ExecutorReady } from '../../link/executor-child.js';
import type { Span } from '../../proto/activity.js';
import { FarlightError } from '../../proto/errors.js';
import type { SessionOver, Traffic } from '../../proto/handshake.js';
import type { ShareReport } from '../../proto/shares.js';
import type { Work } from '../../proto/work.js';
import { brief, type Log } from './log.js';
import { processMemory } from './process-memory.js';

export interface PoolOptions {
  /** What the executors open. Once one has found its adapter, later ones open that without a search. */
  adapter: string;
  /** How many executors are ready for any program. */
  spares: number;
  /** How many executors are kept for the next session of the program that they served last. */
  kept: number;
  entry?: URL | undefined;
  /** How long an executor may be busy without a pause, in milliseconds: longer, and it is ended. */
  busyMs: number;
  /** Bytes of the machine's memory that a session's executor may have: with more, it is ended. 0: as many as there are. */
  memoryBytes: number;
  /** Where executors that come and go are noted. */
  log: Log;
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
/** How long an executor may take to end, in milliseconds, before it is killed. */
const END_GRACE_MS = 6000;
/** How often it is looked how much memory executors have, in milliseconds. */
const MEMORY_LOOK_MS = 1000;
/** In so many parts of `busyMs` it is asked whether it is still there. */
const ASKS = 8;

/** Whose sessions an executor serves: it never serves another tenant's, nor another program's. */
export interface Served {
  readonly tenant: string;
  readonly program: string;
}

/** What a session hears of its executor. */
export interface ExecutorUser {
  /** Its GPU is open; comes in a later turn of the event loop, first. */
  onReady(ready: ExecutorReady): void;
  onTraffic(traffic: Traffic, work: Work | undefined): void;
  /** What it did, while that is watched. */
  onSpans?(spans: readonly Span[], left: number): void;
  /** The session is over, and the executor is no longer its own. */
  onOver(why: SessionOver): void;
  /** The executor is gone. Comes instead of onOver. */
  onExit(reason: FarlightError | undefined): void;
  /** The session asks for its share of what it has in common with others, or gives some back. */
  onShare(report: ShareReport): void;
  /** Nothing of the session is left on the GPU. Comes once, last. */
  onReleased(): void;
}

/** Executor processes: of a session, ready for any, kept for a program's next one, and those that start or tidy up. */
export interface ExecutorCensus {
  busy: number;
  warm: number;
  kept: number;
  changing: number;
}

/** How long to wait before the next spare after one failed, in milliseconds; doubles each time. */
const RETRY_MS = { first: 500, longest: 30_000 };

/**
 * An executor process.
 *
 * States: *spare* (no session has used it), *used* (a session has it: `user`), *retiring* (its session is
 * over, and it tidies up), *kept* (for the next session of those that it serves; `timer` ends it).
 * spare -> used -> retiring -> kept -> used; from each of them it is gone when the process ends.
 */
interface Executor {
  child: ExecutorChild;
  ready: ExecutorReady | undefined;
  user: ExecutorUser | undefined;
  /** The session that is over, of which something may be left. */
  leaving: ExecutorUser | undefined;
  /** Whose sessions it serves; undefined until the first. */
  serves: Served | undefined;
  timer: NodeJS.Timeout | undefined;
  /** When it was last known not to be busy, in milliseconds since 1970. */
  aliveAt: number;
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
  readonly #watches: readonly NodeJS.Timeout[];

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#choice = options.adapter;
    this.#watches = [
      setInterval(() => this.#endBusy(), options.busyMs / ASKS).unref(),
      ...(options.memoryBytes > 0 ? [setInterval(() => this.#endLarge(), MEMORY_LOOK_MS).unref()] : []),
    ];
  }

  /** How many processes there are, by what they are there for. */
  census(): ExecutorCensus {
    const all = [...this.#executors.keys()];
    const busy = all.filter(({ user }) => user).length;
    const warm = this.#spares.filter(({ ready }) => ready).length;
    const kept = this.#kept.length;
    return { busy, warm, kept, changing: all.length - busy - warm - kept };
  }

  /** Starts spares until there are `count`, unless one has just failed and the next try is still to come. */
  fill(count: number = this.#options.spares): void {
    while (!this.#closed && !this.#retry && this.#spares.length < count) this.#spares.push(this.#start());
  }

  /**
   * Gives an executor to a session, until that is over: one that has served the tenant's program before, with what
   * was compiled for it, where there is one.
   */
  take(serves: Served, user: ExecutorUser): ExecutorChild {
    const executor = this.#takeKept(serves) ?? this.#takeSpare() ?? this.#start();
    executor.user = user;
    executor.serves = serves;
    executor.aliveAt = Date.now();
    const { ready } = executor;
    if (ready) setImmediate(() => executor.user?.onReady(ready));
    setImmediate(() => this.fill());
    return executor.child;
  }

  /** A session does not want its executor after all; nothing has begun on it. */
  putBack(child: ExecutorChild): void {
    for (const executor of this.#executors.keys()) {
      if (executor.child !== child) continue;
      executor.user = undefined;
      this.#end(executor);
    }
  }

  /** Ends every executor; resolves when none is left. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const watch of this.#watches) clearInterval(watch);
    for (const { child } of this.#executors.keys()) child.kill();
    await Promise.all(this.#executors.values());
  }

  #takeKept({ tenant, program }: Served): Executor | undefined {
    const at = this.#kept.findLastIndex(
      ({ serves }) => serves?.tenant === tenant && serves.program === program,
    );
    const executor = at < 0 ? undefined : this.#kept.splice(at, 1)[0];
    if (!executor) return undefined;
    clearTimeout(executor.timer);
    this.#options.onReuse();
    this.#options.log.info(factsOf(executor), 'executor reused');
    return executor;
  }

  #takeSpare(): Executor | undefined {
    const warm = this.#spares.findIndex((spare) => spare.ready);
    return this.#spares.splice(Math.max(warm, 0), 1)[0];
  }

  #over(executor: Executor, why: SessionOver): void {
    const { user } = executor;
    executor.user = undefined;
    executor.leaving = user;
    user?.onOver(why);
    if (this.#options.kept === 0) this.#end(executor);
  }

  #keep(executor: Executor): void {
    this.#released(executor);
    if (this.#options.kept === 0 || this.#closed) return;
    this.#kept.push(executor);
    this.#options.onKept();
    this.#options.log.info(factsOf(executor), 'executor kept');
    executor.timer = setTimeout(() => this.#end(executor), KEEP_MS).unref();
    const oldest = this.#kept.length > this.#options.kept ? this.#kept[0] : undefined;
    if (oldest) this.#end(oldest);
  }

  #released(executor: Executor): void {
    const { leaving } = executor;
    executor.leaving = undefined;
    leaving?.onReleased();
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
    const { entry } = this.#options;
    const exited = deferred<void>();
    const child = new ExecutorChild(
      { adapter: this.#choice, entry },
      {
        onReady: (ready) => {
          executor.ready = ready;
          // Only the first answer counts: a GPU that is lost later must not make the host a software one.
          if (this.#choice === this.#options.adapter) this.#choice = ready.choice;
          this.#retryMs = RETRY_MS.first;
          this.#options.log.info({ ...factsOf(executor), adapter: ready.adapter.name }, 'executor started');
          this.#options.onGpu(ready);
          executor.user?.onReady(ready);
        },
        onTraffic: (traffic, work) => executor.user?.onTraffic(traffic, work),
        onSpans: (spans, left) => executor.user?.onSpans?.(spans, left),
        onShare: (report) => executor.user?.onShare(report),
        onOver: (why) => this.#over(executor, why),
        onIdle: () => this.#keep(executor),
        onAlive: () => {
          executor.aliveAt = Date.now();
        },
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
      leaving: undefined,
      serves: undefined,
      timer: undefined,
      aliveAt: 0,
    };
    this.#executors.set(executor, exited.promise);
    return executor;
  }

  #onExit(executor: Executor, reason: FarlightError | undefined): void {
    // One that has just been started does not yet leave its end to this process.
    if (reason && !this.#closed && !executor.child.wasAskedToEnd) {
      if (executor.ready) this.#noteLost(executor, reason);
      else this.#failed(reason);
    }
    this.#forget(executor);
    const { user } = executor;
    executor.user = undefined;
    user?.onExit(reason);
    user?.onReleased();
    this.#released(executor);
    const spare = this.#spares.indexOf(executor);
    if (spare < 0) return;
    this.#spares.splice(spare, 1);
    this.#tryLater();
  }

  /** Ends executors that have been busy for too long, such as one in a shader compiler that never ends. */
  #endBusy(): void {
    for (const executor of this.#executors.keys()) {
      if (!executor.user || !executor.ready) continue;
      executor.child.ping();
      const seconds = Math.round(this.#options.busyMs / 1000);
      if (Date.now() - executor.aliveAt < this.#options.busyMs) continue;
      this.#endUsed(executor, `was busy for ${seconds} seconds without a pause`);
    }
  }

  /** Ends executors that have more of the machine's memory than they may: what is not counted on the GPU counts here. */
  #endLarge(): void {
    const { memoryBytes } = this.#options;
    for (const executor of this.#executors.keys()) {
      const bytes = executor.user && processMemory(executor.child.pid);
      if (bytes === undefined || bytes <= memoryBytes) continue;
      const mib = (each: number) => `${Math.round(each / 2 ** 20)} MiB`;
      this.#endUsed(
        executor,
        `had ${mib(bytes)} of the host's memory, of ${mib(memoryBytes)} that it may have`,
      );
    }
  }

  /** Ends one that a session uses, by force, and tells that session why. */
  #endUsed(executor: Executor, what: string): void {
    const { child, user } = executor;
    executor.user = undefined;
    executor.leaving = user;
    child.kill();
    const reason = new FarlightError(
      'EXECUTOR_LOST',
      `the GPU executor ${what}, and was ended; start the program again`,
    );
    this.#noteLost(executor, reason);
    user?.onExit(reason);
  }

  #noteLost(executor: Executor, { code, message }: FarlightError): void {
    this.#options.log.warn({ ...factsOf(executor), code, why: brief(message) }, 'executor lost');
  }

  /** One could not open the GPU. Another tries, also where none is kept ready: else nobody would know of its return. */
  #failed(reason: FarlightError): void {
    this.#options.onNoGpu(reason);
    this.#tryLater();
  }

  /** A spare that fails fails again at once, most likely: the pause keeps that from using up the machine. */
  #tryLater(): void {
    if (this.#closed || this.#retry) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.fill(Math.max(1, this.#options.spares));
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest);
  }
}

/** What names an executor in the log: its process, and whose sessions it serves. */
function factsOf({ child, serves }: Executor): object {
  return { pid: child.pid, ...(serves && { program: brief(serves.program), tenant: serves.tenant }) };
}
