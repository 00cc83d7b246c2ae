import { availableParallelism } from 'node:os';
import type {
  ExecutorChild,
  ExecutorChildOptions,
  ExecutorReady,
} from '../../../link/executor/executor-child.js';
import { clearTimeout, setImmediate, setTimeout } from '../../../link/machine/clock.js';
import { deferred } from '../../../link/machine/deferred.js';
import { alarm } from '../../../link/machine/timer.js';
import { FarlightError } from '../../../proto/errors.js';
import type { BoundedFolder } from '../../../proto/session/executor-messages.js';
import type { ExecutorCensus } from '../../observatory/host-view.js';
import { brief, type Log } from '../../observatory/log.js';
import { DEFAULT_TENANT } from '../../trust/token-store.js';
import type { ExecutorGroup } from './executor-group.js';
import { ExecutorWatch } from './executor-watch.js';
import type { MemoryBounds } from './memory-bounds.js';
import { type AssignedSession, PooledExecutor, type TenantProgram } from './pooled-executor.js';
import { killFirstWithoutMemory } from './process-memory.js';
import { StartQueue } from './start-queue.js';

export interface PoolOptions {
  /** The adapter to open. Once an executor has found it, later ones open it without a search. */
  adapter: string;
  /** How many spare executors to have ready for any program. */
  spares: number;
  /** How many executors stay warm for the next session of the program that they served last. */
  warm: number;
  /** Where the driver stores the shaders of a tenant's programs; undefined where all tenants share one place. */
  shadersOf(tenant: string): ExecutorChildOptions['shaders'];
  entry: URL;
  /** How long an executor may be busy without a pause, in milliseconds, before the pool ends it. */
  busyMs: number;
  /** As of `ExecutorChildOptions`. */
  startMs: number | undefined;
  /** The executors' limits of the machine's memory. The pool ends executors that exceed them. */
  memory: MemoryBounds;
  /** Makes a control group that enforces the limit of all; undefined where the system cannot. Called once. */
  makeGroup(): ExecutorGroup | undefined;
  log: Log;
  /** An executor has opened its GPU. */
  onGpu(ready: ExecutorReady): void;
  /** An executor is warm. */
  onWarm(): void;
  /** A session gets an executor that has served its program before, or has compiled ahead for it. */
  onReuse(): void;
  /** A session's place may have become free, see `taken`. */
  onRoom(): void;
  /** An executor could not open a GPU. */
  onNoGpu(problem: FarlightError): void;
}

/** Adapters whose drivers store nothing on disk. */
const DISKLESS: readonly string[] = ['software', 'null'];
/** How long an executor stays warm, in milliseconds. */
const WARM_MS = 15 * 60_000;
/** How long to wait before the next spare after a failure, in milliseconds; doubles each time. */
const RETRY_MS = { first: 500, longest: 30_000 };
/** How long executors that were killed may take to exit when the pool closes, in milliseconds. */
const EXIT_MS = 5000;

/**
 * The daemon's executor processes. The pool owns each from its start to its exit. To start Node, Dawn and an adapter
 * takes 0.2 s, so a session gets a process that has done that already, if there is one.
 */
