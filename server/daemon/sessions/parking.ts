import type { Socket } from 'node:net';
import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import type { ParkedChannel, ParkedPlace } from '../../../proto/session/executor-messages.js';
import type { Resume } from '../../../proto/session/handshake.js';
import type { SessionEnd, SessionEnded } from '../../../proto/session/session-end.js';
import type { SessionLog } from '../../observatory/session-log.js';
import { reassure, refuse, type SessionRequest } from '../door/front-door.js';
import { ParkedConnection } from '../door/parked-connection.js';
import type { ParkedStore } from './parked-store.js';
import { ENDED } from './session-ends.js';

export interface ParkingOptions {
  store: ParkedStore;
  /** After how long without a command a session is parked, in milliseconds; 0: only when it is asked for. */
  idleMs: number;
  /** How long a session may stay parked, in milliseconds. */
  keepMs: number;
}

/** A parked session, as its next executor needs it. */
export interface Parked {
  readonly place: ParkedPlace;
  readonly channel: ParkedChannel;
}

/** A session, as its parking needs it. */
export interface ParkingSession {
  readonly log: SessionLog;
  /** How long the session waits for its client to come back, in milliseconds. */
  readonly resumeMs: number;
  /** The session has left its executor, which is not needed any more. */
  left(child: ExecutorChild): void;
  /**
   * Gets an executor for the session, when there is a place for it. Returns a function that gives it back, unless it has
   * the connection.
   */
  start(request: SessionRequest, parked: Parked): () => void;
  /** Ends the session. Its client has been told, or is gone. `why` is for the log, if it is another reason. */
  end(end: SessionEnd, why?: SessionEnded): void;
}

/** How long to wait while another session is being stored, in milliseconds. */
const TURN_MS = 250;
/** How often executors may die while they bring a session back. */
const MOST_TRIES = 2;
/** How often the time to the next attempt doubles at most. */
const MOST_DOUBLINGS = 6;

const GONE: SessionEnd = {
  code: 'DISCONNECTED',
  message: 'the client of the parked session did not come back',
};
const CLOSED: SessionEnded = { code: 'CLOSED', message: 'the program closed its session' };
const UNKNOWN_REPLIES: SessionEnd = {
  code: 'PROTOCOL_ERROR',
  message: 'the client came back to its parked session with other replies than it had',
};

/**
 * Parks one session when it is idle, and brings it back at its client's next frame. Where its contents were read in vain,
 * it waits twice as long until the next attempt.
 *
 * States: *awake* (it has an executor) -> *storing* (the executor writes the file) -> *parked* (it has a file, and no
 * executor) -> *waking* (it waits for a place and an executor, or that one makes the objects again) -> awake.
 * storing -> awake where it cannot be parked; waking -> parked where its client or the executor is gone. Each -> *over*.
 */
export class SessionParking {
  readonly #options: ParkingOptions;
  readonly #session: ParkingSession;
  #state: 'awake' | 'storing' | 'parked' | 'waking' | 'over' = 'awake';
  #child: ExecutorChild | undefined;
  #place: ParkedPlace | undefined;
  #channel: ParkedChannel | undefined;
  /** Its client's connection, while it is parked. */
  #connection: ParkedConnection | undefined;
  /** Its client's connection, while it waits for an executor. */
  #waking: { request: SessionRequest; giveUp: () => void } | undefined;
  #askedAt = 0;
  #tries = 0;
  #workedAt = monotonicNow();
  /** How often its contents were read in vain since it was parked last. */
  #failures = 0;
  /** The reason that was logged last. */
  #why: string | undefined;
  /** For the next look, or the client's return. */
  #timer: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #isExpired = false;

  constructor(options: ParkingOptions, session: ParkingSession) {
    this.#options = options;
    this.#session = session;
  }

  /** Whether the session has no executor. */
  get isParked(): boolean {
    return this.#state === 'parked' || this.#waking !== undefined;
  }

