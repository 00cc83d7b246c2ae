import {
  ExecutorChild,
  type ExecutorChildOptions,
  type ExecutorReady,
} from '../../../link/executor/executor-child.js';
import { clearTimeout, monotonicNow, setImmediate, setTimeout } from '../../../link/machine/clock.js';
import { type Deferred, deferred } from '../../../link/machine/deferred.js';
import type { Span } from '../../../proto/activity.js';
import type { FarlightError } from '../../../proto/errors.js';
import type { BoundedFolder, SessionOver, Traffic } from '../../../proto/handshake.js';
import type { ShareReport } from '../../../proto/shares.js';
import type { Work } from '../../../proto/work.js';
import { brief } from '../../observatory/log.js';

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

/** What the pool hears of an executor. */
export interface PooledExecutorEvents {
  /** Its GPU is open; its session hears of it after this. */
  onReady(ready: ExecutorReady): void;
  /** Its session is over, and knows. */
  onOver(): void;
  /** It is ready for the next session of those that it serves. */
  onIdle(): void;
  /** The process is gone; its session hears of it after this. Comes once, last. */
  onExit(reason: FarlightError | undefined): void;
}

/** How long an executor may take to end, in milliseconds, before it is killed. */
const END_GRACE_MS = 6000;

/**
 * An executor process of the pool, and the session that has it.
 *
 * States: *spare* (no session has used it), *preparing* (for a session that has not come yet), *used* (a session has
 * it), *retiring* (its session is over, and it tidies up), *kept* (for the next session of those that it serves; a
 * timer ends it).
 * spare -> used -> retiring -> kept -> used; spare -> preparing -> kept or used; from each of them it is gone when the
 * process ends.
 */
