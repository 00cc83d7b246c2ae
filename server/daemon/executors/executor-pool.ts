import { availableParallelism } from 'node:os';
import type {
  ExecutorChild,
  ExecutorChildOptions,
  ExecutorReady,
} from '../../../link/executor/executor-child.js';
import { clearTimeout, setImmediate, setTimeout } from '../../../link/machine/clock.js';
import { FarlightError } from '../../../proto/errors.js';
import type { BoundedFolder } from '../../../proto/handshake.js';
import { brief, type Log } from '../../observatory/log.js';
import { DEFAULT_TENANT } from '../../trust/token-store.js';
import type { ExecutorGroup } from './executor-group.js';
import { ExecutorWatch } from './executor-watch.js';
import type { MemoryBounds } from './memory-bounds.js';
import { type ExecutorUser, PooledExecutor, type Served } from './pooled-executor.js';
import { letGoFirst } from './process-memory.js';
import { StartTurns } from './start-queue.js';

export interface PoolOptions {
  /** What the executors open. Once one has found its adapter, later ones open that without a search. */
  adapter: string;
  /** How many executors are ready for any program. */
  spares: number;
  /** How many executors are kept for the next session of the program that they served last. */
  kept: number;
  /** Where the driver keeps the shaders of a tenant's programs; undefined where all of them have the same place. */
  shadersOf(tenant: string): ExecutorChildOptions['shaders'];
  entry?: URL | undefined;
  /** How long an executor may be busy without a pause, in milliseconds: longer, and it is ended. */
  busyMs: number;
  /** What executors may have of the machine's memory: with more, one of them is ended. */
  memory: MemoryBounds;
  /** Has the system keep the memory of all of them within that bound; undefined where it does not. Called once. */
  makeGroup(): ExecutorGroup | undefined;
  /** Where executors that come and go are noted. */
  log: Log;
  /** An executor opened its GPU. */
  onGpu(ready: ExecutorReady): void;
  /** An executor is ready for another session of its program. */
  onKept(): void;
  /** A session is given an executor that has served its program before, or was prepared for it. */
  onReuse(): void;
  /** A place of a session may have become free, see `taken`. */
  onRoom(): void;
  /** An executor could not open a GPU. */
  onNoGpu(problem: FarlightError): void;
}

/** Adapters whose drivers keep nothing on disk. */
const DISKLESS: readonly string[] = ['software', 'null'];
/** How long an executor is kept for the next session of its program, in milliseconds. */
const KEEP_MS = 15 * 60_000;
/** How long to wait before the next spare after one failed, in milliseconds; doubles each time. */
const RETRY_MS = { first: 500, longest: 30_000 };

/** Executor processes: of a session, ready for any, kept for a program's next one, and those that start or tidy up. */
export interface ExecutorCensus {
  busy: number;
  warm: number;
  kept: number;
  changing: number;
}

/**
 * The daemon's executor processes: the pool owns each one until its exit, whether it is a spare or a
 * session uses it. Starting Node, Dawn and an adapter takes 0.2 s, so a session gets a process that
 * has done it already where one is warm.
 */
export class ExecutorPool {
  readonly #options: PoolOptions;
  readonly #executors = new Set<PooledExecutor>();
  readonly #spares: PooledExecutor[] = [];
  /** The longest kept first. */
  readonly #kept: PooledExecutor[] = [];
  readonly #turns = new StartTurns({ most: Math.max(2, availableParallelism()) });
  readonly #watch: ExecutorWatch;
  #group: { made: ExecutorGroup | undefined } | undefined;
  /** Whose spares are started: the tenant's that came last. */
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

