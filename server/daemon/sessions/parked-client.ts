import type { Socket } from 'node:net';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import type { Moved } from '../../../proto/session/handshake.js';
import type { SessionEnd } from '../../../proto/session/session-end.js';
import { reassure, redirect, refuse, type SessionRequest } from '../door/front-door.js';
import { ParkedConnection } from '../door/parked-connection.js';

export interface ParkedClientEvents {
  /** The client has work, and waits with it until one of the methods of this object says what becomes of it. */
  onWork(request: SessionRequest): void;
  /** The client waits no longer: its connection is closed. It may come back. */
  onLeft(): void;
  /** The client has ended its session. */
  onBye(): void;
  /** The client broke the protocol, and has been told. */
  onFault(end: SessionEnd): void;
  /** The client has not come back in time. */
  onGone(): void;
}

/**
 * The client of a session, while no executor has its connection: this object has it. The client is *away* (its time to come
 * back runs), *at rest* (its pings are answered), or *waits* (it has sent a frame, and gets pings).
 */
export class ParkedClient {
  readonly #resumeMs: number;
  readonly #events: ParkedClientEvents;
  /** The end that an executor had of a near client. */
  #near: Socket | undefined;
  #atRest: ParkedConnection | undefined;
  #waiting: SessionRequest | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param resumeMs how long the client may take to come back, in milliseconds. */
  constructor(resumeMs: number, events: ParkedClientEvents) {
    this.#resumeMs = resumeMs;
    this.#events = events;
  }

  /** The client's connection, if it waits. */
  get waiting(): SessionRequest | undefined {
    return this.#waiting;
  }

  /**
   * No executor has the session any more. A connection that is here is closed.
   *
   * @param near the end that the executor had of a near client. That client may compute for any time, and does not notice: it
   *   is there as long as its end is open.
   */
  away(near?: Socket): void {
    this.#drop();
    if (!near) {
      this.#awaitReturn();
      return;
    }
    this.#near = near;
    near.on('error', () => {});
    near.once('close', () => {
      if (this.#near === near) this.#awaitReturn();
    });
    near.resume();
    near.end();
  }

  /** The client has come back on this connection. One that it had before is closed. @param taken as ParkedConnection has it. */
  came(request: SessionRequest, taken: number): void {
    clearTimeout(this.#timer);
    this.#drop();
    const connection: ParkedConnection = new ParkedConnection(request, taken, {
      onWork: (head) => this.#wait({ ...request, head }),
      onBye: () => this.#events.onBye(),
      onGone: () => {
        if (this.#atRest !== connection) return;
        this.#atRest = undefined;
        this.#awaitReturn();
      },
      onFault: (message) => {
        const end: SessionEnd = { code: 'PROTOCOL_ERROR', message };
        refuse(request.socket, end);
        this.#events.onFault(end);
      },
    });
    // The client may have sent a frame with its request.
    if (!connection.isDone) this.#atRest = connection;
  }

  /** The connection of a client that waits, if one does. From now on an executor has it, and nothing more is written here. */
  take(): SessionRequest | undefined {
    const request = this.#waiting;
    this.#waiting = undefined;
    return request;
  }

  /** The session has ended. A client that is here is told why. */
  end(end: SessionEnd): void {
    this.#forget();
    this.#atRest?.end(end);
    this.#atRest = undefined;
    const request = this.take();
    if (request) refuse(request.socket, end);
  }

  /** Another host has the session. @returns whether the client is here, and so has been told */
  redirect(moved: Moved): boolean {
    this.#forget();
    const connection = this.#atRest;
    this.#atRest = undefined;
    connection?.redirect(moved);
    const request = this.take();
    if (request) redirect(request.socket, moved);
    return connection !== undefined || request !== undefined;
  }

  #wait(request: SessionRequest): void {
    const { socket } = request;
    this.#atRest = undefined;
    this.#waiting = request;
    reassure(socket, () => this.#waiting === request);
    socket.once('close', () => {
      if (this.#waiting !== request) return;
      this.#waiting = undefined;
      this.#events.onLeft();
      this.#awaitReturn();
    });
    this.#events.onWork(request);
  }

  #awaitReturn(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#events.onGone(), this.#resumeMs).unref();
  }

  #drop(): void {
    this.#near = undefined;
    this.#atRest?.close();
    this.#atRest = undefined;
    this.take()?.socket.destroy();
  }

  /** A client that is away is not waited for any more. */
  #forget(): void {
    clearTimeout(this.#timer);
    this.#near = undefined;
  }
}