export class ExecutorPool {
  readonly #options: PoolOptions;
  readonly #executors = new Set<PooledExecutor>();
  readonly #spares: PooledExecutor[] = [];
  /** The warm executors, the longest warm first, and those that compile ahead. */
  readonly #warm: PooledExecutor[] = [];
  readonly #starts = new StartQueue({ most: Math.max(2, availableParallelism()) });
  readonly #watch: ExecutorWatch;
  #group: { made: ExecutorGroup | undefined } | undefined;
  /** The tenant whose spares to start: the one whose session came last. */
  #spareTenant = DEFAULT_TENANT;
  #choice: string;
  #retryMs = RETRY_MS.first;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#choice = options.adapter;
    this.#watch = new ExecutorWatch({
      busyMs: options.busyMs,
      memory: options.memory,
      executors: this.#executors,
      onExcess: (executor, what) => this.#endUsed(executor, what),
      onUnneeded: (executor) => this.#end(executor),
    });
  }

  /** Counts the processes by state. */
  census(): ExecutorCensus {
    const all = [...this.#executors];
    const busy = all.filter(({ isUsed }) => isUsed).length;
    const spare = this.#spares.filter(({ isReady }) => isReady).length;
    const warm = this.#warm.filter(({ isCompilingAhead }) => !isCompilingAhead).length;
    return { busy, spare, warm, changing: all.length - busy - spare - warm };
  }

  /** How many places are taken, by all tenants or by one. An ended session takes one until its process has cleared up. */
  taken(tenant?: string): number {
    const taken = [...this.#executors].filter(({ takesPlace }) => takesPlace);
    return tenant === undefined ? taken.length : taken.filter((each) => each.tenant === tenant).length;
  }

  /** Starts spares until there are `count`, unless one has just failed and the retry is not due yet. */
  fill(count: number = this.#options.spares): void {
    while (!this.#closed && !this.#retry && this.#spares.length < count) {
      this.#spares.push(this.#start(this.#spareTenant));
    }
  }

  /**
   * Gives an executor to a session until the session ends: a warm one of the tenant's program, with its compiled
   * pipelines, if there is one.
   */
  take(serves: TenantProgram, session: AssignedSession): ExecutorChild {
    const { tenant } = serves;
    const executor = this.#takeWarm(serves) ?? this.#takeSpare(tenant) ?? this.#start(tenant);
    executor.use(serves, session);
    this.#spareTenant = tenant;
    setImmediate(() => this.#renewSpares());
    return executor.child;
  }

  /**
   * Compiles ahead for programs, one after the other, the most important first, until enough executors are warm. Stops
   * at the first session: from then on the machine is for its clients.
   */
  async compileAhead(programs: Iterable<TenantProgram & { folder: BoundedFolder }>): Promise<void> {
    for (const { folder, ...serves } of programs) {
      if (this.#closed || this.#warm.length >= this.#options.warm || this.census().busy > 0) return;
      const executor = this.#start(serves.tenant);
      // Insert at the front: evict the oldest program first.
      this.#warm.unshift(executor);
      await executor.compileAhead(serves, folder);
    }
  }

  /** A session needs its executor no more, and has not begun. */
  giveBack(child: ExecutorChild): void {
    for (const executor of this.#executors) {
      if (executor.child !== child) continue;
      this.#forget(executor);
      executor.giveBack();
    }
  }

  /** A session is parked, and has left its executor. */
  leave(child: ExecutorChild): void {
    for (const executor of this.#executors) if (executor.child === child) executor.leave();
  }

  /** Ends every executor; resolves when all have exited, but for those that a driver does not let go. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#watch.close();
    for (const { child } of this.#executors) child.kill();
    const exited = Promise.all([...this.#executors].map((executor) => executor.exited));
    const late = deferred<void>();
    const limit = alarm(EXIT_MS, late.resolve);
    await Promise.race([exited, late.promise]);
    limit.cancel();
    // The host may exit without them.
    for (const { child } of this.#executors) child.unref();
    this.#group?.made?.close();
  }

  #takeWarm(serves: TenantProgram): PooledExecutor | undefined {
    const at = this.#warm.findLastIndex((executor) => executor.isFor(serves));
    const executor = at < 0 ? undefined : this.#warm.splice(at, 1)[0];
    if (!executor) return undefined;
    this.#options.onReuse();
    this.#options.log.info(executor.facts, 'executor reused');
    return executor;
  }

  #takeSpare(tenant: string): PooledExecutor | undefined {
    const suiting = this.#spares.filter((executor) => !executor.isEnding && this.#suits(executor, tenant));
    const spare = suiting.find(({ isReady }) => isReady) ?? suiting[0];
    if (spare) this.#spares.splice(this.#spares.indexOf(spare), 1);
    return spare;
  }

  /** Whether a tenant may have a spare: the spare's driver may have read another tenant's shaders. */
  #suits({ shaders }: PooledExecutor, tenant: string): boolean {
    const pathOf = (where: PooledExecutor['shaders']) => (typeof where === 'object' ? where.path : where);
    return this.#isDiskless || pathOf(shaders) === pathOf(this.#options.shadersOf(tenant));
  }

  get #isDiskless(): boolean {
    return DISKLESS.includes(this.#choice);
  }

  /** Where spares belong to tenants: replaces those of other tenants than the last one. */
  #renewSpares(): void {
    for (const executor of [...this.#spares]) {
      if (this.#suits(executor, this.#spareTenant)) continue;
      this.#spares.splice(this.#spares.indexOf(executor), 1);
      executor.end();
    }
    this.fill();
  }

  #keepWarm(executor: PooledExecutor): void {
    if (this.#options.warm === 0 || this.#closed) return;
    // One that has compiled ahead is in the list already.
    if (!this.#warm.includes(executor)) this.#warm.push(executor);
    this.#options.onWarm();
    this.#options.log.info(executor.facts, 'executor warm');
    executor.keepWarm(WARM_MS, () => this.#end(executor));
    const oldest = this.#warm.length > this.#options.warm ? this.#warm[0] : undefined;
    if (oldest) this.#end(oldest);
    this.#options.onRoom();
  }

  #end(executor: PooledExecutor): void {
    this.#forget(executor);
    executor.end();
  }

  /** Removes an executor from the warm ones, if it is there. */
  #forget(executor: PooledExecutor): void {
    const at = this.#warm.indexOf(executor);
    if (at >= 0) this.#warm.splice(at, 1);
  }

  #start(tenant: string): PooledExecutor {
    const { adapter, entry, warm, startMs, log, onGpu } = this.#options;
    const executor = new PooledExecutor(
      {
        adapter: this.#choice,
        entry,
        shaders: this.#isDiskless ? undefined : this.#options.shadersOf(tenant),
        waits: true,
        startMs,
      },
      {
        onReady: (ready) => {
          started();
          // Only the first answer counts: if the GPU is lost later, the host must not switch to a software GPU.
          if (this.#choice === adapter) this.#choice = ready.choice;
          this.#retryMs = RETRY_MS.first;
          log.info({ ...executor.facts, adapter: ready.adapter.name }, 'executor started');
          onGpu(ready);
        },
        onStuck: (reason) => {
          this.#forget(executor);
          // A spare stays among the spares until it has exited, so that no others start meanwhile and hang too.
          executor.kill(reason);
          this.#failed(reason);
        },
        onSessionEnded: () => {
          if (warm === 0) this.#end(executor);
        },
        onWarm: () => this.#keepWarm(executor),
        onExit: (reason) => {
          started();
          this.#onExit(executor, reason);
        },
      },
    );
    this.#executors.add(executor);
    const started = this.#starts.add(() => this.#launch(executor));
    return executor;
  }

  #launch({ child }: PooledExecutor): void {
    child.start();
    killFirstWithoutMemory(child.pid);
    this.#group ??= { made: this.#options.makeGroup() };
    this.#group.made?.add(child.pid);
  }

  #onExit(executor: PooledExecutor, reason: FarlightError | undefined): void {
    this.#executors.delete(executor);
    // A SIGTERM to the whole process group ends an executor that has just started and does not ignore it yet.
    if (reason && !this.#closed && !executor.child.wasAskedToEnd) {
      if (executor.isReady) this.#noteLost(executor, reason);
      else this.#failed(reason);
    }
    this.#forget(executor);
    const spare = this.#spares.indexOf(executor);
    if (spare >= 0) {
      this.#spares.splice(spare, 1);
      this.#tryLater();
    }
    if (!this.#closed) this.#options.onRoom();
  }

  /** Ends a used executor by force, and tells its session why. */
  #endUsed(executor: PooledExecutor, what: string): void {
    const reason = new FarlightError(
      'EXECUTOR_LOST',
      `the GPU executor ${what}, and the host ended it; start the program again`,
    );
    this.#noteLost(executor, reason);
    this.#forget(executor);
    executor.kill(reason);
  }

  #noteLost(executor: PooledExecutor, { code, message }: FarlightError): void {
    this.#options.log.warn({ ...executor.facts, code, why: brief(message) }, 'executor lost');
  }

  /** An executor could not open the GPU. Start another even without spares: else nobody would notice the GPU's return. */
  #failed(reason: FarlightError): void {
    this.#options.onNoGpu(reason);
    this.#tryLater();
  }

  /** A spare that has failed will probably fail again. The pause keeps that from overloading the machine. */
  #tryLater(): void {
    if (this.#closed || this.#retry) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.fill(Math.max(1, this.#options.spares));
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest);
  }
}
