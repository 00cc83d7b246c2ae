import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { deferred } from '../../../link/machine/deferred.js';
import { FarlightError, ProtocolError } from '../../../proto/errors.js';
import { type Resume, versionMismatch } from '../../../proto/session/handshake.js';
import { SESSION_END_CODES, type SessionEnd, type SessionEnded } from '../../../proto/session/session-end.js';
import { negotiate } from '../../../proto/session/version.js';
import { PACKET } from '../../../proto/wire/packet.js';
import type { Log } from '../../observatory/log.js';
import type { Observatory } from '../../observatory/observatory.js';
import { type RefusalLog, SessionLog } from '../../observatory/session-log.js';
import { type Admission, type KnownClient, REFUSED_AFTER_MS } from '../../trust/admission.js';
import { handOver } from '../door/bridges.js';
import { type ClientHello, decodeFirstPacket, decodeHello, decodeResume } from '../door/first-packet.js';
import { reassure, refuse, type SessionRequest } from '../door/front-door.js';
import type { Buffers } from '../tenants/quotas.js';
import { type Assignment, type AssignOptions, assignExecutor, type SessionTerms } from './assign-executor.js';
import { type Parked, type ParkingOptions, SessionParking } from './parking.js';
import { Places } from './places.js';
import { ENDED, SessionEnds } from './session-ends.js';

export interface SessionsOptions extends Omit<AssignOptions, 'parks'> {
  /** Undefined where sessions are never parked. */
  parking: ParkingOptions | undefined;
  admission: Admission;
  /** How many sessions may have a process at a time, of all tenants. */
  mostSessions: number;
  log: Log;
  observatory: Observatory;
  refusals: RefusalLog;
  /** Why the host accepts no further session; undefined while it does. */
  refusal(): SessionEnd | undefined;
}

/** A session whose executor has its connection, or will have it once the GPU is open. */
interface Session {
  /** Undefined while it waits for a place. */
  child: ExecutorChild | undefined;
  /** Stops waiting for a place. */
  giveUp: () => void;
  /** Nobody else can resume the session. It ends when the token that was shown last is revoked. */
  client: KnownClient;
  /** The client's own name for the session until it learns the id. */
  key: string | undefined;
  buffers: Buffers;
  /** Its connection, until the executor has it. */
  waiting: SessionRequest | undefined;
  /** Undefined where sessions are never parked. */
  parking: SessionParking | undefined;
  log: SessionLog;
}

/** How long an executor may take to end the session of a revoked token, in milliseconds, before it is killed. */
const REVOKED_MS = 3000;

/** How long a session may wait for a place, in milliseconds: longer than a process takes to end, or to be killed. */
const PLACE_MS = 15_000;

/** The reason where no place became free in time. */
const NO_PLACE: SessionEnd = {
  code: 'BUSY',
  message: `the GPU processes of ended sessions have not exited within ${PLACE_MS / 1000} seconds, and still take places at this host; try again later`,
};
/** The reason where the client disconnected before its session had an executor. */
const GONE: SessionEnd = {
  code: 'DISCONNECTED',
  message: 'the client disconnected before the session began',
};
/** The reason where the client opened another session in place of this one. */
const REPLACED: SessionEnd = {
  code: 'DISCONNECTED',
  message: 'the client lost the connection before the host answered, and opened another session',
};