  /** How many processes there are, by what they are there for. */
  census(): ExecutorCensus {
    const all = [...this.#executors];
    const busy = all.filter(({ isUsed }) => isUsed).length;
    const warm = this.#spares.filter(({ isReady }) => isReady).length;
    const kept = this.#kept.filter(({ isPreparing }) => !isPreparing).length;
    return { busy, warm, kept, changing: all.length - busy - warm - kept };
  }

  /** How many places of sessions are taken, by all tenants or by one: a session that is over has one until its process has none of it. */
  taken(tenant?: string): number {
    const taken = [...this.#executors].filter(({ takesPlace }) => takesPlace);
    return tenant === undefined ? taken.length : taken.filter((each) => each.tenant === tenant).length;
  }

  /** Starts spares until there are `count`, unless one has just failed and the next try is still to come. */
  fill(count: number = this.#options.spares): void {
    while (!this.#closed && !this.#retry && this.#spares.length < count) {
      this.#spares.push(this.#start(this.#spareTenant));
    }
  }

  /**
   * Gives an executor to a session, until that is over: one that has served the tenant's program before, with what
   * was compiled for it, where there is one.
   */
  take(serves: Served, user: ExecutorUser): ExecutorChild {
    const { tenant } = serves;
    const executor = this.#takeKept(serves) ?? this.#takeSpare(tenant) ?? this.#start(tenant);
    executor.use(serves, user);
    this.#spareTenant = tenant;
    setImmediate(() => this.#renewSpares());
    return executor.child;
  }

  /**
   * Makes executors ready for programs that have not come yet, one after the other, as many as are kept; the first
   * matters most. Ends with the first session: from then on the machine is for those who use it.
   */
  async prepare(programs: Iterable<Served & { blobs: BoundedFolder }>): Promise<void> {
    for (const { blobs, ...serves } of programs) {
      if (this.#closed || this.#kept.length >= this.#options.kept || this.census().busy > 0) return;
      const executor = this.#start(serves.tenant);
      // Those that are kept longest go first, and these are for ever older programs.
      this.#kept.unshift(executor);
      await executor.prepare(serves, blobs);
    }
  }

  /** A session does not want its executor after all; nothing has begun on it. */
  putBack(child: ExecutorChild): void {
    for (const executor of this.#executors) {
      if (executor.child !== child) continue;
      this.#forget(executor);
      executor.unuse();
    }
  }

  /** Ends every executor; resolves when none is left. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#watch.close();
    for (const { child } of this.#executors) child.kill();
    await Promise.all([...this.#executors].map(({ exited }) => exited));
    this.#group?.made?.close();
  }

  #takeKept(serves: Served): PooledExecutor | undefined {
    const at = this.#kept.findLastIndex((executor) => executor.isFor(serves));
    const executor = at < 0 ? undefined : this.#kept.splice(at, 1)[0];
    if (!executor) return undefined;
    this.#options.onReuse();
    this.#options.log.info(executor.facts, 'executor reused');
    return executor;
  }

  #takeSpare(tenant: string): PooledExecutor | undefined {
    const suiting = this.#spares.filter((executor) => this.#suits(executor, tenant));
    const spare = suiting.find(({ isReady }) => isReady) ?? suiting[0];
    if (spare) this.#spares.splice(this.#spares.indexOf(spare), 1);
    return spare;
  }

  /** Whether a tenant may have an executor that no session has used: its driver may have read what another's left. */
  #suits({ shaders }: PooledExecutor, tenant: string): boolean {
    const pathOf = (where: PooledExecutor['shaders']) => (typeof where === 'object' ? where.path : where);
    return this.#isDiskless || pathOf(shaders) === pathOf(this.#options.shadersOf(tenant));
  }

  get #isDiskless(): boolean {
    return DISKLESS.includes(this.#choice);
  }

  /** Has the spares be those of the tenant that came last, where they are a tenant's. */
  #renewSpares(): void {
    for (const executor of [...this.#spares]) {
      if (this.#suits(executor, this.#spareTenant)) continue;
      this.#spares.splice(this.#spares.indexOf(executor), 1);
      executor.end();
    }
    this.fill();
  }

  #keep(executor: PooledExecutor): void {
    if (this.#options.kept === 0 || this.#closed) return;
    // One that was prepared is among them already.
    if (!this.#kept.includes(executor)) this.#kept.push(executor);
    this.#options.onKept();
    this.#options.log.info(executor.facts, 'executor kept');
    executor.keep(KEEP_MS, () => this.#end(executor));
    const oldest = this.#kept.length > this.#options.kept ? this.#kept[0] : undefined;
    if (oldest) this.#end(oldest);
    this.#options.onRoom();
  }

  #end(executor: PooledExecutor): void {
    this.#forget(executor);
    executor.end();
  }

  /** Takes an executor out of those that are kept, if it is one. */
  #forget(executor: PooledExecutor): void {
    const at = this.#kept.indexOf(executor);
    if (at >= 0) this.#kept.splice(at, 1);
  }

  #start(tenant: string): PooledExecutor {
    const { adapter, entry, kept, log, onGpu } = this.#options;
    const executor = new PooledExecutor(
      {
        adapter: this.#choice,
        entry,
        shaders: this.#isDiskless ? undefined : this.#options.shadersOf(tenant),
        waits: true,
      },
      {
        onReady: (ready) => {
          started();
          // Only the first answer counts: a GPU that is lost later must not make the host a software one.
          if (this.#choice === adapter) this.#choice = ready.choice;
          this.#retryMs = RETRY_MS.first;
          log.info({ ...executor.facts, adapter: ready.adapter.name }, 'executor started');
          onGpu(ready);
        },
        onOver: () => {
          if (kept === 0) this.#end(executor);
        },
        onIdle: () => this.#keep(executor),
        onExit: (reason) => {
          started();
          this.#onExit(executor, reason);
        },
      },
    );
    this.#executors.add(executor);
    const started = this.#turns.take(() => this.#launch(executor));
    return executor;
  }

  #launch({ child }: PooledExecutor): void {
    child.start();
    letGoFirst(child.pid);
    this.#group ??= { made: this.#options.makeGroup() };
    this.#group.made?.add(child.pid);
  }

  #onExit(executor: PooledExecutor, reason: FarlightError | undefined): void {
    this.#executors.delete(executor);
    // One that has just been started does not yet leave its end to this process.
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

  /** Ends one that a session uses, by force, and tells that session why. */
  #endUsed(executor: PooledExecutor, what: string): void {
    const reason = new FarlightError(
      'EXECUTOR_LOST',
      `the GPU executor ${what}, and was ended; start the program again`,
    );
    this.#noteLost(executor, reason);
    executor.kill(reason);
  }

  #noteLost(executor: PooledExecutor, { code, message }: FarlightError): void {
    this.#options.log.warn({ ...executor.facts, code, why: brief(message) }, 'executor lost');
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
