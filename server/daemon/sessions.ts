import { randomBytes } from 'node:crypto';
import { deferred } from '../../link/deferred.js';
import type { ExecutorChild } from '../../link/executor-child.js';
import { type FarlightError, ProtocolError } from '../../proto/errors.js';
import {
  type Hello,
  SESSION_END_CODES,
  type SessionEnd,
  type SessionLimits,
  type SessionOver,
  type VersionRange,
  versionMismatch,
} from '../../proto/handshake.js';
import { negotiate } from '../../proto/version.js';
import { decodeObject, PACKET } from '../../proto/wire/packet.js';
import type { Counters } from './counters.js';
import type { ExecutorPool } from './executor-pool.js';
import { type Caller, refuse } from './front-door.js';
import type { KeptContents } from './kept-contents.js';
import type { Log } from './log.js';
import { type RefusalLog, SessionLog } from './session-log.js';

export interface SessionsOptions {
  versions: VersionRange;
  pool: ExecutorPool;
  /** Absent where the executors keep none. */
  contents: KeptContents | undefined;
  counters: Counters;
  /** How long a session outlives its connection, in milliseconds. */
  resumeMs: number;
  /** What each session may take of the GPU. */
  limits: SessionLimits;
  log: Log;
  refusals: RefusalLog;
  /** Why no further session is taken, if none is. */
  refusal(): SessionEnd | undefined;
}

/** A session whose executor has its connection, or will when its GPU is open. */
interface Session {
  child: ExecutorChild;
  /** Gives the connection to the executor; absent once it has it. */
  waiting: Caller | undefined;
  log: SessionLog;
}

/** Reasons that are kept for clients that come back to a session that has ended. */
const KEPT_ENDS = 1024;

/**
 * The host's sessions: opens each with an executor, and hands the client's connections to it. What travels on
 * them is not seen here.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  /** Why sessions ended, for their clients to hear when they come back. The oldest first. */
  readonly #ends = new Map<string, SessionEnd>();

  /** Who waits for the last session to be gone. */
  readonly #whenNone = new Set<() => void>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A client wants to open a session, or to go on with one. */
  receive(caller: Caller): void {
    try {
      if (caller.kind === PACKET.hello) this.#open(caller, decodeHello(caller.body));
      else if (caller.kind === PACKET.resume) this.#resume(caller);
      else throw new ProtocolError('a session begins with Hello or Resume');
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(caller, { code: 'PROTOCOL_ERROR', message: error.message });
    }
  }

  #refuse({ socket }: Caller, end: SessionEnd): void {
    this.#options.refusals.refused(end, socket.remoteAddress);
    refuse(socket, end);
  }

  /** Resolves when there is no session, or after so many milliseconds. */
  async none(ms: number): Promise<void> {
    if (this.#sessions.size === 0) return;
    const none = deferred<void>();
    this.#whenNone.add(none.resolve);
    const timer = setTimeout(() => none.resolve(), ms);
    await none.promise;
    clearTimeout(timer);
    this.#whenNone.delete(none.resolve);
  }

  /** Ends every session, and tells each client why. Resolves when all know, or after `graceMs`. */
  async end(end: SessionEnd, graceMs: number): Promise<void> {
    for (const [id, { child, waiting }] of [...this.#sessions]) {
      this.#ends.set(id, end);
      if (waiting) {
        refuse(waiting.socket, end);
        this.#options.pool.putBack(child);
        this.#forget(id, end);
      } else {
        child.endSession(end);
      }
    }
    await this.none(graceMs);
    for (const id of [...this.#sessions.keys()]) this.#forget(id, end);
  }

  #open(caller: Caller, hello: Hello): void {
    const { versions, pool, counters, contents, resumeMs, limits } = this.#options;
    const { protocolMin, protocolMax, program } = hello;
    const host = { min: versions.protocolMin, max: versions.protocolMax };
    const protocol = negotiate({ min: protocolMin, max: protocolMax }, host);
    const refusal: SessionEnd | undefined =
      protocol === undefined
        ? { code: 'VERSION_MISMATCH', message: versionMismatch(hello, versions) }
        : this.#options.refusal();
    if (refusal || protocol === undefined) {
      counters.sessionsRefused++;
      if (refusal) this.#refuse(caller, refusal);
      return;
    }
    // Nobody can guess it: who knows it goes on with the session.
    const id = randomBytes(18).toString('base64url');
    const log = new SessionLog(this.#options.log, { sessionId: id, program });
    const child = pool.take(program, {
      onReady: ({ adapter }) => {
        const session = this.#sessions.get(id);
        if (!session?.waiting) return;
        const { socket, head } = session.waiting;
        session.waiting = undefined;
        const welcome = { protocol, version: versions.version, sessionId: id, resumeMs };
        const description = { program, limits, welcome: { ...welcome, contents: contents?.describe() } };
        log.opened(adapter.name);
        child.begin(description, socket, head);
      },
      onTraffic: (traffic) => {
        log.carried(traffic);
        counters.framesUp += traffic.framesUp;
        counters.framesDown += traffic.framesDown;
        counters.bytesUp += traffic.bytesUp;
        counters.bytesDown += traffic.bytesDown;
      },
      onOver: (why) => this.#forget(id, { code: 'DISCONNECTED', message: 'the session is over' }, why),
      onExit: (reason) => this.#lost(id, reason),
    });
    this.#sessions.set(id, { child, waiting: caller, log });
    counters.sessionsOpened++;
    counters.sessionsActive++;
  }

  #resume(caller: Caller): void {
    const { socket, body, head } = caller;
    const { sessionId, taken } = decodeObject(body);
    if (typeof sessionId !== 'string' || !Number.isSafeInteger(taken)) {
      throw new ProtocolError('Resume is incomplete');
    }
    const session = this.#sessions.get(sessionId);
    if (session && !session.waiting) {
      session.log.resumed();
      session.child.resume(taken as number, socket, head);
      return;
    }
    const unknown: SessionEnd = {
      code: 'DISCONNECTED',
      message: 'the host does not know the session: it has ended, or the host was started again',
    };
    this.#refuse(caller, this.#ends.get(sessionId) ?? unknown);
  }

  #lost(id: string, reason: FarlightError | undefined): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#options.counters.executorsLost++;
    const code = SESSION_END_CODES.find((each) => each === reason?.code) ?? 'EXECUTOR_LOST';
    const end = { code, message: reason?.message ?? 'the GPU executor ended' };
    if (session.waiting) refuse(session.waiting.socket, end);
    this.#forget(id, end);
  }

  /** `end` is what its client hears when it comes back, `why` what is noted. */
  #forget(id: string, end: SessionEnd, why: SessionOver = end): void {
    this.#sessions.get(id)?.log.ended(why);
    if (!this.#sessions.delete(id)) return;
    this.#options.counters.sessionsActive--;
    if (!this.#ends.has(id)) this.#ends.set(id, end);
    if (this.#sessions.size === 0) for (const resolve of this.#whenNone) resolve();
    for (const oldest of this.#ends.keys()) {
      if (this.#ends.size <= KEPT_ENDS) break;
      this.#ends.delete(oldest);
    }
  }
}

/** @throws ProtocolError where it is none. */
function decodeHello(body: Uint8Array): Hello {
  const { protocolMin, protocolMax, version, program } = decodeObject(body);
  const numbers = [protocolMin, protocolMax].every(Number.isSafeInteger);
  if (!numbers || typeof version !== 'string' || typeof program !== 'string') {
    throw new ProtocolError('Hello is incomplete');
  }
  return { protocolMin, protocolMax, version, program } as Hello;
}
