import { rm } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { boundsOf, Channel, type ChannelEvents } from '../../../link/channel/channel.js';
import { Connection } from '../../../link/channel/connection.js';
import { FramePacker } from '../../../link/channel/frame-packer.js';
import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import { SharedFrames } from '../../../link/near/shared-frames.js';
import { SocketCarrier } from '../../../link/near/socket-carrier.js';
import { Vigil } from '../../../link/near/vigil.js';
import { brokeProtocol, messageOf, ProtocolError } from '../../../proto/errors.js';
import type {
  ParkedChannel,
  ParkedPlace,
  ParkTarget,
  SessionDescription,
} from '../../../proto/session/executor-messages.js';
import type { Traffic, WorkCounts } from '../../../proto/session/session-counts.js';
import type { SessionEnd, SessionEnded } from '../../../proto/session/session-end.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import { spareFrame } from '../../../proto/wire/memory.js';
import { countBody, objectBody, PACKET } from '../../../proto/wire/packet.js';
import { AtWork, type SessionEndpoint, type SessionPeer } from './endpoint.js';

/**
 * How a session ended. `wish`: its client or the host's owner ended it, or the client stayed away. `fault`: it cannot
 * go on.
 */
export type SessionEnding = ({ by: 'wish' } & SessionEnded) | ({ by: 'fault' } & Fault);

interface Fault {
  code: 'PROTOCOL_ERROR' | 'EXECUTOR_LOST';
  message: string;
}

export interface SessionChannelOptions {
  description: SessionDescription;
  /** Of a parked session: how far its channel was. */
  parked?: ParkedChannel | undefined;
  /** The part of Welcome that only this process knows. */
  opened: object;
  createSession(peer: SessionPeer): SessionEndpoint;
  /** The session's traffic since the last call, and its work so far. */
  onTraffic(traffic: Traffic, work: WorkCounts | undefined): void;
  /** The parked session is back, or it ends because it cannot come back. */
  onUnparked?(isBack: boolean): void;
  /** The session has ended, and its client has been told. Comes once, last. */
  onEnded(ending: SessionEnding): void;
}

/** How soon a client is noticed that vanished without a word, in milliseconds. */
const SILENCE = { pingMs: 20_000, deadMs: 60_000 };
/**
 * How long a session waits for a client that has not shown that it knows of the session, in milliseconds. The client
 * may have gone before it was welcomed, and then it never comes back.
 */
const UNHEARD_MS = 5000;
/** How long a client may take to receive the last replies, and then the end, in milliseconds. */
const LEAVE_MS = 2000;
/** How soon to look again whether a session is at rest, in milliseconds. */
const LOOK_MS = 2;
/** How often traffic is reported at most, in milliseconds. */
const TRAFFIC_MS = 250;

/**
 * One session in this process: its channel to the client over one connection after another, and its endpoint, which
 * executes the frames.
 *
 * States: *connected* <-> *away* (without a connection; the client may come back until `timer`) -> *ended*;
 * connected -> ended.
 */
export class SessionChannel {
  readonly #options: SessionChannelOptions;
  readonly #channel: Channel;
  readonly #session: SessionEndpoint;
  readonly #vigil = new Vigil();
  #connection: Connection | undefined;
  #away: NodeJS.Timeout | undefined;
  #ended = false;
  /** The number of the client's newest attempt to resume. */
  #attempt = 0;
  /** Why the session gets no commands now: too many replies wait, the GPU has enough to do, or it is not back yet. */
  readonly #pauses = new Set<'replies' | 'gpu' | 'parked'>();
  /** Whether too many replies wait for the client. */
  #isFull = false;
  #traffic: Traffic | undefined;

