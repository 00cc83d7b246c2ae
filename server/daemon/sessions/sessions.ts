import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { deferred } from '../../../link/machine/deferred.js';
import { FarlightError, ProtocolError } from '../../../proto/errors.js';
import {
  type Resume,
  SESSION_END_CODES,
  type SessionEnd,
  type SessionOver,
  versionMismatch,
} from '../../../proto/handshake.js';
import { negotiate } from '../../../proto/version.js';
import { PACKET } from '../../../proto/wire/packet.js';
import { SessionLog } from '../../observatory/session-log.js';
import { REFUSED_AFTER_MS, type Visitor } from '../../trust/admission.js';
import { decodeHello, decodeResume, decodeWords, type Greeting } from '../door/first-packet.js';
import { type Caller, reassure, refuse } from '../door/front-door.js';
import { handOver } from '../door/hand-over.js';
import type { Buffers } from '../tenants/quotas.js';
import { employ, type Granted } from './assign-executor.js';
import { Places } from './places.js';
import { SessionEnds } from './session-ends.js';
import type { SessionsOptions } from './sessions-options.js';

/** A session whose executor has its connection, or will when its GPU is open. */
interface Session {
  /** Undefined while it waits for a place. */
  child: ExecutorChild | undefined;
  /** Gives that wait up. */
  giveUp: () => void;
  /** Whose it is: nobody else goes on with it, and it ends when the token is revoked that was shown last. */
  visitor: Visitor;
  /** What the client calls the session before it has heard its id. */
  key: string | undefined;
  buffers: Buffers;
  /** Its connection, until the executor has it. */
  waiting: Caller | undefined;
  log: SessionLog;
}

/** How long an executor may take to end the session of a revoked token, in milliseconds, before it is killed. */
const REVOKED_MS = 3000;

/**
 * How long a session may wait for a place, in milliseconds: longer than a process takes to end that is in good order,
 * or to be killed.
 */
const PLACE_MS = 15_000;

/** Why a session is over for which no place has become free. */
const NO_PLACE: SessionEnd = {
  code: 'BUSY',
  message: `the GPU processes of sessions that are over have not ended within ${PLACE_MS / 1000} seconds, and hold their places at this host; try again later`,
};
/** Why a session is over whose client went before it had its executor. */
const GONE: SessionEnd = { code: 'DISCONNECTED', message: 'its client had gone before it began' };
/** Why a session is over whose client has opened another in its place. */
const BEGUN_ANEW: SessionEnd = {
  code: 'DISCONNECTED',
  message: 'its client lost the connection before it was welcomed, and began anew',
};

