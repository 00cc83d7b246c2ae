import type { Socket } from 'node:net';
import { giveSession, newSessionId } from '../../../link/channel/hand-over.js';
import type { MovePackets } from '../../../link/channel/move-packets.js';
import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import { deferred } from '../../../link/machine/deferred.js';
import { packageVersion } from '../../../link/machine/package-version.js';
import { FarlightError, messageOf, ProtocolError } from '../../../proto/errors.js';
import type { ParkedChannel, ParkedPlace } from '../../../proto/session/executor-messages.js';
import { type Moved, type Resume, versionMismatch } from '../../../proto/session/handshake.js';
import type { MoveOffer } from '../../../proto/session/moves.js';
import { SESSION_END_CODES, type SessionEnd, type SessionEnded } from '../../../proto/session/session-end.js';
import { negotiate } from '../../../proto/session/version.js';
import { PACKET } from '../../../proto/wire/packet.js';
import type { Log } from '../../observatory/log.js';
import type { Observatory } from '../../observatory/observatory.js';
import { type RefusalLog, SessionLog } from '../../observatory/session-log.js';
import { type Admission, type KnownClient, REFUSED_AFTER_MS } from '../../trust/admission.js';
import { handOver } from '../door/bridges.js';
import { type ClientHello, decodeFirstPacket, decodeHello, decodeResume } from '../door/first-packet.js';
import { reassure, redirect, refuse, type SessionRequest } from '../door/front-door.js';
import type { Buffers } from '../tenants/quotas.js';
import type { Arriving } from './arrivals.js';
import { type Assignment, type AssignOptions, assignExecutor, type SessionTerms } from './assign-executor.js';
import type { Departures } from './departures.js';
import { type Parked, type ParkingOptions, SessionParking } from './parking.js';
import { Places } from './places.js';
import { ENDED, SessionEnds } from './session-ends.js';

export interface SessionsOptions extends Omit<AssignOptions, 'parks'> {
  /** Undefined where sessions are never parked. */
  parking: ParkingOptions | undefined;
  /** Undefined where sessions never move to other hosts. */
  departures: Departures | undefined;
  admission: Admission;
  /** How many sessions may have a process at a time, of all tenants. */
  mostSessions: number;
  log: Log;
  observatory: Observatory;
  refusals: RefusalLog;
  /** Whether the host has a tenant of this name. */
  knowsTenant(tenant: string): boolean;
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
  terms: SessionTerms;
  /** Whether it has come from another host. Then its client shows its id in the place of a token. */
  hasMoved: boolean;
  /** Its connection, until the executor has it. */
  waiting: SessionRequest | undefined;
  /** Undefined where sessions are never parked. */
  parking: SessionParking | undefined;
  /** Of a session that comes from another host, which waits for this. */
  arriving?: { resolve(): void; reject(reason: Error): void };
  log: SessionLog;
}

/** How long an executor may take to end the session of a revoked token, in milliseconds, before it is killed. */
const REVOKED_MS = 3000;

