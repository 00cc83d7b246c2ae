import type { Socket } from 'node:net';
import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import { setTimeout } from '../../../link/machine/clock.js';
import type { FarlightError } from '../../../proto/errors.js';
import type { ParkedPlace } from '../../../proto/session/executor-messages.js';
import type { Moved, Resume } from '../../../proto/session/handshake.js';
import type { MoveOffer } from '../../../proto/session/moves.js';
import { SESSION_END_CODES, type SessionEnd, type SessionEnded } from '../../../proto/session/session-end.js';
import type { Log } from '../../observatory/log.js';
import type { Observatory } from '../../observatory/observatory.js';
import { SessionLog } from '../../observatory/session-log.js';
import type { KnownClient } from '../../trust/admission.js';
import { handOver } from '../door/bridges.js';
import { reassure, refuse, type SessionRequest } from '../door/front-door.js';
import type { Arriving } from './arrivals.js';
import { type Assignment, type AssignOptions, assignExecutor, type SessionTerms } from './assign-executor.js';
import { type Parked, type ParkingOptions, SessionParking } from './parking.js';
import type { Places } from './places.js';
import { ENDED } from './session-ends.js';

export interface SessionOptions extends Omit<AssignOptions, 'parks'> {
  /** Undefined where sessions are never parked. */
  parking: ParkingOptions | undefined;
  places: Places;
  log: Log;
  observatory: Observatory;
}

/** What a session begins with. */
export interface SessionStart {
  readonly id: string;
  readonly client: KnownClient;
  readonly terms: SessionTerms;
  /** Undefined where it comes from another host, and its client comes later. */
  readonly request: SessionRequest | undefined;
}

/** What a session tells the list of sessions. */
export interface SessionEvents {
  /** Why it ends or has ended, or where it is now. Returns the first reason that it was told. */
  onEnd(session: Session, end: SessionEnd, moved?: Moved): SessionEnd;
  /** Another host has it, and its client has not been told. */
  onUntold(session: Session): void;
  /** It has no executor any more. @param isOver whether it has ended. */
  onLeft(session: Session, isOver: boolean): void;
}

/** How long an executor may take to end the session of a revoked token, in milliseconds, before it is killed. */
const REVOKED_MS = 3000;

/** How long a session may wait for a place, in milliseconds: longer than a process takes to end, or to be killed. */
export const PLACE_MS = 15_000;

/** The reason where no place became free in time. */
const NO_PLACE: SessionEnd = {
  code: 'BUSY',
  message: `the GPU executors of ended sessions have not exited within ${PLACE_MS / 1000} seconds, and still take places at this host; try again later`,
};
/** The reason where the client disconnected before its session had an executor. */
const GONE: SessionEnd = {
  code: 'DISCONNECTED',
  message: 'the client disconnected before the session began',
};
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

/** One session of the host: gets it an executor, hands its client's connections to that, and ends it. */
export class Session {
  readonly id: string;
  readonly terms: SessionTerms;
  readonly log: SessionLog;
  /** Undefined where sessions are never parked. */
  readonly parking: SessionParking | undefined;
  /** Whether it has come from another host. Then its client shows its id in the place of a token. */
  readonly hasMoved: boolean;
  readonly #options: SessionOptions;
  readonly #events: SessionEvents;
  /** Nobody else can resume the session. It ends when the token that was shown last is revoked. */
  #client: KnownClient;
  /** Undefined while it waits for a place. */
  #child: ExecutorChild | undefined;
  /** Stops waiting for a place. */
  #giveUp = () => {};
  /** Its connection, until the executor has it. */
  #waiting: SessionRequest | undefined;
  /** Of a session that comes from another host, which waits for this. */
  #arriving: { resolve(): void; reject(reason: Error): void } | undefined;
  #isOver = false;

