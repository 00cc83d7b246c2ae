import type { Duplex } from 'node:stream';
import { boundsOf, Channel, type ChannelEvents } from '../../../link/channel/channel.js';
import { ChannelSocket } from '../../../link/channel/channel-socket.js';
import { FramePacker } from '../../../link/channel/frame-packer.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { SharedFile } from '../../../link/near/shared-file.js';
import { Vigil } from '../../../link/near/vigil.js';
import { brokeProtocol, ProtocolError } from '../../../proto/errors.js';
import type { SessionDescription, SessionEnd, SessionOver, Traffic } from '../../../proto/handshake.js';
import { HIGH_WATER_BYTES, LIMITS } from '../../../proto/wire/limits.js';
import { spareFrame } from '../../../proto/wire/memory.js';
import { encodeCount, encodeObject, PACKET } from '../../../proto/wire/packet.js';
import type { Work } from '../../../proto/work.js';
import type { SessionEndpoint, SessionPeer } from './endpoint.js';

/** How a session ended: its client or the host's owner wanted it, or the client stayed away; or it cannot go on. */
export type Ending = ({ by: 'wish' } & SessionOver) | ({ by: 'fault' } & Fault);

interface Fault {
  code: 'PROTOCOL_ERROR' | 'EXECUTOR_LOST';
  message: string;
}

export interface CarrierOptions {
  description: SessionDescription;
  /** What of Welcome this process knows. */
  opened: object;
  createSession(peer: SessionPeer): SessionEndpoint;
  /** What it has carried since the last time, and has done so far. */
  onTraffic(traffic: Traffic, work: Work | undefined): void;
  /** The session is over, and its client has been told. Comes once, last. */
  onOver(ending: Ending): void;
}

/** A client that vanished without a word is noticed; in milliseconds. */
const SILENCE = { pingMs: 20_000, deadMs: 60_000 };
/**
 * The longest that a session is kept whose client has not shown that it knows of it, in milliseconds: of one that was
 * gone before it was welcomed nobody comes back.
 */
const UNHEARD_MS = 5000;
/** How long a client may take to receive the replies that come before the end, and then that, in milliseconds. */
const LEAVE_MS = 2000;
/** How often traffic is told of at most, in milliseconds. */
const TRAFFIC_MS = 250;

/**
 * One session in this process: its channel to the client, over connections that may come and go, and its
 * endpoint, which executes what the frames say.
 *
 * States: *connected* (to the client) <-> *away* (the connection is gone, and the client may come back until
 * `timer`) -> *over*; connected -> over.
 */
export class Carrier {
  readonly #options: CarrierOptions;
  readonly #channel: Channel;
  readonly #session: SessionEndpoint;
  /** Bytes of replies that may wait for the client before no more commands are taken. */
  readonly #replyBytes: number;
  readonly #vigil = new Vigil();
  #connection: ChannelSocket | undefined;
  #away: NodeJS.Timeout | undefined;
  #over = false;
  /** The newest of the client's attempts to go on. */
  #attempt = 0;
  /** Why no commands are taken at the moment: too many replies wait for the client, or the GPU is waited for. */
  readonly #holds = new Set<'replies' | 'gpu'>();
  #traffic: Traffic | undefined;

  constructor(options: CarrierOptions) {
    this.#options = options;
    const { replyBytes = HIGH_WATER_BYTES, welcome } = options.description;
    this.#replyBytes = replyBytes;
    const events: ChannelEvents = {
      onFrame: (frame) => {
        this.#vigil.answered();
        const traffic = this.#count();
        traffic.framesUp += 1;
        traffic.bytesUp += frame.length;
        if (!this.#over && this.#session.receive(frame)) spareFrame(frame);
      },
      onTaken: (_bytes, frames) => {
        frames.forEach(spareFrame);
        if (!this.#holds.has('replies') || this.#channel.keptBytes > replyBytes / 2) return;
        this.#session.drained?.();
        this.#hold('replies', this.#channel.keptBytes > replyBytes);
      },
    };
    this.#channel = new Channel(events, boundsOf(welcome?.windowBytes ?? LIMITS.windowBytes));
    this.#session = options.createSession({
      send: (frame) => this.#send(frame),
      end: (code, message) => this.#fault({ code, message }),
      hold: (held) => this.#hold('gpu', held),
    });
  }

  /** What the session's endpoint is, for who retires it. */
  get session(): SessionEndpoint {
    return this.#session;
  }

  /** The session begins on a connection, of which `head` was read already. */
  begin(socket: Duplex, head: Uint8Array): void {
    const { welcome } = this.#options.description;
    const connection = this.#connect(socket);
    if (welcome) {
      const { contents } = welcome;
      const filter = contents && Buffer.from(contents.filter).toString('base64');
      connection.write(
        encodeObject(PACKET.welcome, {
          ...welcome,
          ...this.#options.opened,
          contents: contents && { ...contents, filter },
        }),
      );
    }
    this.#channel.attach(connection, 0);
    connection.push(head);
  }

