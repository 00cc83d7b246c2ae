import { newSessionId } from '../../../link/channel/hand-over.js';
import type { MovePackets } from '../../../link/channel/move-packets.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { deferred } from '../../../link/machine/deferred.js';
import { FarlightError, ProtocolError } from '../../../proto/errors.js';
import type { ParkedPlace } from '../../../proto/session/executor-messages.js';
import { type Moved, type Resume, versionMismatch } from '../../../proto/session/handshake.js';
import type { MoveOffer } from '../../../proto/session/moves.js';
import type { SessionEnd } from '../../../proto/session/session-end.js';
import { negotiate } from '../../../proto/session/version.js';
import { PACKET } from '../../../proto/wire/packet.js';
import type { RefusalLog } from '../../observatory/session-log.js';
import { type Admission, type KnownClient, REFUSED_AFTER_MS } from '../../trust/admission.js';
import { type ClientHello, decodeFirstPacket, decodeHello, decodeResume } from '../door/first-packet.js';
import { redirect, refuse, type SessionRequest } from '../door/front-door.js';
import type { Buffers } from '../tenants/quotas.js';
import type { Arriving } from './arrivals.js';
import type { Departures } from './departures.js';
import { Places } from './places.js';
import { PLACE_MS, Session, type SessionEvents, type SessionOptions, type SessionStart } from './session.js';
import { SessionEnds } from './session-ends.js';

export interface SessionsOptions extends Omit<SessionOptions, 'places'> {
  /** Undefined where sessions are never parked. */
  departures: Departures | undefined;
  admission: Admission;
  /** How many sessions may have a process at a time, of all tenants. */
  mostSessions: number;
  refusals: RefusalLog;
  /** Whether the host has a tenant of this name. */
  knowsTenant(tenant: string): boolean;
  /** Why the host accepts no further session; undefined while it does. */
  refusal(): SessionEnd | undefined;
}

const NO_SESSION = 'there is no such session; farlight session ls shows those that are open';
/** The reason where a token was revoked. */
const REVOKED: SessionEnd = {
  code: 'UNAUTHORIZED',
  message: "the host's owner has revoked this session's token; ask for another (farlight token add)",
};

/** The host's sessions: opens them, finds them for clients that come back, and ends them. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #ends = new SessionEnds();
  readonly #places: Places;
  readonly #events: SessionEvents = {
    onEnd: (session, end, moved) => this.#note(session, end, moved),
    onUntold: ({ id }) => void this.#untold.add(id),
    onLeft: (session, isOver) => this.#left(session, isOver),
  };
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
    const { departures } = this.#options;
    if (!departures) throw new Error('the host moves no sessions; start it with --park and --move-to');
    const hosts = departures.hosts(to);
    const session = this.#sessions.get(id);
    if (!session) throw new Error(NO_SESSION);
    await departures.move(session, hosts, withinMs);
  }

  /**
   * Hands a session that is at rest to its own client, which brings it to another host when it goes on. Rejects with the
   * reason; then the session stays.
   */
  async give(id: string, { tenant }: KnownClient, packets: MovePackets): Promise<void> {
    const { departures } = this.#options;
    const session = this.#sessions.get(id);
    // To a client, another tenant's session does not exist.
    if (!departures || session?.client.tenant !== tenant) throw new Error(NO_SESSION);
    await departures.give(session, packets);
  }

  /** Moves all sessions to other hosts, as far as that is possible within so many milliseconds. */
  async moveAll(withinMs: number, until?: number): Promise<void> {
    const { departures } = this.#options;
    if (!departures) return;
    const hosts = departures.hosts();
    // The log has the reason for each that stays.
    const sessions = [...this.#sessions.values()];
    await Promise.allSettled(sessions.map((session) => departures.move(session, hosts, withinMs, until)));
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
    for (const session of [...this.#sessions.values()])
      if (session.client.tokenId === tokenId) session.revoke(REVOKED);
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
    for (const session of [...this.#sessions.values()]) session.end(end);
    await this.none(graceMs);
    for (const session of [...this.#sessions.values()]) session.finish(end);
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
    this.#add({ id: newSessionId(), client, terms: { ...hello, protocol, buffers }, request }).begin();
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
  #add(start: SessionStart): Session {
    const { counters } = this.#options;
    const session = new Session({ ...this.#options, places: this.#places }, start, this.#events);
    this.#sessions.set(session.id, session);
    counters.sessionsOpened++;
    counters.sessionsActive++;
    return session;
  }

  /** Why the host cannot take a session from another host; undefined where it can. */
  refuseArrival(offer: MoveOffer): string | undefined {
    const { sessionId, protocol, tenant, windowBytes, keepsContents, hasLines } = offer;
    const { versions, contents, lines } = this.#options;
    const refusal = this.#options.refusal();
    if (refusal) return refusal.message;
    // With that id its client could not come back to the other session.
    if (this.#sessions.has(sessionId)) return 'it has another session of this id';
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
    const { sessionId: id, tenant, program, protocol, compression, windowBytes, version } = offer;
    const { protocolMin, protocolMax } = this.#options.versions;
    const buffers = { commands: windowBytes, replies: windowBytes };
    const terms = {
      ...{ protocol, protocolMin, protocolMax, version, program, compression, buffers },
      ...{ parks: true, moves: true },
    };
    return this.#add({ id, client: { tenant, tokenId }, terms, request: undefined }).arrive(offer, place);
  }

  /** The client never received the answer and opens another session: end the one that was opened before. */
  #supersede(key: string, { tenant }: KnownClient): void {
    for (const session of [...this.#sessions.values()])
      if (session.terms.key === key && session.client.tenant === tenant) session.replace();
  }

  #resume(request: SessionRequest, client: KnownClient, { sessionId, ...resume }: Resume): void {
    const session = this.#sessions.get(sessionId);
    const isThere = session && !session.isWaiting && !request.outdated;
    const refused = () => this.#refuseResume(request, client, sessionId);
    // To a client, another tenant's session does not exist.
    if (!isThere || session.client.tenant !== client.tenant) refused();
    else session.resume(request, client, resume, refused, (end) => this.#refuse(request, end));
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
  #note({ id, client, hasMoved }: Session, end: SessionEnd, moved?: Moved): SessionEnd {
    return this.#ends.note(id, {
      end,
      tenant: client.tenant,
      client: hasMoved ? client : undefined,
      ...(moved && { moved }),
    });
  }

  #left({ id }: Session, isOver: boolean): void {
    if (isOver) {
      this.#sessions.delete(id);
      this.#options.counters.sessionsActive--;
    }
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
