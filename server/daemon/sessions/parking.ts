import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import { invariant, messageOf } from '../../../proto/errors.js';
import type { ParkedChannel, ParkedPlace } from '../../../proto/session/executor-messages.js';
import type { Moved, Resume } from '../../../proto/session/handshake.js';
import type { SessionEnd, SessionEnded } from '../../../proto/session/session-end.js';
import type { SessionLog } from '../../observatory/session-log.js';
import { refuse, type SessionRequest } from '../door/front-door.js';
import { IdleWatch } from './idle-watch.js';
import { ParkedClient } from './parked-client.js';
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
  /** Another host has the session. @param isTold whether its client knows; otherwise it is told when it comes back. */
  moved(moved: Moved, isTold: boolean): void;
}

/** The wish that the session is parked soon, and that another host has it then. */
interface Departure {
  /** Hands the stored session over. Rejects with the reason where no host has taken it. Undefined where it stays here. */
  readonly hand: ((parked: Parked) => Promise<Moved>) | undefined;
  /** Until when the session may take to be at rest, by the steady clock. */
  readonly until: number;
  readonly done: Promise<void>;
  resolve(): void;
  reject(reason: Error): void;
}

/** How long to wait while another session is being stored, in milliseconds. */
const TURN_MS = 250;
/** When a session that is to be moved is asked again, in milliseconds: it was at work, or cannot be parked now. */
const AGAIN_MS = { atWork: 50, otherwise: 250 };
/** How long the frames of a session that is to be moved may wait for it to be at rest, in milliseconds. */
const PATIENCE_MS = 500;
/** How often executors may die while they bring a session back. */
const MOST_TRIES = 2;

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
 * Parks one session when it is idle, and brings it back at its client's next frame.
 *
 * States: *awake* (it has an executor) -> *storing* (the executor writes the file) -> *parked* (it has a file, and no
 * executor) -> *waking* (it waits for a place and an executor, or that one makes the objects again) -> awake.
 * storing -> awake where it cannot be parked; waking -> parked where its client or the executor is gone. parked ->
 * *leaving* (another host gets the file) -> over, or parked again where no host takes it. A session that comes from
 * another host begins as waking. Each -> *over*.
 */
export class SessionParking {
  readonly #options: ParkingOptions;
  readonly #session: ParkingSession;
  #state: 'awake' | 'storing' | 'parked' | 'leaving' | 'waking' | 'over' = 'awake';
  #child: ExecutorChild | undefined;
  #place: ParkedPlace | undefined;
  #channel: ParkedChannel | undefined;
  readonly #client: ParkedClient;
  /** Its wait for an executor, until that gets its client's connection. */
  #waking: { giveUp: () => void } | undefined;
  #departure: Departure | undefined;
  /** Whether it has come from another host, and is not awake here yet. */
  #isArriving = false;
  #askedAt = 0;
  #tries = 0;
  /** The reason that was logged last. */
  #why: string | undefined;
  readonly #idle: IdleWatch;
  /** For the next attempt. */
  #timer: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #isExpired = false;

