import type { ByteStream } from '../../link/channel/byte-stream.js';
import { ChannelSocket } from '../../link/channel/channel-socket.js';
import type { FramePacker } from '../../link/channel/frame-packer.js';
import { monotonicNow } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { type Alarm, alarm } from '../../link/machine/timer.js';
import type { SharedFile } from '../../link/near/shared-file.js';
import type { CompressionMode } from '../../proto/compression.js';
import { brokeProtocol, FarlightError, messageOf, ProtocolError } from '../../proto/errors.js';
import type { Resume, Silence, Welcome } from '../../proto/handshake.js';
import { bytesToHex } from '../../proto/hex.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { decodeCount, encodeObject, encodePacket, PACKET, PREFACE } from '../../proto/wire/packet.js';
import { ChannelLink } from './channel-link.js';
import { noHost, silent } from './host/socket-errors.js';
import { decodeEnd, decodeWelcome } from './host-words.js';
import type { Hello, Link, LinkEvents } from './transport.js';

/** How long a host may take to answer at all, in milliseconds. Opening its GPU may take longer. */
export const CONNECT_TIMEOUT_MS = 5000;
/** How long a host may take to end a session in good order, in milliseconds, before it is cut off. */
const CLOSE_TIMEOUT_MS = 2000;
/** A host that vanished without a word is noticed; in milliseconds. */
const SILENCE = { pingMs: 10_000, deadMs: 30_000 };
/**
 * How long a host is tried whose connection was lost before it welcomed us, in milliseconds: how long it keeps sessions
 * is not known then.
 */
const OPENING_MS = 10_000;
/** Between two attempts to connect again, in milliseconds; doubles each time. */
const RETRY_MS = { first: 20, longest: 1000 };

/** What is so for good, or might be so the next time: it is not tried again. */
const FINAL: readonly string[] = ['UNTRUSTED_HOST', 'UNAUTHORIZED', 'VERSION_MISMATCH'];

/** The way to a host: what a link over a socket and one over a WebSocket have each of its own. */
export interface Dialer {
  /** The host's address as a person would write it. */
  readonly url: string;
  /** What shows the host who we are; undefined where a connection is not one to say it on. */
  readonly token: string | undefined;
  /**
   * Opens a connection, to a peer that is verified where the address asks for that. The link owns it.
   *
   * @param options.session text that is the same for each connection of one session, and no secret.
   * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST, or a system's error (rejects).
   */
  connect(options: { timeoutMs: number; signal: AbortSignal; session: string }): Promise<ByteStream>;
  /** Why a peer hung up before it said anything. */
  hungUp(why: Error | undefined): Promise<FarlightError>;
  /** What packs frames; absent where none is asked for. */
  packer?(mode: CompressionMode): FramePacker;
  /** Makes what long frames lie in where the host is on this machine for certain; absent where it never is. */
  makeShared?(): SharedFile | undefined;
}

export interface LinkOptions {
  /** When a host that says nothing is taken for gone. Default: after 30 s, asked every 10 s. */
  silence?: Silence | undefined;
  /** How long a host may take to answer at all, in milliseconds. Default 5 s. */
  connectMs?: number | undefined;
}

/**
 * States: *connecting* (until the peer is verified, where that is asked for; what is sent is kept) -> *greeted* (it
 * was told what we want) -> *reached* (the host answered, and may still be opening its GPU) -> *open* (after
 * Welcome) <-> *away* (the connection was lost, and another is tried: connecting, greeted, reached) -> *closing*
 * (by `close`) -> *closed*. Each leads to *closed* too: by `close` where nothing is connected, by the host's
 * SessionEnd, by a peer that is not to be trusted, or when the host could not be reached, for the first time at all or
 * again in time.
 *
 * Where a connection is lost on which the host has answered, and not welcomed us, the session begins anew on another:
 * nothing of it has come here yet, so what was sent is sent again, and the host forgets what it began before. So it does
 * once where the connection is lost and nothing was heard on it, since a reset also takes what had arrived and was not
 * read.
 */
export class HostLink implements Link {
  readonly #dialer: Dialer;
  readonly #silence: Silence;
  readonly #connectMs: number;
  readonly #events: LinkEvents;
  readonly #out: ChannelLink;
  readonly #hello: Hello;
  /** Another text than the hello's key, which ends a session that has the same: proxies may write this one down. */
  readonly #name = randomKey();
  /** Gives up the connection that is being made. */
  #connecting: AbortController | undefined;
  #connection: ChannelSocket | undefined;
  #welcome: Welcome | undefined;
  /** The host has answered on this connection. */
  #reached = false;
  /** A host has answered at all: on this connection or on one before. */
  #found = false;
  #closing = false;
  #closed = false;
  /** The time after which it is no use to connect again, in milliseconds since 1970. */
  #deadline = 0;
  #retryMs = RETRY_MS.first;
  /** How often it was tried to go on. */
  #attempt = 0;
  /** For the host's answer, for the next attempt, or for the end. */
  #alarm: Alarm | undefined;