/** How long a session may take to be at rest whose client wants to have it, in milliseconds. */
const GIVE_MS = 2000;

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
const NO_SESSION = 'there is no such session; farlight session ls shows those that are open';
/** The reason where another host has kept its session. */
const NOT_ARRIVED: SessionEnd = {
  code: 'DISCONNECTED',
  message: 'the session has stayed at the host that it came from',
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
  /** The ids of sessions at other hosts whose clients have not been told. */
  readonly #untold = new Set<string>();
  /** Called when no such session is left. */
  readonly #whenTold = new Set<() => void>();

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

  /**
   * Moves a session to another host. Resolves when that host has it. Rejects with the reason; then the session stays.
   *
   * @param to one of the hosts that the owner has named; absent for any.
   * @param withinMs how long the session may take to be at rest.
   */
  async moveOne(id: string, to: string | undefined, withinMs: number): Promise<void> {
    const session = this.#sessions.get(id);
    const { departures } = this.#options;
    if (!departures) throw new Error('the host has no other host for its sessions; start it with --move-to');
    const hosts = departures.hosts(to);
    if (!session?.parking) throw new Error(NO_SESSION);
    const { parking, log, terms } = session;
    const since = monotonicNow();
    let isRefused = false;
    const refused = (to: string, why: string) => {
      isRefused = true;
      log.notMoved(why, to);
    };
    try {
      if (!terms.moves)
        throw new Error('its program has an older Farlight, or is a web page, and cannot follow it');
      await parking.parkWithin(withinMs, async ({ place, channel }) => {
        const bytes = this.#options.parking?.store.bytesOf(place) ?? 0;
        const offer = this.#offer(session, channel, bytes);
        const moved = await departures.hand(offer, place, hosts, refused);
        log.moved(moved.address, bytes, monotonicNow() - since);
        return moved;
      });
    } catch (error) {
      if (!isRefused) log.notMoved(messageOf(error));
      throw error;
    }
  }

  /**
   * Hands a session that is at rest to its own client, which brings it to another host when it goes on. Rejects with the
   * reason; then the session stays.
   */
  async give(id: string, { tenant }: KnownClient, packets: MovePackets): Promise<void> {
    const session = this.#sessions.get(id);
    // To a client, another tenant's session does not exist.
    if (!session?.parking || session.client.tenant !== tenant) throw new Error(NO_SESSION);
    const { parking, log } = session;
    const since = monotonicNow();
    await parking.parkWithin(GIVE_MS, async ({ place, channel }) => {
      const bytes = this.#options.parking?.store.bytesOf(place) ?? 0;
      await giveSession(packets, { ...this.#offer(session, channel, bytes), sessionId: id }, place);
      log.moved('its program', bytes, monotonicNow() - since);
      return { address: '', sessionId: id };
    });
  }

  /** Moves all sessions to other hosts, as far as that is possible within so many milliseconds. */
  async moveAll(withinMs: number): Promise<void> {
    // The log has the reason for each that stays.
    await Promise.allSettled([...this.#sessions.keys()].map((id) => this.moveOne(id, undefined, withinMs)));
  }

  /**
   * The id of a session, of which the owner knows the beginning alone.
   *
   * @throws Error where no session has such an id, or several have.
   */
  find(beginning: string): string {
    const [id, another] = [...this.#sessions.keys()].filter((each) => each.startsWith(beginning));
    if (id === undefined || beginning === '') throw new Error(NO_SESSION);
    if (another !== undefined) throw new Error(`the ids of several sessions begin with ${beginning}`);
    return id;
  }

  /**
   * Parks a session. Resolves when it is parked. Rejects with the reason; then the session stays.
   *
   * @param withinMs how long the session may take to be at rest.
   */
  async parkOne(id: string, withinMs: number): Promise<void> {
    if (!this.#options.parking) throw new Error('the host parks no sessions; start it with --park');
    const session = this.#sessions.get(id);
    if (!session) throw new Error(NO_SESSION);
    await session.parking?.parkWithin(withinMs);
  }

  /** A place may have become free. */
  makeRoom(): void {
    this.#places.look();
  }

  /** A client asks to open or resume a session. */
  receive(request: SessionRequest): void {
    try {
      const fields = decodeFirstPacket(request.packet);
      const isResume = request.packet.kind === PACKET.resume;
      const client =
        (isResume && this.#clientOfMoved(fields)) || this.#options.admission.admit(fields.token, request);
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

  /** Whether a text is the id of a session that has come from another host. */
  isMoved(id: string | undefined): boolean {
    return id !== undefined && this.#clientOfMoved({ token: id, sessionId: id }) !== undefined;
  }

  /** The client of a session that has come from another host. It has no token of this one, but the session's id. */
  #clientOfMoved({ token, sessionId }: Record<string, unknown>): KnownClient | undefined {
    if (typeof sessionId !== 'string' || token !== sessionId) return undefined;
    const session = this.#sessions.get(sessionId);
    return session?.hasMoved ? session.client : this.#ends.clientOf(sessionId);
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
    if (this.size > 0) await calledWithin(ms, this.#whenNone);
  }

  /** Resolves when the clients of all moved sessions have been told, or after so many milliseconds. */
  async told(ms: number): Promise<void> {
    if (this.#untold.size > 0) await calledWithin(ms, this.#whenTold);
  }

  /** Ends every session, and tells each client why. Resolves when all have ended, or after `graceMs`. */
  async end(end: SessionEnd, graceMs: number): Promise<void> {
    for (const [id, session] of [...this.#sessions]) this.#endOne(id, session, end);
    await this.none(graceMs);
    for (const id of [...this.#sessions.keys()]) this.#forget(id, end);
  }

  /** Ends a session, and tells its client why. It ends at once, or when its executor has ended it. */
  #endOne(id: string, session: Session, end: SessionEnd): void {
    const { child, waiting, parking } = session;
    if (waiting) {
      this.#dismiss(id, end);
    } else if (parking?.isParked) {
      this.#forget(id, end);
    } else {
      this.#note(id, session, end);
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
    const buffers = this.#admit(client.tenant);
    if ('code' in buffers) {
      counters.sessionsRefused++;
      this.#refuse(request, buffers);
      return;
    }
    this.#start(request, client, { ...hello, protocol, buffers });
  }

  /** The buffers of a tenant's next session, or why it may have none. */
  #admit(tenant: string): Buffers | SessionEnd {
    const present = [...this.#sessions.values()].filter((each) => each.client.tenant === tenant);
    return this.#options.quotas.admit(
      tenant,
      present.map((each) => each.terms.buffers),
    );
  }

  /** Adds a session, which has no executor yet. */
  #add(id: string, client: KnownClient, terms: SessionTerms, waiting: SessionRequest | undefined): Session {
    const { counters } = this.#options;
    const { program, key } = terms;
    const facts = { sessionId: id, program, tenant: client.tenant };
    const watch = (on: boolean) => session.child?.watch(on);
    const log = new SessionLog(this.#options.log, this.#options.observatory, facts, watch);
    const session: Session = {
      child: undefined,
      giveUp: () => {},
      client,
      key,
      terms,
      hasMoved: waiting === undefined,
      waiting,
      parking: undefined,
      log,
    };
    session.parking = this.#parking(id, session, terms);
    this.#sessions.set(id, session);
    counters.sessionsOpened++;
    counters.sessionsActive++;
    return session;
  }

  #start(request: SessionRequest, client: KnownClient, terms: SessionTerms): void {
    const id = newSessionId();
    const { tenant } = client;
    const session = this.#add(id, client, terms, request);
    // Without the id the client cannot resume, so end the session when the connection closes.
    request.socket.once('close', () => this.#dismiss(id, GONE));
    reassure(request.socket, () => this.#sessions.get(id)?.waiting === request);
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

  /** A session as another host gets it. */
  #offer(
    { client, terms, log }: Session,
    channel: ParkedChannel,
    bytes: number,
  ): Omit<MoveOffer, 'sessionId'> {
    const { program, protocol, compression, buffers } = terms;
    return {
      version: packageVersion(),
      protocol,
      tenant: client.tenant,
      program,
      compression,
      windowBytes: buffers.commands,
      keepsContents: this.#options.contents !== undefined,
      hasLines: this.#options.lines !== undefined,
      channel,
      bytes,
      work: { ...log.work },
    };
  }

  /** Why the host cannot take a session from another host; undefined where it can. */
  refuseArrival({ protocol, tenant, windowBytes, keepsContents, hasLines }: MoveOffer): string | undefined {
    const { versions, contents, lines } = this.#options;
    const refusal = this.#options.refusal();
    if (refusal) return refusal.message;
    if (!this.#options.knowsTenant(tenant)) return `it has no tenant ${tenant} (farlight token add --tenant)`;
    if (protocol < versions.protocolMin || protocol > versions.protocolMax)
      return `it does not speak protocol ${protocol}`;
    if (keepsContents && !contents) return 'it keeps no contents (--contents)';
    if (hasLines && !lines) return 'its sessions have no lines to other hosts (--peer)';
    const buffers = this.#admit(tenant);
    if ('code' in buffers) return buffers.message;
    if (buffers.commands < windowBytes)
      return `it gives a session of ${tenant} less than ${windowBytes} bytes`;
    return undefined;
  }

  /** Begins a session that comes from another host. An executor brings it back at once, and its client comes later. */
  arrive(offer: MoveOffer, { tokenId }: KnownClient, place: ParkedPlace): Arriving {
    const { sessionId: id, tenant, program, protocol, compression, windowBytes, channel, work } = offer;
    const { protocolMin, protocolMax } = this.#options.versions;
    const buffers = { commands: windowBytes, replies: windowBytes };
    const terms = {
      ...{ protocol, protocolMin, protocolMax, version: offer.version, program, compression, buffers },
      ...{ parks: true, moves: true },
    };
    const session = this.#add(id, { tenant, tokenId }, terms, undefined);
    const { parking, log } = session;
    parking?.arrives({ place, channel });
    log.wasAtWork(work);
    const awake = new Promise<void>((resolve, reject) => {
      session.arriving = { resolve, reject };
    });
    const start = () => {
      session.child = this.#assign(id, session, undefined, terms, {
        parked: { place, channel },
        begin: (child) => parking?.handed(child) === true,
        onFailed: (end) => this.#forget(id, end),
      });
    };
    session.giveUp = this.#places.want(tenant, start, () => this.#forget(id, NO_PLACE));
    return { awake, giveUp: () => this.#giveUp(id, session) };
  }

  /** Ends a session that is still at the host that it comes from. */
  #giveUp(id: string, session: Session): void {
    if (this.#sessions.get(id) !== session) return;
    const { child } = session;
    this.#forget(id, NOT_ARRIVED);
    child?.endSession(NOT_ARRIVED);
    if (child) this.#options.pool.giveBack(child);
  }

  #assign(
    id: string,
    { client, log, parking, arriving }: Session,
    request: SessionRequest | undefined,
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
        onUnparked: (isBack, adapter) => {
          parking?.unparked(isBack, adapter);
          if (isBack) arriving?.resolve();
        },
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
      moved: (moved, isTold) => {
        // Without an address its own client has it.
        const isElsewhere = moved.address !== '';
        if (isElsewhere) this.#note(id, session, ENDED, moved);
        if (isElsewhere && !isTold) this.#untold.add(id);
        const message = `the session was moved to ${moved.address || 'its program'}`;
        this.#forget(id, ENDED, { code: 'MOVED', message });
      },
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
    const moved = this.#ends.movedTo(id, tenant);
    if (moved) {
      redirect(request.socket, moved);
      this.#untold.delete(id);
      if (this.#untold.size === 0) for (const resolve of this.#whenTold) resolve();
      return;
    }
    this.#refuse(request, this.#ends.of(id, tenant));
  }

  /** Keeps why a session has ended, or where it is now. @returns the first reason. */
  #note(id: string, { client, hasMoved }: Session, end: SessionEnd, moved?: Moved): SessionEnd {
    const { tenant } = client;
    return this.#ends.note(id, {
      end,
      tenant,
      client: hasMoved ? client : undefined,
      ...(moved && { moved }),
    });
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
    const first = this.#note(id, session, end);
    session.log.ended(why ?? first);
    session.arriving?.reject(new Error(`it cannot go on there: ${(why ?? first).message}`));
    if (this.size === 0) for (const resolve of this.#whenNone) resolve();
  }
}

/** Resolves when a function that it adds to `waiting` is called, or after so many milliseconds. */
async function calledWithin(ms: number, waiting: Set<() => void>): Promise<void> {
  const called = deferred<void>();
  waiting.add(called.resolve);
  const timer = setTimeout(called.resolve, ms);
  await called.promise;
  clearTimeout(timer);
  waiting.delete(called.resolve);
}
