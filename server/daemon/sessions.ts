import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { deferred } from '../../link/deferred.js';
import type { ExecutorChild } from '../../link/executor-child.js';
import { type Compression, grantCompression } from '../../proto/compression.js';
import { FarlightError, ProtocolError } from '../../proto/errors.js';
import {
  type Hello,
  type Resume,
  SESSION_END_CODES,
  type SessionEnd,
  type Silence,
  type VersionRange,
  versionMismatch,
} from '../../proto/handshake.js';
import { negotiate } from '../../proto/version.js';
import { decodeObject, PACKET } from '../../proto/wire/packet.js';
import type { Admission, Visitor } from './admission.js';
import type { Bridges } from './bridges.js';
import type { Counters } from './counters.js';
import type { ExecutorPool } from './executor-pool.js';
import { type Caller, refuse } from './front-door.js';
import type { TenantContents } from './kept-contents.js';

export interface SessionsOptions {
  versions: VersionRange;
  pool: ExecutorPool;
  /** Absent where the executors keep none. */
  contents: TenantContents | undefined;
  counters: Counters;
  admission: Admission;
  /** What makes connections plain that cannot be handed over as they are; absent where all can. */
  bridges(): Bridges | undefined;
  /** How long a session outlives its connection, in milliseconds. */
  resumeMs: number;
  /** When a client is taken for gone; absent where the executors decide. */
  silence?: Silence | undefined;
  /** Why no further session is taken, if none is. */
  refusal(): SessionEnd | undefined;
}

/** A session whose executor has its connection, or will when its GPU is open. */
interface Session {
  child: ExecutorChild;
  /** Whose it is: nobody else goes on with it, and it ends when the token is revoked that was shown last. */
  visitor: Visitor;
  /** Gives the connection to the executor; absent once it has it. */
  waiting: Caller | undefined;
}

/** Reasons that are kept for clients that come back to a session that has ended. */
const KEPT_ENDS = 1024;
/** How long an executor may take to end the session of a revoked token, in milliseconds, before it is killed. */
const REVOKED_MS = 3000;

const UNKNOWN: SessionEnd = {
  code: 'DISCONNECTED',
  message: 'the host does not know the session: it has ended, or the host was started again',
};