  constructor(options: SessionOptions, { id, client, terms, request }: SessionStart, events: SessionEvents) {
    this.#options = options;
    this.#events = events;
    this.id = id;
    this.#client = client;
    this.terms = terms;
    this.#waiting = request;
    this.hasMoved = request === undefined;
    const facts = { sessionId: id, program: terms.program, tenant: client.tenant };
    this.log = new SessionLog(options.log, options.observatory, facts, (on) =>
      this.#child?.tell({ type: 'watch', on }),
    );
    this.parking = options.parking && this.#parking(options.parking);
  }

  get client(): KnownClient {
    return this.#client;
  }

  /** Whether no executor has its connection yet. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** Begins on an executor, when there is a place for it. */
  begin(): void {
    const request = this.#waiting;
    if (!request) return;
    // Without the id the client cannot resume, so end the session when the connection closes.
    request.socket.once('close', () => this.#dismiss(GONE));
    reassure(request.socket, () => !this.#isOver && this.#waiting === request);
    this.#giveUp = this.#options.places.want(
      this.#client.tenant,
      () => {
        this.#child = this.#assign(request, {
          begin: (child) => {
            if (!this.#waiting || this.#isOver) return false;
            this.#waiting = undefined;
            this.parking?.begun(child);
            return true;
          },
          onFailed: (end) => this.#dismiss(end),
        });
      },
      () => this.#dismiss(NO_PLACE),
    );
  }

