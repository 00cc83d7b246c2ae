import type { Socket } from 'node:net';
import {
  ExecutorChild,
  type ExecutorChildOptions,
  type ExecutorReady,
} from '../../../link/executor/executor-child.js';
import { clearTimeout, monotonicNow, setImmediate, setTimeout } from '../../../link/machine/clock.js';
import { type Deferred, deferred } from '../../../link/machine/deferred.js';
import type { FarlightError } from '../../../proto/errors.js';
import type { BoundedFolder, SessionReport } from '../../../proto/session/executor-messages.js';
import type { SessionEnd, SessionEnded } from '../../../proto/session/session-end.js';
import { brief } from '../../observatory/log.js';

/** A program of a tenant. An executor serves only one: it never serves another tenant or another program. */
export interface TenantProgram {
  readonly tenant: string;
  readonly program: string;
}

/** The session that uses an executor: what the executor reports to it. */
export interface AssignedSession {
  /** The GPU is open. Comes first, in a later turn of the event loop. */
  onReady(ready: ExecutorReady): void;
  onReport(report: SessionReport): void;
  /** The executor cannot have the connection of the session, which ends. The caller tells its client why. */
  onNotTaken?(connection: Socket, end: SessionEnd): void;
  /** The session has ended, and no longer uses the executor. */
  onSessionEnded(why: SessionEnded): void;
  /** The executor has exited. Comes instead of onSessionEnded. */
  onExit(reason: FarlightError | undefined): void;
  /** Nothing of the session is left on the GPU. Comes once, last. */
  onReleased(): void;
}

/** The reports of an executor to the pool. */
export interface PooledExecutorEvents {
  /** The GPU is open. Comes before the session's onReady. */
  onReady(ready: ExecutorReady): void;
  /** The GPU is not open in time, and the process is killed. */
  onStuck(reason: FarlightError): void;
  /** The session has ended. Comes after the session's onSessionEnded. */
  onSessionEnded(): void;
  /** The executor is warm: ready for its program's next session. */
  onWarm(): void;
  /** The process has exited. Comes once, last, before the session's onExit. */
  onExit(reason: FarlightError | undefined): void;
}

/** How long an executor may take to exit, in milliseconds, before it is killed. */
const END_GRACE_MS = 6000;

/**
 * An executor process of the pool, and the session that uses it.
 *
 * States: *spare* (no session has used it), *compiling ahead* (for a session that has not come yet), *used* (by a
 * session), *clearing* (its session has ended, and it clears up), *warm* (waits for its program's next session; a timer
 * ends it), *ending* (it was told to exit).
 * spare -> used -> clearing -> warm -> used; spare -> compiling ahead -> warm or used; each state -> ending -> exited.
 */