  /** It goes on on another connection, unless that is an older one than it has. A wrong count ends it. */
  resume(socket: Duplex, head: Uint8Array, { taken, attempt }: { taken: number; attempt: number }): void {
    if (this.#over || attempt <= this.#attempt) {
      socket.destroy();
      return;
    }
    this.#attempt = attempt;
    this.#connection?.release();
    this.#connection?.destroy();
    this.#channel.detach();
    clearTimeout(this.#away);
    const connection = this.#connect(socket);
    connection.write(encodeCount(PACKET.resumed, this.#channel.taken));
    try {
      this.#channel.attach(connection, taken);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // Which of the replies the client has is not known, so it gets none of them.
      this.#broken(error);
      return;
    }
    connection.push(head);
  }

  /** Ends the session for a reason that is not its own. */
  end(end: SessionEnd): void {
    if (this.#over) return;
    this.#leave(end);
    this.#options.onOver({ by: 'wish', ...end });
  }

  #connect(socket: Duplex): ChannelSocket {
    const resumable = this.#options.description.welcome !== undefined;
    const connection = new ChannelSocket(socket, {
      channel: this.#channel,
      silence: resumable ? (this.#options.description.silence ?? SILENCE) : undefined,
      openShared: (name) => SharedFile.open(name),
      mayBeSilent: !this.#options.description.bridged,
      events: {
        onPacket: (kind) => {
          if (kind === PACKET.bye) this.#bye({ code: 'CLOSED', message: 'the program closed it' });
          else this.#broken(new ProtocolError(`a packet of kind ${kind} came within a session`));
        },
        onBroken: (error) => this.#broken(error),
        onGone: () => {
          if (this.#connection === connection) this.#lost(connection);
        },
      },
    });
    const { compression } = this.#options.description.welcome ?? {};
    if (compression) connection.compress(new FramePacker(compression.mode));
    this.#connection = connection;
    return connection;
  }

  #lost({ isShared }: ChannelSocket): void {
    this.#connection = undefined;
    if (this.#over) return;
    // Between two processes of one machine a connection is not lost: the other one is gone.
    if (isShared) {
      this.#bye({ code: 'DISCONNECTED', message: 'its client ended without closing it' });
      return;
    }
    const isKnown = this.#attempt > 0 || this.#channel.acknowledged > 0;
    const { resumeMs: mostMs = 0 } = this.#options.description.welcome ?? {};
    const resumeMs = isKnown ? mostMs : Math.min(mostMs, UNHEARD_MS);
    const message = `the connection was lost, and its client did not come back within ${resumeMs / 1000} seconds`;
    const bye = () => this.#bye({ code: 'DISCONNECTED', message });
    if (resumeMs > 0) this.#away = setTimeout(bye, resumeMs);
    else bye();
  }

  /** The client wants nothing more, or is taken for gone: it waits for its connection to close, and for no replies. */
  #bye(why: SessionOver): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#away);
    this.#report();
    this.#connection?.release();
    this.#connection?.destroy();
    this.#options.onOver({ by: 'wish', ...why });
  }

  #broken(error: Error): void {
    // A failure of this process's own ends it.
    if (!(error instanceof ProtocolError)) throw error;
    this.#fault({ code: 'PROTOCOL_ERROR', message: brokeProtocol('client', error) });
  }

  #fault(end: Fault): void {
    if (this.#over) return;
    this.#leave(end, () => this.#options.onOver({ by: 'fault', ...end }));
  }

  /** Closes the connection, behind what was sent and `end`. */
  #leave(end: SessionEnd, then?: () => void): void {
    this.#over = true;
    clearTimeout(this.#away);
    this.#report();
    if (!this.#connection) {
      then?.();
      return;
    }
    const connection = this.#connection;
    const close = () => {
      clearTimeout(timer);
      connection.write(encodeObject(PACKET.end, end));
      // A client that reads nothing, or never closes, holds nobody up.
      connection.end(then, LEAVE_MS);
    };
    const timer = setTimeout(close, LEAVE_MS);
    if (this.#channel.attached) this.#channel.whenSent(close);
    else close();
  }

  /** Returns false where long replies should wait until the session is told of room. */
  #send(frame: Uint8Array): boolean {
    if (this.#over) return true;
    const traffic = this.#count();
    traffic.framesDown += 1;
    traffic.bytesDown += frame.length;
    this.#channel.send(frame);
    // A program that has awaited this answer may ask the next thing at once.
    if (this.#connection?.isShared) this.#vigil.asked();
    const full = this.#channel.keptBytes > this.#replyBytes;
    if (full) this.#hold('replies', true);
    return !full;
  }

  #hold(why: 'replies' | 'gpu', held: boolean): void {
    if (held) this.#holds.add(why);
    else this.#holds.delete(why);
    this.#channel.hold(this.#holds.size > 0);
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