  constructor(options: SessionChannelOptions) {
    this.#options = options;
    const { replyBytes, welcome } = options.description;
    const events: ChannelEvents = {
      onFrame: (frame) => {
        this.#vigil.answered();
        const traffic = this.#count();
        traffic.framesUp += 1;
        traffic.bytesUp += frame.length;
        return !this.#ended && this.#session.receive(frame);
      },
      onTaken: (_bytes, frames) => frames.forEach(spareFrame),
      onRoom: () => {
        this.#isFull = false;
        this.#session.drained?.();
        this.#pause('replies', this.#isFull);
      },
    };
    this.#channel = new Channel(events, boundsOf(welcome?.windowBytes ?? LIMITS.windowBytes, replyBytes));
    if (options.parked) {
      this.#channel.restore(options.parked);
      this.#attempt = options.parked.attempt;
    }
    this.#session = options.createSession({
      send: (frame) => this.#send(frame),
      end: (code, message) => this.#fault({ code, message }),
      pause: (paused) => this.#pause('gpu', paused),
    });
  }

  get session(): SessionEndpoint {
    return this.#session;
  }

  /** The session begins on a connection. `head` are the bytes that were read of it already. */
  begin(socket: Duplex, head: Uint8Array): void {
    const { welcome } = this.#options.description;
    const { carrier, connection } = this.#connect(socket);
    if (welcome) {
      const { contents } = welcome;
      const filter = contents && Buffer.from(contents.filter).toString('base64');
      const whole = { ...welcome, ...this.#options.opened, contents: contents && { ...contents, filter } };
      connection.send(PACKET.welcome, objectBody(whole));
    }
    this.#channel.attach(connection, 0);
    carrier.push(head);
  }

  /** Goes on with another connection, unless that is older than the present one. A wrong count ends the session. */
  resume(socket: Duplex, head: Uint8Array, { taken, attempt }: { taken: number; attempt: number }): void {
    if (this.#ended || attempt <= this.#attempt) {
      socket.destroy();
      return;
    }
    this.#attempt = attempt;
    this.#connection?.release();
    this.#channel.detach();
    clearTimeout(this.#away);
    const { carrier, connection } = this.#connect(socket);
    connection.send(PACKET.resumed, countBody(this.#channel.taken));
    try {
      this.#channel.attach(connection, taken);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // Nobody knows which replies the client has, so it gets none of them.
      this.#broken(error);
      return;
    }
    carrier.push(head);
  }

  /**
   * Stores the session. Resolves to how far the channel was, and the file's bytes. From then on nothing goes on here.
   *
   * @throws Error (rejects) with the reason. Then the session goes on.
   */
  async park(target: ParkTarget): Promise<{ bytes: number; channel: ParkedChannel }> {
    const channel = this.#channel;
    const { patienceMs = 0 } = target;
    // From here on frames wait. Without patience the first one ends the attempt.
    const isAtRest = () =>
      !this.#ended &&
      channel.attached &&
      channel.keptBytes === 0 &&
      !this.#pauses.has('gpu') &&
      (patienceMs > 0 || !channel.hasWaiting);
    if (this.#pauses.has('parked') || (patienceMs === 0 && this.#pauses.size > 0)) throw new AtWork();
    const store = async () => {
      if (!isAtRest()) throw new AtWork();
      const written = (await this.#session.park?.(target, () => !isAtRest())) ?? 0;
      if (isAtRest()) return written;
      await rm(target.path, { force: true });
      throw Object.assign(new AtWork(), { wasRead: true });
    };
    this.#pause('parked', true);
    let bytes = 0;
    const until = monotonicNow() + patienceMs;
    for (;;) {
      try {
        bytes = await store();
        break;
      } catch (error) {
        const isOver = this.#ended || !(error instanceof AtWork) || monotonicNow() >= until;
        if (!isOver) {
          await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
          continue;
        }
        this.#pause('parked', false);
        throw error;
      }
    }
    // The client sends again what it has sent meanwhile, when it resumes.
    this.#ended = true;
    this.#report();
    this.#connection?.release();
    return {
      bytes,
      channel: { taken: channel.taken, acknowledged: channel.acknowledged, attempt: this.#attempt },
    };
  }

  /**
   * Brings a parked session back on a connection. Its client has been told how many frames were taken. Without a
   * connection the client resumes the session, at once or later.
   */
  async unpark(socket: Duplex | undefined, head: Uint8Array, { path, key }: ParkedPlace): Promise<void> {
    this.#pause('parked', true);
    if (socket) {
      const { carrier, connection } = this.#connect(socket);
      this.#channel.attach(connection, this.#channel.acknowledged);
      carrier.push(head);
    }
    try {
      await this.#session.unpark?.(path, key);
    } catch (error) {
      this.#options.onUnparked?.(false);
      this.#fault({
        code: 'EXECUTOR_LOST',
        message: `the parked session could not come back: ${messageOf(error) || 'the GPU was lost'}`,
      });
      return;
    }
    if (this.#ended) return;
    this.#options.onUnparked?.(true);
    this.#pause('parked', false);
    if (!socket && !this.#connection) this.#awaitClient(true);
  }

  /** Ends the session for a reason that is not its own. */
  end(end: SessionEnd): void {
    if (this.#ended) return;
    this.#leave(end);
    this.#options.onEnded({ by: 'wish', ...end });
  }

  #connect(socket: Duplex): { carrier: SocketCarrier; connection: Connection } {
    const { welcome, silence = SILENCE, bridged } = this.#options.description;
    const carrier = new SocketCarrier(socket);
    const connection: Connection = new Connection(carrier, {
      channel: this.#channel,
      silence: welcome && silence,
      events: {
        onPacket: (kind) => {
          if (kind === PACKET.bye) this.#bye({ code: 'CLOSED', message: 'the program closed its session' });
          else this.#broken(new ProtocolError(`a packet of kind ${kind} is not allowed in a session`));
        },
        onBroken: (error) => this.#broken(error),
        onGone: () => {
          if (this.#connection === connection) this.#lost(connection);
        },
      },
    });
    // A bridged session passes through the daemon, and shared memory would go past it.
    if (welcome?.compression) connection.use(new FramePacker(welcome.compression.mode));
    else if (!bridged) connection.use(SharedFrames.opening());
    this.#connection = connection;
    return { carrier, connection };
  }

  #lost({ isShared }: Connection): void {
    this.#connection = undefined;
    if (this.#ended) return;
    // A connection between two processes of one machine is never lost: the other process has ended.
    if (isShared) {
      this.#bye({ code: 'DISCONNECTED', message: 'the client ended without closing its session' });
      return;
    }
    this.#awaitClient(this.#attempt > 0 || this.#channel.acknowledged > 0);
  }

  /** Waits for the client to come back. @param isKnown whether it has shown that it knows of the session. */
  #awaitClient(isKnown: boolean): void {
    const { resumeMs: mostMs = 0 } = this.#options.description.welcome ?? {};
    const resumeMs = isKnown ? mostMs : Math.min(mostMs, UNHEARD_MS);
    const message = `the connection was lost, and the client did not come back within ${resumeMs / 1000} seconds`;
    const bye = () => this.#bye({ code: 'DISCONNECTED', message });
    if (resumeMs > 0) this.#away = setTimeout(bye, resumeMs);
    else bye();
  }

  /** The client has ended, or counts as gone. It waits for its connection to close, and for no replies. */
  #bye(why: SessionEnded): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#away);
    this.#report();
    this.#connection?.release();
    this.#options.onEnded({ by: 'wish', ...why });
  }

  #broken(error: Error): void {
    // A failure of this process itself ends the process.
    if (!(error instanceof ProtocolError)) throw error;
    this.#fault({ code: 'PROTOCOL_ERROR', message: brokeProtocol('client', error) });
  }

  #fault(end: Fault): void {
    if (this.#ended) return;
    this.#leave(end, () => this.#options.onEnded({ by: 'fault', ...end }));
  }

  /** Sends `end` behind everything else, and closes the connection. */
  #leave(end: SessionEnd, then?: () => void): void {
    this.#ended = true;
    clearTimeout(this.#away);
    this.#report();
    if (!this.#connection) {
      then?.();
      return;
    }
    const connection = this.#connection;
    const close = () => {
      clearTimeout(timer);
      connection.send(PACKET.end, objectBody(end));
      connection.end(then);
      // Do not wait for a client that reads nothing or never closes.
      setTimeout(() => connection.abort(), LEAVE_MS).unref();
    };
    const timer = setTimeout(close, LEAVE_MS);
    if (this.#channel.attached) this.#channel.whenSent(close);
    else close();
  }

  /** Returns false where the next replies must wait until `drained` is called. */
  #send(frame: Uint8Array): boolean {
    if (this.#ended) return true;
    const traffic = this.#count();
    traffic.framesDown += 1;
    traffic.bytesDown += frame.length;
    const more = this.#channel.send(frame);
    // A program that awaited this reply may send its next command at once.
    if (this.#connection?.isShared) this.#vigil.asked();
    if (!more) {
      this.#isFull = true;
      this.#pause('replies', true);
    }
    return more;
  }

  #pause(why: 'replies' | 'gpu' | 'parked', paused: boolean): void {
    if (paused) this.#pauses.add(why);
    else this.#pauses.delete(why);
    this.#channel.hold(this.#pauses.size > 0);
  }

  #count(): Traffic {
    if (!this.#traffic) {
      this.#traffic = { framesUp: 0, framesDown: 0, bytesUp: 0, bytesDown: 0 };
      setTimeout(() => this.#report(), TRAFFIC_MS).unref();
    }
    return this.#traffic;
  }

  #report(): void {
    if (this.#traffic) this.#options.onTraffic(this.#traffic, this.#session.work);
    this.#traffic = undefined;
  }
}