export class PooledExecutor {
  readonly child: ExecutorChild;
  /** Where its driver keeps shaders. */
  readonly shaders: ExecutorChildOptions['shaders'];
  readonly #exited = deferred<void>();
  #ready: ExecutorReady | undefined;
  #session: AssignedSession | undefined;
  /** The session that has ended, while parts of it may be left on the GPU. */
  #lastSession: AssignedSession | undefined;
  #serves: TenantProgram | undefined;
  /** No session uses it and nothing of one is left: it waits for its program's next session. */
  #idle = false;
  #ending = false;
  /** No earlier session has used it, and it has compiled nothing ahead. */
  #fresh = true;
  /** Settles when it has compiled ahead, a session uses it, or it has exited. */
  #compiling: Deferred<void> | undefined;
  #aliveAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ExecutorChildOptions, events: PooledExecutorEvents) {
    this.shaders = options.shaders;
    this.child = new ExecutorChild(options, {
      onReady: (ready) => {
        this.#ready = ready;
        events.onReady(ready);
        this.#session?.onReady(ready);
      },
      onStuck: (reason) => events.onStuck(reason),
      onReport: (report) => this.#session?.onReport(report),
      onNotTaken: (connection, end) => {
        if (this.#session?.onNotTaken) this.#session.onNotTaken(connection, end);
        else connection.destroy();
      },
      onSessionEnded: (why) => {
        this.#takeSession()?.onSessionEnded(why);
        events.onSessionEnded();
      },
      onIdle: () => {
        this.#idle = true;
        this.#released();
        events.onWarm();
      },
      onCompiledAhead: () => {
        // False where a session has begun to use it meanwhile.
        if (this.#endCompiling()) events.onWarm();
      },
      onAlive: () => {
        this.#aliveAt = monotonicNow();
      },
      onExit: (reason) => {
        clearTimeout(this.#timer);
        this.#exited.resolve();
        events.onExit(reason);
        this.#endCompiling();
        const session = this.#session;
        this.#session = undefined;
        session?.onExit(reason);
        session?.onReleased();
        this.#released();
      },
    });
  }

  /** Whether its GPU is open. */
  get isReady(): boolean {
    return this.#ready !== undefined;
  }

  /** Whether a session uses it. */
  get isUsed(): boolean {
    return this.#session !== undefined;
  }

  /**
   * Whether it takes the place of one of its tenant's sessions: a session uses it, or has used it, and it clears up or
   * ends. Until then an ended session still takes the machine's memory and the GPU's time.
   */
  get takesPlace(): boolean {
    return this.#serves !== undefined && !this.#idle;
  }

  /** Whether it is warm: it waits for its program's next session. */
  get isWarm(): boolean {
    return this.#idle && !this.isCompilingAhead;
  }

  get isEnding(): boolean {
    return this.#ending;
  }

  /** The tenant that it serves; undefined for a spare. */
  get tenant(): string | undefined {
    return this.#serves?.tenant;
  }

  get isCompilingAhead(): boolean {
    return this.#compiling !== undefined;
  }

  /** Whether it works for a program, so that the pool watches it. */
  get isAtWork(): boolean {
    return this.isUsed || this.isCompilingAhead;
  }

  /** When it last answered, or was given work, in milliseconds of a steady clock. */
  get aliveAt(): number {
    return this.#aliveAt;
  }

  /** Resolves when the process has exited. */
  get exited(): Promise<void> {
    return this.#exited.promise;
  }

  /** Its fields in the log: the process, the program and the tenant. */
  get facts(): object {
    const serves = this.#serves;
    return { pid: this.child.pid, ...(serves && { program: brief(serves.program), tenant: serves.tenant }) };
  }

  /** Whether it has served this program before, or compiles ahead for it. */
  isFor({ tenant, program }: TenantProgram): boolean {
    return this.#serves?.tenant === tenant && this.#serves.program === program;
  }

  /**
   * Compiles ahead for a program's next session. A session may use the executor before that is done. Resolves when it
   * compiles no more.
   */
  compileAhead(serves: TenantProgram, folder: BoundedFolder): Promise<void> {
    this.#serves = serves;
    this.#aliveAt = monotonicNow();
    this.#idle = true;
    this.#fresh = false;
    this.#compiling = deferred();
    this.child.tell({ type: 'compileAhead', program: serves.program, folder });
    return this.#compiling.promise;
  }

  /** Gives it to a session, until the session ends. */
  use(serves: TenantProgram, session: AssignedSession): void {
    clearTimeout(this.#timer);
    this.#endCompiling();
    this.#session = session;
    this.#fresh &&= this.#serves === undefined;
    this.#serves = serves;
    this.#aliveAt = monotonicNow();
    this.#idle = false;
    const ready = this.#ready;
    if (ready) setImmediate(() => this.#session?.onReady(ready));
  }

  /** The session is parked, and needs the executor no more. The executor ends. The session hears of `onReleased` alone. */
  leave(): void {
    this.#takeSession();
    this.end();
  }

  /** The session has not begun and needs the executor no more. The executor ends, and the session hears nothing. */
  giveBack(): void {
    this.#session = undefined;
    // A fresh one has nothing to save.
    if (this.#fresh) this.child.kill();
    this.end();
  }

  /** Calls back when no session has used it for so many milliseconds. */
  keepWarm(ms: number, onUnused: () => void): void {
    this.#timer = setTimeout(onUnused, ms).unref();
  }

  /** Ends it once it has finished its current work, which may take a while. */
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
    this.#takeSession()?.onExit(reason);
  }

  /** @returns whether it was compiling ahead. */
  #endCompiling(): boolean {
    const compiling = this.#compiling;
    this.#compiling = undefined;
    compiling?.resolve();
    return compiling !== undefined;
  }

  #takeSession(): AssignedSession | undefined {
    const session = this.#session;
    this.#session = undefined;
    this.#lastSession = session;
    return session;
  }

  #released(): void {
    const session = this.#lastSession;
    this.#lastSession = undefined;
    session?.onReleased();
  }
}