/**
 * The host's sessions: opens each with an executor, and hands the client's connections to that. The daemon does not see
 * their commands.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #ends = new SessionEnds();
  readonly #places: Places;
  /** Called when the last session has ended. */
  readonly #whenNone = new Set<() => void>();

  constructor(options: SessionsOptions) {
    this.#options = options;
    const { pool, quotas, mostSessions } = options;
    const hasRoom = (tenant: string) =>
      pool.taken() < mostSessions &&
      pool.taken(tenant) < (quotas.of(tenant).sessions ?? Number.POSITIVE_INFINITY);
    this.#places = new Places({ hasRoom, waitMs: PLACE_MS });
  }

  /** The sessions that have an executor, or wait for one. */
  get size(): number {
    return [...this.#sessions.values()].filter(({ parking }) => !parking?.isAsleep).length;
  }

  /** Asks all sessions to park. @returns how many there are. */
  park(): number {
    const sessions = [...this.#sessions.values()].flatMap(({ parking }) => parking ?? []);
    for (const parking of sessions) parking.park();
    return sessions.length;
  }

  /** A place may have become free. */
  makeRoom(): void {
    this.#places.look();
  }

  /** A client asks to open or resume a session. */
  receive(request: SessionRequest): void {
    try {
      const fields = decodeFirstPacket(request.packet);
      const client = this.#options.admission.admit(fields.token, request);
      request.known();
      if (request.packet.kind === PACKET.hello) this.#open(request, client, decodeHello(fields));
      else this.#resume(request, client, decodeResume(fields));
    } catch (error) {
      const { counters } = this.#options;
      if (error instanceof ProtocolError) {
        this.#refuse(request, { code: 'PROTOCOL_ERROR', message: error.message });
      } else if (error instanceof FarlightError && error.code === 'UNAUTHORIZED') {
        counters.sessionsRefused++;
        const end: SessionEnd = { code: error.code, message: error.message };
        this.#options.refusals.refused(end, request.remote);
        setTimeout(() => refuse(request.socket, end), REFUSED_AFTER_MS).unref();
      } else {
        throw error;
      }
    }
  }

  #refuse({ socket, remote }: SessionRequest, end: SessionEnd): void {
    this.#options.refusals.refused(end, remote);
    refuse(socket, end);
  }

  /** Ends the sessions of a revoked token, and tells their clients. */
  revoke(tokenId: string): void {
    const end: SessionEnd = {
      code: 'UNAUTHORIZED',
      message: "the host's owner has revoked this session's token; ask for another (farlight token add)",
    };
    for (const [id, session] of [...this.#sessions]) {
      if (session.client.tokenId !== tokenId) continue;
      const { child } = session;
      this.#endOne(id, session, end);
      if (!this.#sessions.has(id)) continue;
      // A busy executor does not notice in time. End the session all the same.
      setTimeout(() => {
        if (this.#sessions.get(id)?.child === child) child?.kill();
      }, REVOKED_MS).unref();
    }
  }

  /** Resolves when no session has an executor, or after so many milliseconds. */
  async none(ms: number): Promise<void> {
    if (this.size === 0) return;
    const none = deferred<void>();
    this.#whenNone.add(none.resolve);
    const timer = setTimeout(() => none.resolve(), ms);
    await none.promise;
    clearTimeout(timer);
    this.#whenNone.delete(none.resolve);
  }

  /** Ends every session, and tells each client why. Resolves when all have ended, or after `graceMs`. */
  async end(end: SessionEnd, graceMs: number): Promise<void> {
    for (const [id, session] of [...this.#sessions]) this.#endOne(id, session, end);
    await this.none(graceMs);
    for (const id of [...this.#sessions.keys()]) this.#forget(id, end);
  }

  /** Ends a session, and tells its client why. It ends at once, or when its executor has ended it. */
  #endOne(id: string, { child, client, waiting, parking }: Session, end: SessionEnd): void {
    if (waiting) {
      this.#dismiss(id, end);
    } else if (parking?.isParked) {
      this.#forget(id, end);
    } else {
      this.#ends.note(id, client.tenant, end);
      child?.endSession(end);
    }
  }

  #open(request: SessionRequest, client: KnownClient, hello: ClientHello): void {
    const { versions, counters } = this.#options;
    const { protocolMin, protocolMax } = hello;
    const host = { min: versions.protocolMin, max: versions.protocolMax };
    const protocol = request.outdated ? undefined : negotiate({ min: protocolMin, max: protocolMax }, host);
    const refusal: SessionEnd | undefined =
      protocol === undefined
        ? { code: 'VERSION_MISMATCH', message: versionMismatch(hello, versions) }
        : this.#options.refusal();
    if (refusal || protocol === undefined) {
      counters.sessionsRefused++;
      if (refusal) this.#refuse(request, refusal);
      return;
    }
    if (hello.key !== undefined) this.#supersede(hello.key, client);
    const present = [...this.#sessions.values()].filter((each) => each.client.tenant === client.tenant);
    const buffers = this.#options.quotas.admit(
      client.tenant,
      present.map((each) => each.buffers),
    );
    if ('code' in buffers) {
      counters.sessionsRefused++;
      this.#refuse(request, buffers);
      return;
    }
    this.#start(request, client, { ...hello, protocol, buffers });
  }

  #start(request: SessionRequest, client: KnownClient, terms: SessionTerms): void {
    const { counters } = this.#options;
    // Hard to guess: whoever knows the id can resume the session.
    const id = randomBytes(18).toString('base64url');
    const { tenant } = client;
    const { program, key, buffers } = terms;
    const facts = { sessionId: id, program, tenant };
    const watch = (on: boolean) => session.child?.watch(on);
    const log = new SessionLog(this.#options.log, this.#options.observatory, facts, watch);
    const session: Session = {
      child: undefined,
      giveUp: () => {},
      client,
      key,
      buffers,
      waiting: request,
      parking: undefined,
      log,
    };
    session.parking = this.#parking(id, session, terms);
    this.#sessions.set(id, session);
    // Without the id the client cannot resume, so end the session when the connection closes.
    request.socket.once('close', () => this.#dismiss(id, GONE));
    reassure(request.socket, () => this.#sessions.get(id)?.waiting === request);
    counters.sessionsOpened++;
    counters.sessionsActive++;
    session.giveUp = this.#places.want(
      tenant,
      () => {
        session.child = this.#assign(id, session, request, terms, {
          begin: (child) => {
            if (!session.waiting || this.#sessions.get(id) !== session) return false;
            session.waiting = undefined;
            session.parking?.begun(child);
            return true;
          },
          onFailed: (end) => this.#dismiss(id, end),
        });
      },
      () => this.#dismiss(id, NO_PLACE),
    );
  }

  #assign(
    id: string,
    { client, log, parking }: Session,
    request: SessionRequest,
    terms: SessionTerms,
    how: Pick<Assignment, 'begin' | 'onFailed' | 'parked'>,
  ): ExecutorChild {
    return assignExecutor(
      { ...this.#options, parks: parking !== undefined },
      {
        id,
        tenant: client.tenant,
        request,
        terms,
        log,
        ...how,
        onWork: () => parking?.worked(),
        onParked: (parked) => parking?.parked(parked),
        onNotParked: (why) => parking?.notParked(why),
        onUnparked: (isBack, adapter) => parking?.unparked(isBack, adapter),
        onSessionEnded: (why) => this.#forget(id, ENDED, why),
        onLost: (reason) => {
          const session = this.#sessions.get(id);
          if (session?.child && parking?.lost()) this.#leave(session, session.child);
          else this.#lost(id, reason);
        },
      },
    );
  }

  #parking(id: string, session: Session, terms: SessionTerms): SessionParking | undefined {
    const { parking, pool, resumeMs } = this.#options;
    if (!parking) return undefined;
    const { log } = session;
    return new SessionParking(parking, {
      log,
      resumeMs,
      left: (child) => {
        pool.leave(child);
        this.#leave(session, child);
      },
      start: (request, parked) => this.#wake(id, session, request, terms, parked),
      end: (end, why) => this.#forget(id, end, why),
    });
  }

  /** Gets an executor for a parked session, when there is a place for it. @returns a function that gives it back. */
  #wake(
    id: string,
    session: Session,
    request: SessionRequest,
    terms: SessionTerms,
    parked: Parked,
  ): () => void {
    const { parking } = session;
    const start = () => {
      session.child = this.#assign(id, session, request, terms, {
        parked,
        begin: (child) => parking?.handed(child) === true,
        onFailed: (end) => parking?.failed(end),
      });
    };
    // The session ends before this wait does: see --park-keep.
    session.giveUp = this.#places.want(session.client.tenant, start);
    if (!session.child) session.log.waits();
    return () => {
      session.giveUp();
      if (session.child) this.#options.pool.giveBack(session.child);
      session.child = undefined;
    };
  }

  /** A session has no executor any more, and may get another. */
  #leave(session: Session, child: ExecutorChild): void {
    this.#options.shares.over(child);
    this.#options.lines?.over(child);
    session.child = undefined;
    if (this.size === 0) for (const resolve of this.#whenNone) resolve();
  }

  /** The client never received the answer and opens another session: end the one that was opened before. */
  #supersede(key: string, { tenant }: KnownClient): void {
    for (const [id, { key: theirs, client, waiting, child }] of [...this.#sessions]) {
      if (theirs !== key || client.tenant !== tenant) continue;
      if (waiting) {
        this.#dismiss(id, REPLACED);
        continue;
      }
      child?.endSession(REPLACED);
      this.#forget(id, REPLACED);
    }
  }

  #resume(request: SessionRequest, client: KnownClient, { sessionId, taken, attempt }: Resume): void {
    const session = this.#sessions.get(sessionId);
    // To a client, another tenant's session does not exist.
    if (session && !session.waiting && !request.outdated && session.client.tenant === client.tenant) {
      if (session.parking?.isParked) {
        session.client = client;
        session.log.resumed();
        session.parking.resume(request, { taken, attempt });
        return;
      }
      const resume = (socket: Socket) => {
        if (this.#sessions.get(sessionId) !== session) {
          this.#refuseResume(request, client, sessionId);
          return false;
        }
        session.client = client;
        session.log.resumed();
        const isNear = session.parking !== undefined && socket === request.socket;
        session.child?.resume({ taken, attempt }, socket, request.head, isNear);
        return true;
      };
      handOver(request.socket, this.#options.bridges(), resume, (end) => this.#refuse(request, end));
      return;
    }
    this.#refuseResume(request, client, sessionId);
  }

  #refuseResume(request: SessionRequest, { tenant }: KnownClient, id: string): void {
    this.#refuse(request, this.#ends.of(id, tenant));
  }

  #lost(id: string, reason: FarlightError | undefined): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#options.counters.executorsLost++;
    const code = SESSION_END_CODES.find((each) => each === reason?.code) ?? 'EXECUTOR_LOST';
    const end = { code, message: reason?.message ?? 'the GPU executor exited' };
    if (session.waiting) refuse(session.waiting.socket, end);
    this.#forget(id, end);
  }

  /** Ends a session whose connection no executor has yet. */
  #dismiss(id: string, end: SessionEnd): void {
    const session = this.#sessions.get(id);
    if (!session?.waiting) return;
    refuse(session.waiting.socket, end);
    if (session.child) this.#options.pool.giveBack(session.child);
    this.#forget(id, end);
  }

  /** `end` is for a client that comes back, unless there was an earlier reason; `why` is for the log. */
  #forget(id: string, end: SessionEnd, why?: SessionEnded): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#sessions.delete(id);
    session.parking?.over(end);
    session.giveUp();
    if (session.child) {
      this.#options.shares.over(session.child);
      this.#options.lines?.over(session.child);
    }
    this.#options.counters.sessionsActive--;
    const first = this.#ends.note(id, session.client.tenant, end);
    session.log.ended(why ?? first);
    if (this.size === 0) for (const resolve of this.#whenNone) resolve();
  }
}