/**
 * The host's sessions: opens each with an executor, and hands the client's connections to it. What travels on
 * them is not seen here.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #ends = new SessionEnds();
  readonly #places: Places;
  /** Who waits for the last session to be gone. */
  readonly #whenNone = new Set<() => void>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    const { pool, quotas, mostSessions } = options;
    const hasRoom = (tenant: string) =>
      pool.taken() < mostSessions &&
      pool.taken(tenant) < (quotas.of(tenant).sessions ?? Number.POSITIVE_INFINITY);
    this.#places = new Places({ hasRoom, waitMs: PLACE_MS });
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A place may have become free. */
  makeRoom(): void {
    this.#places.look();
  }

  /** A client wants to open a session, or to go on with one. */
  receive(caller: Caller): void {
    try {
      const words = decodeWords(caller);
      const visitor = this.#options.admission.admit(words.token, caller);
      caller.known();
      if (caller.kind === PACKET.hello) this.#open(caller, visitor, decodeHello(words));
      else this.#resume(caller, visitor, decodeResume(words));
    } catch (error) {
      const { counters } = this.#options;
      if (error instanceof ProtocolError) {
        this.#refuse(caller, { code: 'PROTOCOL_ERROR', message: error.message });
      } else if (error instanceof FarlightError && error.code === 'UNAUTHORIZED') {
        counters.sessionsRefused++;
        const end: SessionEnd = { code: error.code, message: error.message };
        this.#options.refusals.refused(end, caller.remote);
        setTimeout(() => refuse(caller.socket, end), REFUSED_AFTER_MS).unref();
      } else {
        throw error;
      }
    }
  }

  #refuse({ socket, remote }: Caller, end: SessionEnd): void {
    this.#options.refusals.refused(end, remote);
    refuse(socket, end);
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
      this.#ends.note(id, visitor.tenant, end);
      child?.endSession(end);
      // An executor that is busy does not hear of it; the session is over all the same.
      setTimeout(() => {
        if (this.#sessions.get(id)?.child === child) child?.kill();
      }, REVOKED_MS).unref();
    }
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
    for (const [id, { child, visitor, waiting }] of [...this.#sessions]) {
      if (waiting) {
        this.#dismiss(id, end);
      } else {
        this.#ends.note(id, visitor.tenant, end);
        child?.endSession(end);
      }
    }
    await this.none(graceMs);
    for (const id of [...this.#sessions.keys()]) this.#forget(id, end);
  }

  #open(caller: Caller, visitor: Visitor, hello: Greeting): void {
    const { versions, counters } = this.#options;
    const { protocolMin, protocolMax } = hello;
    const host = { min: versions.protocolMin, max: versions.protocolMax };
    const protocol = caller.outdated ? undefined : negotiate({ min: protocolMin, max: protocolMax }, host);
    const refusal: SessionEnd | undefined =
      protocol === undefined
        ? { code: 'VERSION_MISMATCH', message: versionMismatch(hello, versions) }
        : this.#options.refusal();
    if (refusal || protocol === undefined) {
      counters.sessionsRefused++;
      if (refusal) this.#refuse(caller, refusal);
      return;
    }
    if (hello.key !== undefined) this.#supersede(hello.key, visitor);
    const present = [...this.#sessions.values()].filter((each) => each.visitor.tenant === visitor.tenant);
    const buffers = this.#options.quotas.admit(
      visitor.tenant,
      present.map((each) => each.buffers),
    );
    if ('code' in buffers) {
      counters.sessionsRefused++;
      this.#refuse(caller, buffers);
      return;
    }
    this.#start(caller, visitor, { ...hello, protocol, buffers });
  }

  #start(caller: Caller, visitor: Visitor, granted: Granted): void {
    const { counters } = this.#options;
    // Nobody can guess it: who knows it goes on with the session.
    const id = randomBytes(18).toString('base64url');
    const { tenant } = visitor;
    const { program, key, buffers } = granted;
    const facts = { sessionId: id, program, tenant };
    const watch = (on: boolean) => session.child?.watch(on);
    const log = new SessionLog(this.#options.log, this.#options.observatory, facts, watch);
    const session: Session = {
      child: undefined,
      giveUp: () => {},
      visitor,
      key,
      buffers,
      waiting: caller,
      log,
    };
    this.#sessions.set(id, session);
    // Nobody goes on with a session whose id was not heard.
    caller.socket.once('close', () => this.#dismiss(id, GONE));
    reassure(caller.socket, () => this.#sessions.get(id)?.waiting === caller);
    counters.sessionsOpened++;
    counters.sessionsActive++;
    session.giveUp = this.#places.want(
      tenant,
      () => {
        session.child = employ(this.#options, {
          id,
          tenant,
          caller,
          granted,
          log,
          begin: () => {
            if (!session.waiting || this.#sessions.get(id) !== session) return false;
            session.waiting = undefined;
            return true;
          },
          onFailed: (end) => this.#dismiss(id, end),
          onOver: (why) => this.#forget(id, { code: 'DISCONNECTED', message: 'the session is over' }, why),
          onLost: (reason) => this.#lost(id, reason),
        });
      },
      () => this.#dismiss(id, NO_PLACE),
    );
  }

  /** A client begins anew that was not welcomed: what was begun for it has no use any more. */
  #supersede(key: string, { tenant }: Visitor): void {
    for (const [id, { key: theirs, visitor, waiting, child }] of [...this.#sessions]) {
      if (theirs !== key || visitor.tenant !== tenant) continue;
      if (waiting) {
        this.#dismiss(id, BEGUN_ANEW);
        continue;
      }
      child?.endSession(BEGUN_ANEW);
      this.#forget(id, BEGUN_ANEW);
    }
  }

  #resume(caller: Caller, visitor: Visitor, { sessionId, taken, attempt }: Resume): void {
    const session = this.#sessions.get(sessionId);
    // Another tenant's session is one that there is not.
    if (session && !session.waiting && !caller.outdated && session.visitor.tenant === visitor.tenant) {
      const goOn = (socket: Socket) => {
        if (this.#sessions.get(sessionId) !== session) {
          this.#gone(caller, visitor, sessionId);
          return false;
        }
        session.visitor = visitor;
        session.log.resumed();
        session.child?.resume({ taken, attempt }, socket, caller.head);
        return true;
      };
      handOver(caller.socket, this.#options.bridges(), goOn, (end) => this.#refuse(caller, end));
      return;
    }
    this.#gone(caller, visitor, sessionId);
  }

  #gone(caller: Caller, { tenant }: Visitor, id: string): void {
    this.#refuse(caller, this.#ends.of(id, tenant));
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
    if (session.child) this.#options.pool.putBack(session.child);
    this.#forget(id, end);
  }

  /** `end` is what its client hears when it comes back, unless there was a reason before; `why` is what is noted. */
  #forget(id: string, end: SessionEnd, why?: SessionOver): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#sessions.delete(id);
    session.giveUp();
    if (session.child) this.#options.shares.over(session.child);
    this.#options.counters.sessionsActive--;
    const first = this.#ends.note(id, session.visitor.tenant, end);
    session.log.ended(why ?? first);
    if (this.#sessions.size === 0) for (const resolve of this.#whenNone) resolve();
  }
}