  constructor(options: ParkingOptions, session: ParkingSession) {
    this.#options = options;
    this.#session = session;
    this.#idle = new IdleWatch(options.idleMs, () => this.park());
    this.#client = new ParkedClient(session.resumeMs, {
      onWork: (request) => this.#wake(request),
      onLeft: () => this.#stopWaking(),
      onBye: () => this.#finish(ENDED, CLOSED),
      onFault: (end) => this.#finish(end),
      onGone: () => this.#finish(GONE),
    });
  }

  /** Whether the session has no executor. */
  get isParked(): boolean {
    return this.#state === 'parked' || this.#state === 'leaving' || this.#waking !== undefined;
  }

  /** Whether the session needs no executor now. */
  get isAsleep(): boolean {
    return this.#state === 'parked' || this.#state === 'leaving';
  }

  /** The session has begun on an executor. */
  begun(child: ExecutorChild): void {
    this.#child = child;
    if (this.#state !== 'awake') return;
    this.#idle.start();
    this.#depart();
  }

  /** The session had a command. */
  worked(): void {
    this.#idle.worked();
  }

  /** Parks the session as soon as it is at rest. */
  park(): void {
    if (this.#state !== 'awake' || !this.#child) return;
    this.#idle.stop();
    clearTimeout(this.#timer);
    const place = this.#options.store.begin();
    if (!place) {
      if (this.#departure) this.#stays(this.#departure, 'the host is storing another session', false);
      else this.#timer = setTimeout(() => this.park(), TURN_MS).unref();
      return;
    }
    this.#state = 'storing';
    this.#place = place;
    this.#child.tell({ type: 'park', ...place, patienceMs: this.#departure?.hand && PATIENCE_MS });
  }

  /**
   * Parks the session at its next quiet moment, and has another host take it. Resolves when that has happened. Rejects
   * with the reason; then the session is as before.
   *
   * @param withinMs how long the session may take to be at rest.
   * @param hand gives the stored session to the other host. Until it resolves, the session is not run here. Absent where
   *   the session stays here.
   */
  parkWithin(withinMs: number, hand?: Departure['hand']): Promise<void> {
    const until = monotonicNow() + withinMs;
    const present = this.#departure;
    if (present && (present.hand || !hand)) return present.done;
    if (present) {
      // So far it is to be parked and to stay here. It leaves after that.
      const leave = () => this.parkWithin(Math.max(0, until - monotonicNow()), hand);
      return present.done.then(leave, leave);
    }
    if (this.#state === 'over') return Promise.reject(new Error('it has ended'));
    let settle: Pick<Departure, 'resolve' | 'reject'> | undefined;
    const done = new Promise<void>((resolve, reject) => {
      settle = { resolve, reject };
    });
    invariant(settle, 'a promise runs its executor at once');
    const departure: Departure = { hand, until, done, ...settle };
    this.#departure = departure;
    setTimeout(() => this.#giveUp(departure), withinMs).unref();
    this.#depart();
    return done;
  }

  /** The session comes from another host, stored at this place, and an executor brings it back at once. */
  arrives({ place, channel }: Parked): void {
    this.#state = 'waking';
    this.#isArriving = true;
    this.#place = place;
    this.#channel = channel;
    this.#askedAt = monotonicNow();
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
    this.#idle.succeeded();
    const near = child.takeNear();
    this.#session.left(child);
    this.#session.log.parked(bytes);
    this.#keep();
    this.#client.away(near);
    this.#depart();
  }

  /** The session stays as it is. */
  notParked({ reason, isAtWork, wasRead }: { reason: string; isAtWork: boolean; wasRead: boolean }): void {
    if (this.#state !== 'storing') return;
    this.#discard();
    this.#state = 'awake';
    if (wasRead) this.#idle.failed();
    if (this.#departure) {
      this.#stays(this.#departure, reason, isAtWork);
      return;
    }
    if (!isAtWork && reason !== this.#why) {
      this.#why = reason;
      this.#session.log.notParked(reason);
    }
    this.#idle.start();
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
    this.#channel = { ...channel, attempt };
    this.#stopWaking();
    this.#client.came(request, channel.taken);
    this.#depart();
  }

  /** The executor is about to get the connection. Returns false where it has come too late. */
  handed(child: ExecutorChild): boolean {
    if (this.#state !== 'waking' || (!this.#waking && !this.#isArriving)) return false;
    this.#waking = undefined;
    this.#client.take();
    this.#child = child;
    return true;
  }

  /** The connection cannot be handed to the executor. */
  failed(end: SessionEnd): void {
    if (!this.#waking) return;
    this.#waking = undefined;
    this.#finish(end);
  }

  /** The executor has made everything again, and goes on; or the session ends, because it cannot. */
  unparked(isBack: boolean, adapter: string): void {
    if (this.#state !== 'waking') return;
    this.#discard();
    clearTimeout(this.#expiry);
    this.#state = 'awake';
    this.#channel = undefined;
    const ms = monotonicNow() - this.#askedAt;
    if (!isBack) return;
    if (this.#isArriving) this.#session.log.arrived(adapter, ms);
    else this.#session.log.unparked(adapter, ms);
    this.#isArriving = false;
    this.#idle.start();
    this.#depart();
  }

  /** The executor has exited. Returns whether the session is still stored, and waits for its client to try again. */
  lost(): boolean {
    this.#child = undefined;
    // A session that was arriving is still at the host that it comes from.
    if (this.#state !== 'waking' || this.#isArriving) return false;
    this.#tries += 1;
    if (this.#tries >= MOST_TRIES || this.#isExpired) return false;
    this.#stopWaking();
    this.#client.away();
    return true;
  }

  /** The session has ended. A client that waits is told why. */
  over(end: SessionEnd): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#idle.stop();
    clearTimeout(this.#timer);
    clearTimeout(this.#expiry);
    this.#waking?.giveUp();
    this.#waking = undefined;
    this.#client.end(end);
    this.#departure?.reject(new Error(`it has ended: ${end.message}`));
    this.#departure = undefined;
    this.#discard();
  }

  /** Goes on with the wish to move, if there is one, where the session can do that now. */
  #depart(): void {
    const departure = this.#departure;
    if (!departure) return;
    if (this.#state === 'awake') this.park();
    else if (this.#state === 'parked') void this.#leave(departure);
    // Otherwise this is called again: when the session is stored, or back.
  }

  /** The time of a wish is over. A session may wait for an executor for hours. */
  #giveUp(departure: Departure): void {
    const isWaiting = this.#state === 'waking' || (this.#state === 'awake' && !this.#child);
    if (this.#departure !== departure || !isWaiting) return;
    this.#departure = undefined;
    departure.reject(
      new Error('it waits for a place among the sessions of its host, or is being brought back'),
    );
  }

  /** A session that is to be moved cannot be parked now. */
  #stays(departure: Departure, reason: string, isAtWork: boolean): void {
    if (monotonicNow() >= departure.until) {
      this.#departure = undefined;
      departure.reject(new Error(reason));
      this.#idle.start();
      return;
    }
    this.#timer = setTimeout(() => this.park(), isAtWork ? AGAIN_MS.atWork : AGAIN_MS.otherwise).unref();
  }

  /**
   * Hands the file to another host. Only here it is decided who has the session. Until `hand` has resolved it is this
   * host, and the client does not know its id there. From then on it is the other host, and the file goes.
   */
  async #leave(departure: Departure): Promise<void> {
    const { hand } = departure;
    if (!hand) {
      this.#departure = undefined;
      departure.resolve();
      return;
    }
    const place = this.#place;
    const channel = this.#channel;
    if (!place || !channel) return;
    this.#state = 'leaving';
    try {
      const moved = await hand({ place, channel });
      // The client has ended the session meanwhile. The other host ends it too, since nobody comes.
      if (!this.#isLeaving) return;
      this.#leaves(moved);
      departure.resolve();
    } catch (error) {
      if (!this.#isLeaving) return;
      this.#departure = undefined;
      this.#state = 'parked';
      departure.reject(new Error(messageOf(error)));
      if (this.#client.waiting) this.#wake(this.#client.waiting);
    }
  }

  /** Read anew: the session may end while it is handed over. */
  get #isLeaving(): boolean {
    return this.#state === 'leaving';
  }

  #leaves(moved: Moved): void {
    const isTold = this.#client.redirect(moved);
    this.#departure = undefined;
    this.over(ENDED);
    this.#session.moved(moved, isTold);
  }

  #wake(request: SessionRequest): void {
    // While another host gets the file, the client waits until it is known which host has the session.
    if (this.#state === 'leaving') return;
    const place = this.#place;
    const channel = this.#channel;
    if (!place || !channel) return;
    this.#state = 'waking';
    // From now on its program waits, perhaps for a place.
    this.#keep();
    this.#askedAt = monotonicNow();
    // `start` may have handed the connection over, or failed, before it returns.
    const waking = { giveUp: () => {} };
    this.#waking = waking;
    waking.giveUp = this.#session.start(request, { place, channel });
  }

  /** A session that waits for an executor, or is brought back, is parked again. */
  #stopWaking(): void {
    const waking = this.#waking;
    this.#waking = undefined;
    waking?.giveUp();
    if (this.#state === 'waking') this.#state = 'parked';
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