  constructor(dialer: Dialer, { silence, connectMs }: LinkOptions, hello: Hello, events: LinkEvents) {
    this.#dialer = dialer;
    this.#silence = silence ?? SILENCE;
    this.#connectMs = connectMs ?? CONNECT_TIMEOUT_MS;
    this.#events = events;
    this.#hello = { ...hello, key: randomKey() };
    this.#out = new ChannelLink(events, () => !this.#closing && !this.#closed);
    this.#out.channel.windowBytes = LIMITS.leastWindowBytes;
    this.#connect((socket) => this.#begin(socket));
  }

  send(frame: Uint8Array): boolean {
    if (this.#closing || this.#closed) return true;
    return this.#out.send(frame);
  }

  close(): void {
    if (this.#closing || this.#closed) return;
    this.#closing = true;
    this.#alarm?.cancel();
    const connection = this.#connection;
    if (!connection) {
      this.#finish(undefined);
      return;
    }
    this.#alarm = alarm(CLOSE_TIMEOUT_MS, () => connection.destroy());
    this.#out.channel.whenSent(() => {
      connection.write(encodePacket(PACKET.bye));
      // The host closes its side when it has read that: closed before, the connection might be reset first.
      connection.whenClosed(() => this.#finish(undefined));
      connection.end();
    });
  }

  /** The bytes that the host has not taken. */
  get underWay(): number {
    return this.#out.channel.keptBytes;
  }

  /** Goes on without the event loop; see ByteStream. */
  turn(): boolean | undefined {
    return this.#connection?.turn();
  }

  /** Whoever runs this decides for itself how long it lives. */
  ref(): void {}
  unref(): void {}

  #connect(then: (socket: ByteStream) => void): void {
    this.#reached = false;
    const connecting = new native.AbortController();
    this.#connecting = connecting;
    this.#dialer
      .connect({ timeoutMs: this.#connectMs, signal: connecting.signal, session: this.#name })
      .then(
        (socket) => {
          this.#connecting = undefined;
          // Given up in the same turn in which it was made.
          if (this.#closed) giveUp(socket);
          else then(socket);
        },
        (error: Error) => {
          this.#connecting = undefined;
          if (!this.#closed) this.#failed(error);
        },
      )
      .catch((error: unknown) => this.#finish(this.#broken(error)));
  }

  /** Asks for a session, whose frames may follow at once. */
  #begin(socket: ByteStream): void {
    const connection = this.#greet(socket, encodeObject(PACKET.hello, this.#withToken(this.#hello)));
    this.#out.channel.attach(connection, 0);
  }

  /** Goes on with the session. */
  #resume(socket: ByteStream, { sessionId }: Welcome): void {
    const resume: Resume = { sessionId, taken: this.#out.channel.taken, attempt: this.#attempt };
    this.#greet(socket, encodeObject(PACKET.resume, this.#withToken(resume)));
  }

  /** Says what we want on a connection: the preface and these words. */
  #greet(socket: ByteStream, words: Uint8Array): ChannelSocket {
    const connection: ChannelSocket = new ChannelSocket(socket, {
      channel: this.#out.channel,
      preface: true,
      silence: this.#silence,
      events: {
        onPreface: () => this.#onReached(),
        onPacket: (kind, body) => this.#receive(connection, kind, body),
        onBroken: (error) => {
          if (this.#connection === connection) this.#finish(this.#broken(error));
        },
        onGone: (why) => {
          if (this.#connection === connection) this.#lost(why);
        },
        onSaved: (bytes, way) => this.#events.onSaved?.(bytes, way === 'sent' ? 'up' : 'down'),
      },
    });
    connection.write(PREFACE);
    connection.write(words);
    this.#compress(connection);
    this.#connection = connection;
    this.#alarm = alarm(this.#connectMs, () => {
      if (!this.#found) this.#finish(silent(this.#dialer, this.#connectMs));
      connection.destroy();
    });
    return connection;
  }

  #compress(connection: ChannelSocket): void {
    const { mode } = this.#welcome?.compression ?? {};
    if (mode && this.#dialer.packer) connection.compress(this.#dialer.packer(mode));
  }

  #offer(connection: ChannelSocket): void {
    const { makeShared } = this.#dialer;
    if (this.#welcome?.sharedFile && connection.isNear && makeShared) connection.offer(makeShared());
  }

  #onReached(): void {
    this.#reached = true;
    this.#found = true;
    if (!this.#closing) this.#alarm?.cancel();
  }

  #receive(connection: ChannelSocket, kind: number | undefined, body: Uint8Array): void {
    if (this.#closed) return;
    if (kind === PACKET.welcome && !this.#welcome) {
      this.#welcome = decodeWelcome(body, this.#hello.compression);
      this.#deadline = 0;
      this.#retryMs = RETRY_MS.first;
      this.#out.channel.windowBytes = this.#welcome.windowBytes ?? LIMITS.windowBytes;
      this.#compress(connection);
      this.#offer(connection);
      if (!this.#closing) this.#events.onWelcome(this.#welcome);
    } else if (kind === PACKET.resumed && this.#welcome) {
      this.#retryMs = RETRY_MS.first;
      this.#offer(connection);
      this.#out.channel.attach(connection, decodeCount(body));
    } else if (kind === PACKET.end) {
      this.#finish(decodeEnd(body));
    } else {
      throw new ProtocolError(`a packet of kind ${kind} came where it is not allowed`);
    }
  }

  #lost(why: Error | undefined): void {
    this.#connection = undefined;
    this.#alarm?.cancel();
    // A host that answers has the session, or says that it has not: its executor may be busy for longer than a
    // connection bears silence, and goes on with the session then.
    if (this.#reached && this.#welcome) this.#deadline = 0;
    if (this.#closing) this.#finish(undefined);
    // Frames that a host has taken cannot be sent again, and a session without Welcome cannot go on.
    else if (!this.#welcome && this.#out.channel.acknowledged > 0)
      this.#finish(this.#broken(new ProtocolError('frames were taken before Welcome')));
    else if (!this.#reached && why instanceof FarlightError) this.#failed(why);
    // A reset takes along what the host had said: it is asked once more before it is taken for something else.
    else if (this.#found || this.#attempt === 0) this.#comeBack(why);
    else this.#hungUp(why);
  }

  /** There is no connection. */
  #failed(error: Error): void {
    const reason = error instanceof FarlightError ? error : noHost(this.#dialer, reasonOf(error));
    // What is not to be trusted now is not asked again: it might be so the next time.
    if (!this.#found || FINAL.includes(reason.code)) this.#finish(reason);
    else this.#comeBack(error);
  }

  /** The peer hung up before it said anything, each time: why, it is asked in another way. */
  #hungUp(why: Error | undefined): void {
    this.#dialer
      .hungUp(why)
      .catch(() => noHost(this.#dialer, reasonOf(why)))
      .then((reason) => this.#finish(reason));
  }

  #withToken<T extends { token?: string | undefined }>(words: T): T {
    const { token } = this.#dialer;
    return token === undefined ? words : { ...words, token };
  }

  /** Connects again, at once and then at growing intervals. */
  #comeBack(why: Error | undefined): void {
    const now = monotonicNow();
    const withinMs = this.#welcome?.resumeMs ?? OPENING_MS;
    this.#deadline ||= now + withinMs;
    if (now >= this.#deadline) {
      const { url } = this.#dialer;
      const seconds = Math.round(withinMs / 1000);
      const message = `the connection to ${url} was lost (${reasonOf(why)}) and not to be had again within ${seconds} seconds; start the program again`;
      this.#finish(new FarlightError('DISCONNECTED', message));
      return;
    }
    const delay = this.#retryMs === RETRY_MS.first ? 0 : this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest);
    this.#alarm = alarm(delay, () => {
      this.#attempt += 1;
      this.#connect((socket) => {
        if (this.#welcome) this.#resume(socket, this.#welcome);
        else this.#begin(socket);
      });
    });
  }

  #finish(reason: FarlightError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#alarm?.cancel();
    this.#connecting?.abort();
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy();
    this.#events.onClose(this.#closing ? undefined : reason);
  }

  /** What answers breaks the protocol; where it does from the first byte on, it is something else than a host. */
  #broken(error: unknown): FarlightError {
    if (!(error instanceof ProtocolError)) {
      const message = `the connection to ${this.#dialer.url} cannot go on here: ${messageOf(error)}`;
      return new FarlightError('DISCONNECTED', message, { cause: error });
    }
    if (!this.#reached) return noHost(this.#dialer);
    return new FarlightError('PROTOCOL_ERROR', brokeProtocol('host', error));
  }
}

function reasonOf(why: Error | undefined): string {
  if (!why) return 'the host closed it';
  const underlying: unknown = (why instanceof FarlightError && why.cause) || why;
  return (underlying as { code?: string }).code ?? messageOf(underlying);
}

/** Text that nobody guesses. */
function randomKey(): string {
  return bytesToHex(native.crypto.getRandomValues(new Uint8Array(16)));
}

/** Closes a connection that nobody wants any more, whatever becomes of it. */
function giveUp(socket: ByteStream): void {
  socket.on('error', () => {});
  socket.destroy();
}