  /** Comes from another host, stored at this place. An executor brings it back at once, and its client comes later. */
  arrive({ channel, work }: MoveOffer, place: ParkedPlace): Arriving {
    this.parking?.arrives({ place, channel });
    this.log.wasAtWork(work);
    const awake = new Promise<void>((resolve, reject) => {
      this.#arriving = { resolve, reject };
    });
    const start = () => {
      this.#child = this.#assign(undefined, {
        parked: { place, channel },
        begin: (child) => this.parking?.handed(child) === true,
        onFailed: (end) => this.finish(end),
      });
    };
    this.#giveUp = this.#options.places.want(this.#client.tenant, start, () => this.finish(NO_PLACE));
    return { awake, giveUp: () => this.#stay() };
  }

  /**
   * Its client comes back. Calls `ended` where it ends before its executor has the connection, and `failed` where that
   * cannot have it.
   */
  resume(
    request: SessionRequest,
    client: KnownClient,
    { taken, attempt }: Omit<Resume, 'sessionId'>,
    ended: () => void,
    failed: (end: SessionEnd) => void,
  ): void {
    const isBack = () => {
      this.#client = client;
      this.log.resumed();
    };
    if (this.parking?.isParked) {
      isBack();
      this.parking.resume(request, { taken, attempt });
      return;
    }
    const resume = (socket: Socket) => {
      if (this.#isOver) {
        ended();
        return false;
      }
      isBack();
      const isNear = this.parking !== undefined && socket === request.socket;
      this.#child?.resume({ taken, attempt }, socket, request.head, isNear);
      return true;
    };
    handOver(request.socket, this.#options.bridges(), resume, failed);
  }

  /** Ends the session, and tells its client why. It ends at once, or when its executor has ended it. */
  end(end: SessionEnd): void {
    if (this.#waiting) {
      this.#dismiss(end);
    } else if (this.parking?.isParked) {
      this.finish(end);
    } else {
      this.#events.onEnd(this, end);
      this.#child?.tell({ type: 'end', ...end });
    }
  }

  /** Ends the session, because its token was revoked. */
  revoke(end: SessionEnd): void {
    const child = this.#child;
    this.end(end);
    if (this.#isOver) return;
    // A busy executor does not notice in time. End the session all the same.
    setTimeout(() => {
      if (!this.#isOver && this.#child === child) child?.kill();
    }, REVOKED_MS).unref();
  }

  /** Its client never received the answer, and opens another session. */
  replace(): void {
    if (this.#waiting) {
      this.#dismiss(REPLACED);
      return;
    }
    this.#child?.tell({ type: 'end', ...REPLACED });
    this.finish(REPLACED);
  }

  /** `end` is for a client that comes back, unless there was an earlier reason; `why` is for the log. */
  finish(end: SessionEnd, why?: SessionEnded): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.parking?.over(end);
    this.#giveUp();
    if (this.#child) {
      this.#options.shares.over(this.#child);
      this.#options.lines?.over(this.#child);
    }
    const first = this.#events.onEnd(this, end);
    this.log.ended(why ?? first);
    this.#arriving?.reject(new Error(`it cannot go on there: ${(why ?? first).message}`));
    this.#events.onLeft(this, true);
  }

  #assign(
    request: SessionRequest | undefined,
    how: Pick<Assignment, 'begin' | 'onFailed' | 'parked'>,
  ): ExecutorChild {
    const { id, terms, log, parking } = this;
    return assignExecutor(
      { ...this.#options, parks: parking !== undefined },
      {
        ...{ id, tenant: this.#client.tenant, request, terms, log },
        ...how,
        onWork: () => parking?.worked(),
        onParked: (parked) => parking?.parked(parked),
        onNotParked: (why) => parking?.notParked(why),
        onUnparked: (isBack, adapter) => {
          parking?.unparked(isBack, adapter);
          if (isBack) this.#arriving?.resolve();
        },
        onSessionEnded: (why) => this.finish(ENDED, why),
        onLost: (reason) => {
          if (!this.#isOver && this.#child && parking?.lost()) this.#leave(this.#child);
          else this.#lost(reason);
        },
      },
    );
  }

  #parking(options: ParkingOptions): SessionParking {
    return new SessionParking(options, {
      log: this.log,
      resumeMs: this.#options.resumeMs,
      left: (child) => {
        this.#options.pool.leave(child);
        this.#leave(child);
      },
      start: (request, parked) => this.#wake(request, parked),
      end: (end, why) => this.finish(end, why),
      moved: (moved, isTold) => {
        // Without an address its own client has it.
        const isElsewhere = moved.address !== '';
        if (isElsewhere) this.#events.onEnd(this, ENDED, moved);
        if (isElsewhere && !isTold) this.#events.onUntold(this);
        const message = `the session was moved to ${moved.address || 'its program'}`;
        this.finish(ENDED, { code: 'MOVED', message });
      },
    });
  }

  /** Gets an executor for the parked session, when there is a place for it. @returns a function that gives it back. */
  #wake(request: SessionRequest, parked: Parked): () => void {
    const start = () => {
      this.#child = this.#assign(request, {
        parked,
        begin: (child) => this.parking?.handed(child) === true,
        onFailed: (end) => this.parking?.failed(end),
      });
    };
    // The session ends before this wait does: see --park-keep.
    this.#giveUp = this.#options.places.want(this.#client.tenant, start);
    if (!this.#child) this.log.waits();
    return () => {
      this.#giveUp();
      if (this.#child) this.#options.pool.giveBack(this.#child);
      this.#child = undefined;
    };
  }

  /** The session has no executor any more, and may get another. */
  #leave(child: ExecutorChild): void {
    this.#options.shares.over(child);
    this.#options.lines?.over(child);
    this.#child = undefined;
    this.#events.onLeft(this, false);
  }

  /** The host that it comes from keeps it. */
  #stay(): void {
    if (this.#isOver) return;
    const child = this.#child;
    this.finish(NOT_ARRIVED);
    child?.tell({ type: 'end', ...NOT_ARRIVED });
    if (child) this.#options.pool.giveBack(child);
  }

  #lost(reason: FarlightError | undefined): void {
    if (this.#isOver) return;
    this.#options.counters.executorsLost++;
    const code = SESSION_END_CODES.find((each) => each === reason?.code) ?? 'EXECUTOR_LOST';
    const end = { code, message: reason?.message ?? 'the GPU executor exited' };
    if (this.#waiting) refuse(this.#waiting.socket, end);
    this.finish(end);
  }

  /** Ends a session whose connection no executor has yet. */
  #dismiss(end: SessionEnd): void {
    if (this.#isOver || !this.#waiting) return;
    refuse(this.#waiting.socket, end);
    if (this.#child) this.#options.pool.giveBack(this.#child);
    this.finish(end);
  }
}
