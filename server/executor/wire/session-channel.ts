import type { Duplex } from 'node:stream';
import { boundsOf, Channel, type ChannelEvents } from '../../../link/channel/channel.js';
import { Connection } from '../../../link/channel/connection.js';
import { FramePacker } from '../../../link/channel/frame-packer.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { SharedFrames } from '../../../link/near/shared-frames.js';
import { SocketCarrier } from '../../../link/near/socket-carrier.js';
import { Vigil } from '../../../link/near/vigil.js';
import { brokeProtocol, ProtocolError } from '../../../proto/errors.js';
import type { SessionDescription } from '../../../proto/session/executor-messages.js';
import type { Traffic, WorkCounts } from '../../../proto/session/session-counts.js';
import type { SessionEnd, SessionEnded } from '../../../proto/session/session-end.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import { spareFrame } from '../../../proto/wire/memory.js';
import { countBody, objectBody, PACKET } from '../../../proto/wire/packet.js';
import type { SessionEndpoint, SessionPeer } from './endpoint.js';

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
  /** The part of Welcome that only this process knows. */
  opened: object;
  createSession(peer: SessionPeer): SessionEndpoint;
  /** The session's traffic since the last call, and its work so far. */
  onTraffic(traffic: Traffic, work: WorkCounts | undefined): void;
  /** The session has ended, and its client has been told. Comes once, last. */
  onEnded(ending: SessionEnding): void;
}

/** How soon a client is noticed that vanished without a word, in milliseconds. */
const SILENCE = { pingMs: 20_000, deadMs: 60_000 };
/**
 * How long a session waits for a client that has not shown that it knows of the session, in milliseconds. Such a client
 * may have gone before it was welcomed, and then it never comes back.
 */
const UNHEARD_MS = 5000;
/** How long a client may take to receive the last replies, and then the end, in milliseconds. */
const LEAVE_MS = 2000;
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
  /** Why the session gets no commands now: too many replies wait for the client, or the GPU has enough to do. */
  readonly #pauses = new Set<'replies' | 'gpu'>();
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
    const isKnown = this.#attempt > 0 || this.#channel.acknowledged > 0;
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

  #pause(why: 'replies' | 'gpu', paused: boolean): void {
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