  /** Whether the session needs no executor now. */
  get isAsleep(): boolean {
    return this.#state === 'parked';
  }

  /** The session has begun on an executor. */
  begun(child: ExecutorChild): void {
    this.#child = child;
    if (this.#state !== 'awake') return;
    this.#workedAt = monotonicNow();
    this.#watch();
  }

  /** The session had a command. */
  worked(): void {
    this.#workedAt = monotonicNow();
  }

  /** Parks the session as soon as it is at rest. */
  park(): void {
    if (this.#state !== 'awake' || !this.#child) return;
    clearTimeout(this.#timer);
    const place = this.#options.store.begin();
    if (!place) {
      this.#timer = setTimeout(() => this.park(), TURN_MS).unref();
      return;
    }
    this.#state = 'storing';
    this.#place = place;
    this.#child.park(place);
  }

  /** The executor has stored the session. */
  parked({ bytes, channel }: { bytes: number; channel: ParkedChannel }): void {
    const child = this.#child;
    const place = this.#place;
    if (this.#state !== 'storing' || !child || !place) return;
    this.#options.store.stored(place, bytes);
    this.#state = 'parked';
    this.#channel = channel;
    this.#child = undefined;
    this.#why = undefined;
    this.#tries = 0;
    this.#failures = 0;
    const near = child.takeNear();
    this.#session.left(child);
    this.#session.log.parked(bytes);
    this.#keep();
    if (near) this.#leaveNear(near);
    else this.#awaitClient();
  }

  /** The session stays as it is. */
  notParked({ reason, isAtWork, wasRead }: { reason: string; isAtWork: boolean; wasRead: boolean }): void {
    if (this.#state !== 'storing') return;
    this.#discard();
    this.#state = 'awake';
    if (wasRead) this.#failures = Math.min(this.#failures + 1, MOST_DOUBLINGS);
    if (!isAtWork && reason !== this.#why) {
      this.#why = reason;
      this.#session.log.notParked(reason);
    }
    this.#workedAt = monotonicNow();
    this.#watch();
  }

  /** Its client resumes a parked session, on a connection that belongs to this object now. */
  resume(request: SessionRequest, { taken, attempt }: Omit<Resume, 'sessionId'>): void {
    const channel = this.#channel;
    if (!channel || attempt <= channel.attempt) {
      request.socket.destroy();
      return;
    }
    if (taken !== channel.acknowledged) {
      refuse(request.socket, UNKNOWN_REPLIES);
      this.#finish(UNKNOWN_REPLIES);
      return;
    }
    clearTimeout(this.#timer);
    this.#channel = { ...channel, attempt };
    this.#connection?.close();
    this.#stopWaking();
    this.#state = 'parked';
    const connection: ParkedConnection = new ParkedConnection(request, channel.taken, {
      onWork: (head) => this.#wake({ ...request, head }),
      onBye: () => this.#finish(ENDED, CLOSED),
      onGone: () => {
        if (this.#connection !== connection) return;
        this.#connection = undefined;
        this.#awaitClient();
      },
      onFault: (message) => {
        const end: SessionEnd = { code: 'PROTOCOL_ERROR', message };
        refuse(request.socket, end);
        this.#finish(end);
      },
    });
    // The client may have sent a frame with its request.
    if (this.#state === 'parked') this.#connection = connection;
  }

  /** The executor is about to get the connection. Returns false where it has come too late. */
  handed(child: ExecutorChild): boolean {
    if (this.#state !== 'waking' || !this.#waking) return false;
    this.#waking = undefined;
    this.#child = child;
    return true;
  }

  /** The connection cannot be handed to the executor. */
  failed(end: SessionEnd): void {
    const { request } = this.#waking ?? {};
    if (!request) return;
    this.#waking = undefined;
    refuse(request.socket, end);
    this.#finish(end);
  }

  /** The executor has made everything again, and goes on; or the session ends, because it cannot. */
  unparked(isBack: boolean, adapter: string): void {
    if (this.#state !== 'waking') return;
    this.#discard();
    clearTimeout(this.#expiry);
    this.#state = 'awake';
    this.#channel = undefined;
    if (!isBack) return;
    this.#session.log.unparked(adapter, monotonicNow() - this.#askedAt);
    this.#workedAt = monotonicNow();
    this.#watch();
  }

  /** The executor has exited. Returns whether the session is still stored, and waits for its client to try again. */
  lost(): boolean {
    this.#child = undefined;
    if (this.#state !== 'waking') return false;
    this.#tries += 1;
    if (this.#tries >= MOST_TRIES || this.#isExpired) return false;
    this.#stopWaking();
    this.#state = 'parked';
    this.#awaitClient();
    return true;
  }

  /** The session has ended. A client that waits is told why. */
  over(end: SessionEnd): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    clearTimeout(this.#timer);
    clearTimeout(this.#expiry);
    this.#connection?.end(end);
    if (this.#waking) {
      const { request, giveUp } = this.#waking;
      this.#waking = undefined;
      giveUp();
      refuse(request.socket, end);
    }
    this.#discard();
  }

  /** Looks whether the session is idle, when it may be. */
  #watch(): void {
    const { idleMs } = this.#options;
    clearTimeout(this.#timer);
    if (idleMs === 0 || this.#state !== 'awake') return;
    const left = this.#workedAt + idleMs * 2 ** this.#failures - monotonicNow();
    if (left <= 0) this.park();
    else this.#timer = setTimeout(() => this.#watch(), left).unref();
  }

  /** A near client may compute for any time, and does not notice. It is there as long as its end is open. */
  #leaveNear(near: Socket): void {
    near.on('error', () => {});
    near.once('close', () => {
      if (this.#state === 'parked' && !this.#connection) this.#awaitClient();
    });
    near.resume();
    near.end();
  }

  #awaitClient(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#finish(GONE), this.#session.resumeMs).unref();
  }

  #wake(request: SessionRequest): void {
    const place = this.#place;
    const channel = this.#channel;
    if (!place || !channel) return;
    this.#state = 'waking';
    this.#connection = undefined;
    // From now on its program waits, perhaps for a place.
    this.#keep();
    this.#askedAt = monotonicNow();
    const { socket } = request;
    const waking = { request, giveUp: () => {} };
    this.#waking = waking;
    reassure(socket, () => this.#waking === waking);
    socket.once('close', () => {
      if (this.#waking !== waking) return;
      this.#stopWaking();
      this.#state = 'parked';
      this.#awaitClient();
    });
    waking.giveUp = this.#session.start(request, { place, channel });
  }

  #stopWaking(): void {
    const waking = this.#waking;
    this.#waking = undefined;
    waking?.giveUp();
    waking?.request.socket.destroy();
  }

  /** From now on the session may stay without an executor for as long as the host allows. */
  #keep(): void {
    clearTimeout(this.#expiry);
    this.#isExpired = false;
    this.#expiry = setTimeout(() => this.#expire(), this.#options.keepMs).unref();
  }

  /** A session that an executor is bringing back is not ended: the executor would go on with it alone. */
  #expire(): void {
    this.#isExpired = true;
    const time = `${Math.round(this.#options.keepMs / 36_000) / 100} hours, the most that its host allows`;
    const what = this.#waking
      ? `the parked session waited ${time}, for a place among the host's sessions`
      : `the session was parked for ${time}`;
    const message = `${what} (--park-keep); start the program again`;
    if (this.isParked) this.#finish({ code: 'DISCONNECTED', message });
  }

  #finish(end: SessionEnd, why?: SessionEnded): void {
    if (this.#state === 'over') return;
    this.over(end);
    this.#session.end(end, why);
  }

  #discard(): void {
    if (this.#place) this.#options.store.remove(this.#place);
    this.#place = undefined;
  }
}