export class PooledExecutor {
  readonly child: ExecutorChild;
  /** Where its driver keeps shaders. */
  readonly shaders: ExecutorChildOptions['shaders'];
  readonly #exited = deferred<void>();
  #ready: ExecutorReady | undefined;
  #user: ExecutorUser | undefined;
  /** The session that is over, of which something may be left. */
  #leaving: ExecutorUser | undefined;
  #serves: Served | undefined;
  /** Nothing of a session is on it: it waits for the next one of those that it serves. */
  #idle = false;
  #ending = false;
  /** No session has had it before the one that has it now, and nothing was prepared. */
  #fresh = true;
  /** Until it is ready for a session that has not come, or has that session, or is gone. */
  #preparing: Deferred<void> | undefined;
  #aliveAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ExecutorChildOptions, events: PooledExecutorEvents) {
    this.shaders = options.shaders;
    this.child = new ExecutorChild(options, {
      onReady: (ready) => {
        this.#ready = ready;
        events.onReady(ready);
        this.#user?.onReady(ready);
      },
      onTraffic: (traffic, work) => this.#user?.onTraffic(traffic, work),
      onSpans: (spans, left) => this.#user?.onSpans?.(spans, left),
      onShare: (report) => this.#user?.onShare(report),
      onOver: (why) => {
        this.#takeUser()?.onOver(why);
        events.onOver();
      },
      onIdle: () => {
        this.#idle = true;
        this.#released();
        events.onIdle();
      },
      onCompiledAhead: () => {
        // A session that it was given to meanwhile is over in its own time.
        if (this.#endPreparing()) events.onIdle();
      },
      onAlive: () => {
        this.#aliveAt = monotonicNow();
      },
      onExit: (reason) => {
        clearTimeout(this.#timer);
        this.#exited.resolve();
        events.onExit(reason);
        this.#endPreparing();
        const user = this.#user;
        this.#user = undefined;
        user?.onExit(reason);
        user?.onReleased();
        this.#released();
      },
    });
  }

  /** Whether its GPU is open. */
  get isReady(): boolean {
    return this.#ready !== undefined;
  }

  /** Whether a session has it. */
  get isUsed(): boolean {
    return this.#user !== undefined;
  }

  /**
   * Whether it takes the place of a session of its tenant's: a session has it, or had it, and it tidies up or ends. A
   * session that is over still has memory of the machine and work on the GPU until then.
   */
  get takesPlace(): boolean {
    return this.#serves !== undefined && !this.#idle;
  }

  /** Whether it is kept for a session that has not come. */
  get isWaiting(): boolean {
    return this.#idle && !this.isPreparing;
  }

  /** Whether it was told to end. */
  get isEnding(): boolean {
    return this.#ending;
  }

  /** Whose it is. */
  get tenant(): string | undefined {
    return this.#serves?.tenant;
  }

  /** Whether it makes ready for a session, and has none yet. */
  get isPreparing(): boolean {
    return this.#preparing !== undefined;
  }

  /** Whether it does something for a program, so that it is looked after. */
  get isAtWork(): boolean {
    return this.isUsed || this.isPreparing;
  }

  /** When it was last known not to be busy, in milliseconds since 1970. */
  get aliveAt(): number {
    return this.#aliveAt;
  }

  /** Resolves when the process is gone. */
  get exited(): Promise<void> {
    return this.#exited.promise;
  }

  /** What names it in the log: its process, and whose sessions it serves. */
  get facts(): object {
    const serves = this.#serves;
    return { pid: this.child.pid, ...(serves && { program: brief(serves.program), tenant: serves.tenant }) };
  }

  /** Whether it has served these before, or makes ready for them. */
  isFor({ tenant, program }: Served): boolean {
    return this.#serves?.tenant === tenant && this.#serves.program === program;
  }

  /**
   * Has it be ready for the next session of these, which may have it before it is. Resolves when it makes nothing ready
   * any more.
   */
  prepare(serves: Served, blobs: BoundedFolder): Promise<void> {
    this.#serves = serves;
    this.#aliveAt = monotonicNow();
    this.#idle = true;
    this.#fresh = false;
    this.#preparing = deferred();
    this.child.compileAhead({ program: serves.program, blobs });
    return this.#preparing.promise;
  }

  /** Gives it to a session, until that is over. */
  use(serves: Served, user: ExecutorUser): void {
    clearTimeout(this.#timer);
    this.#endPreparing();
    this.#user = user;
    this.#fresh &&= this.#serves === undefined;
    this.#serves = serves;
    this.#aliveAt = monotonicNow();
    this.#idle = false;
    const ready = this.#ready;
    if (ready) setImmediate(() => this.#user?.onReady(ready));
  }

  /** Its session, of which nothing has begun, does not want it after all, and hears nothing more of it: it ends. */
  unuse(): void {
    this.#user = undefined;
    // There is nothing that it could lose.
    if (this.#fresh) this.child.kill();
    this.end();
  }

  /** Calls back when nobody has used it for so many milliseconds. */
  keep(ms: number, onUnused: () => void): void {
    this.#timer = setTimeout(onUnused, ms).unref();
  }

  /** Ends it when it has done what it is doing, which may take a while. */
  end(): void {
    this.#idle = false;
    this.#ending = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.child.kill(), END_GRACE_MS).unref();
    this.child.end();
  }

  /** Ends it by force, and tells its session why. */
  kill(reason: FarlightError): void {
    this.#ending = true;
    this.child.kill();
    this.#takeUser()?.onExit(reason);
  }

  /** @returns false where nothing was made ready. */
  #endPreparing(): boolean {
    const preparing = this.#preparing;
    this.#preparing = undefined;
    preparing?.resolve();
    return preparing !== undefined;
  }

  #takeUser(): ExecutorUser | undefined {
    const user = this.#user;
    this.#user = undefined;
    this.#leaving = user;
    return user;
  }

  #released(): void {
    const leaving = this.#leaving;
    this.#leaving = undefined;
    leaving?.onReleased();
  }
}