/**
 * The host's sessions: opens each with an executor, and hands the client's connections to it. What travels on
 * them is not seen here.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  /** Why sessions ended, for their clients to hear when they come back. The oldest first. */
  readonly #ends = new Map<string, { end: SessionEnd; tenant: string }>();

  #ending = false;
  /** Resolved when the last session is gone: for who waits for that. */
  readonly #none = deferred<void>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A client wants to open a session, or to go on with one. */
  receive(caller: Caller): void {
    try {
      const words = decodeWords(caller);
      const visitor = this.#options.admission.admit(words.token, caller.remote);
      if (caller.kind === PACKET.hello) this.#open(caller, visitor, decodeHello(words));
      else this.#resume(caller, visitor, decodeResume(words));
    } catch (error) {
      const { counters } = this.#options;
      if (error instanceof ProtocolError) {
        refuse(caller.socket, { code: 'PROTOCOL_ERROR', message: error.message });
      } else if (error instanceof FarlightError && error.code === 'UNAUTHORIZED') {
        counters.sessionsRefused++;
        refuse(caller.socket, { code: error.code, message: error.message });
      } else {
        throw error;
      }
    }
  }

  /** Ends the sessions of a token that counts no more, and tells their clients. */
  revoke(tokenId: string): void {
    const end: SessionEnd = {
      code: 'UNAUTHORIZED',
      message: "the host's owner has revoked the token of this session; ask for another (farlight token add)",
    };
    for (const [id, { child, visitor, waiting }] of [...this.#sessions]) {
      if (visitor.tokenId !== tokenId) continue;
      if (waiting) {
        this.#dismiss(id, end);
        continue;
      }
      this.#note(id, visitor, end);
      child.endSession(end);
      // An executor that is busy does not hear of it; the session is over all the same.
      setTimeout(() => {
        if (this.#sessions.get(id)?.child === child) child.kill();
      }, REVOKED_MS).unref();
    }
  }

  /** Ends every session, and tells each client why. Resolves when all know, or after `graceMs`. */
  async end(end: SessionEnd, graceMs: number): Promise<void> {
    this.#ending = true;
    for (const [id, { child, visitor, waiting }] of [...this.#sessions]) {
      if (waiting) {
        this.#dismiss(id, end);
      } else {
        this.#note(id, visitor, end);
        child.endSession(end);
      }
    }
    if (this.#sessions.size > 0) {
      const timer = setTimeout(() => this.#none.resolve(), graceMs);
      await this.#none.promise;
      clearTimeout(timer);
    }
    for (const id of [...this.#sessions.keys()]) this.#forget(id, end);
  }

  #open(caller: Caller, visitor: Visitor, hello: Greeting): void {
    const { versions, pool, counters, contents, resumeMs, silence } = this.#options;
    const { protocolMin, protocolMax, program, compression } = hello;
    const host = { min: versions.protocolMin, max: versions.protocolMax };
    const protocol = negotiate({ min: protocolMin, max: protocolMax }, host);
    const refusal: SessionEnd | undefined =
      protocol === undefined
        ? { code: 'VERSION_MISMATCH', message: versionMismatch(hello, versions) }
        : this.#options.refusal();
    if (refusal || protocol === undefined) {
      counters.sessionsRefused++;
      if (refusal) refuse(caller.socket, refusal);
      return;
    }
    // Nobody can guess it: who knows it goes on with the session.
    const id = randomBytes(18).toString('base64url');
    const { tenant } = visitor;
    const child = pool.take(
      { tenant, program },
      {
        onReady: () => {
          const kept = contents?.of(tenant);
          const welcome = { protocol, version: versions.version, sessionId: id, resumeMs, compression };
          const blobs = kept?.folder;
          const begin = (socket: Socket) => {
            const session = this.#sessions.get(id);
            if (!session?.waiting) return false;
            session.waiting = undefined;
            const description = {
              program,
              blobs,
              welcome: { ...welcome, contents: kept?.describe() },
              silence,
            };
            child.begin(description, socket, caller.head);
            return true;
          };
          this.#hand(caller, begin, (end) => this.#dismiss(id, end));
        },
        onTraffic: (traffic) => {
          counters.framesUp += traffic.framesUp;
          counters.framesDown += traffic.framesDown;
          counters.bytesUp += traffic.bytesUp;
          counters.bytesDown += traffic.bytesDown;
        },
        onOver: () => this.#forget(id, { code: 'DISCONNECTED', message: 'the session is over' }),
        onExit: (reason) => this.#lost(id, reason),
      },
    );
    this.#sessions.set(id, { child, visitor, waiting: caller });
    counters.sessionsOpened++;
    counters.sessionsActive++;
  }

  #resume(caller: Caller, visitor: Visitor, { sessionId, taken, attempt }: Resume): void {
    const session = this.#sessions.get(sessionId);
    // Another tenant's session is one that there is not.
    if (session && !session.waiting && session.visitor.tenant === visitor.tenant) {
      const goOn = (socket: Socket) => {
        if (this.#sessions.get(sessionId) !== session) {
          this.#gone(caller, visitor, sessionId);
          return false;
        }
        session.visitor = visitor;
        session.child.resume({ taken, attempt }, socket, caller.head);
        return true;
      };
      this.#hand(caller, goOn, (end) => refuse(caller.socket, end));
      return;
    }
    this.#gone(caller, visitor, sessionId);
  }

  #gone({ socket }: Caller, { tenant }: Visitor, id: string): void {
    const known = this.#ends.get(id);
    refuse(socket, known?.tenant === tenant ? known.end : UNKNOWN);
  }

  /** Has `use` take the connection in a form that an executor can be given; it returns whether it did. */
  #hand({ socket }: Caller, use: (socket: Socket) => boolean, failed: (end: SessionEnd) => void): void {
    const bridges = this.#options.bridges();
    if (!bridges) {
      use(socket);
      return;
    }
    bridges.carry(socket, use, (cause) => {
      const message = `the host cannot pass the connection on to its GPU process (${cause.message}); have it started again`;
      failed({ code: 'EXECUTOR_LOST', message });
    });
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

  /** Ends a session that no executor has begun. */
  #dismiss(id: string, end: SessionEnd): void {
    const session = this.#sessions.get(id);
    if (!session?.waiting) return;
    refuse(session.waiting.socket, end);
    this.#options.pool.putBack(session.child);
    this.#forget(id, end);
  }

  #forget(id: string, end: SessionEnd): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#sessions.delete(id);
    this.#options.counters.sessionsActive--;
    this.#note(id, session.visitor, end);
    if (this.#sessions.size === 0 && this.#ending) this.#none.resolve();
  }

  /** Keeps the first reason for which a session ended, for its client to hear. */
  #note(id: string, { tenant }: Visitor, end: SessionEnd): void {
    if (!this.#ends.has(id)) this.#ends.set(id, { end, tenant });
    for (const oldest of this.#ends.keys()) {
      if (this.#ends.size <= KEPT_ENDS) break;
      this.#ends.delete(oldest);
    }
  }
}

/** @throws ProtocolError where the packet is none that begins a session. */
function decodeWords({ kind, body }: Caller): Record<string, unknown> {
  if (kind === PACKET.hello || kind === PACKET.resume) return decodeObject(body);
  throw new ProtocolError('a session begins with Hello or Resume');
}

/** A client's Hello, and what it is granted of the compression that it asks for. */
type Greeting = Omit<Hello, 'compression'> & { compression: Compression | undefined };

/** @throws ProtocolError where it is none. */
function decodeHello({
  protocolMin,
  protocolMax,
  version,
  program,
  compression,
}: Record<string, unknown>): Greeting {
  const numbers = [protocolMin, protocolMax].every(Number.isSafeInteger);
  if (!numbers || typeof version !== 'string' || typeof program !== 'string') {
    throw new ProtocolError('Hello is incomplete');
  }
  return {
    protocolMin,
    protocolMax,
    version,
    program,
    compression: grantCompression(compression),
  } as Greeting;
}

/** @throws ProtocolError where it is none. */
function decodeResume({ sessionId, taken, attempt }: Record<string, unknown>): Resume {
  const numbers = [taken, attempt].every(Number.isSafeInteger);
  if (!numbers || typeof sessionId !== 'string') throw new ProtocolError('Resume is incomplete');
  return { sessionId, taken, attempt } as Resume;
}
