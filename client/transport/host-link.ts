import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { ChannelSocket } from '../../link/channel-socket.js';
import {
  type CompressionMode,
  type CompressionRequest,
  grantedCompression,
  requestCompression,
} from '../../proto/compression.js';
import { brokeProtocol, FarlightError, type FarlightErrorCode, ProtocolError } from '../../proto/errors.js';
import { type Resume, SESSION_END_CODES, type Silence, type Welcome } from '../../proto/handshake.js';
import { LIMITS } from '../../proto/wire/limits.js';
import {
  decodeCount,
  decodeObject,
  encodeObject,
  encodePacket,
  PACKET,
  PREFACE,
} from '../../proto/wire/packet.js';
import { ChannelLink } from './channel-link.js';
import type { ClientCertificate } from './client-certificate.js';
import { explainHangUp } from './hang-up.js';
import { type HostAddress, parseHostAddress } from './host-address.js';
import { openSocket } from './secure-socket.js';
import { noHost, refusedCertificate, silent } from './socket-errors.js';
import type { Hello, Link, LinkEvents, Transport } from './transport.js';

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

export interface HostOptions {
  /** When frames are compressed. Default: auto, where the line is so slow that they arrive sooner. */
  compression?: CompressionMode | 'off' | undefined;
  /** Shown to a host that asks for one. */
  certificate?: ClientCertificate | undefined;
  /** When a host that says nothing is taken for gone. Default: after 30 s, asked every 10 s. */
  silence?: Silence | undefined;
  /** How long a host may take to answer at all, in milliseconds. Default 5 s. */
  connectMs?: number | undefined;
}

/**
 * A transport to a host across the network, in this thread.
 *
 * @throws FarlightError BAD_URL where the address is not one.
 */
export function hostTransport(url: string, options: HostOptions = {}): Transport {
  const address = parseHostAddress(url, { tls: true });
  const { compression = 'auto' } = options;
  // What goes to this machine's own memory gains nothing.
  const wanted = compression !== 'off' && address.scheme !== 'unix';
  const asked = wanted ? requestCompression(compression) : undefined;
  return {
    target: address.url,
    open: (hello, events) => new HostLink(address, options, { ...hello, compression: asked }, events),
  };
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
 * nothing of it has come here yet, so what was sent is sent again, and the host forgets what it began before.
 */
class HostLink implements Link {
  readonly #address: HostAddress;
  readonly #silence: Silence;
  readonly #connectMs: number;
  readonly #certificate: ClientCertificate | undefined;
  readonly #events: LinkEvents;
  readonly #out: ChannelLink;
  readonly #hello: Hello;
  /** Gives up the connection that is being made. */
  #connecting: AbortController | undefined;
  #connection: ChannelSocket | undefined;
  #welcome: Welcome | undefined;
  /** The host has answered on this connection. */
  #reached = false;
  #closing = false;
  #closed = false;
  /** The time after which it is no use to connect again, in milliseconds since 1970. */
  #deadline = 0;
  #retryMs = RETRY_MS.first;
  /** How often it was tried to go on. */
  #attempt = 0;
  /** For the host's answer, for the next attempt, or for the end. */
  #timer: NodeJS.Timeout | undefined;

  constructor(
    address: HostAddress,
    { silence, connectMs, certificate }: HostOptions,
    hello: Hello,
    events: LinkEvents,
  ) {
    this.#address = address;
    this.#silence = silence ?? SILENCE;
    this.#connectMs = connectMs ?? CONNECT_TIMEOUT_MS;
    this.#certificate = certificate;
    this.#events = events;
    this.#hello = { ...hello, key: randomBytes(18).toString('base64url') };
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
    clearTimeout(this.#timer);
    const connection = this.#connection;
    if (!connection) {
      this.#finish(undefined);
      return;
    }
    this.#timer = setTimeout(() => connection.destroy(), CLOSE_TIMEOUT_MS);
    this.#out.channel.whenSent(() => {
      connection.write(encodePacket(PACKET.bye));
      // The host closes its side when it has read that: closed before, the connection might be reset first.
      connection.whenClosed(() => this.#finish(undefined));
      connection.end();
    });
  }

  /** Whoever runs this decides for itself how long it lives. */
  ref(): void {}
  unref(): void {}

  /** Opens a connection, to a peer that is verified where the address asks for that. */
  #connect(then: (socket: Socket) => void): void {
    this.#reached = false;
    const connecting = new AbortController();
    this.#connecting = connecting;
    const options = {
      timeoutMs: this.#connectMs,
      certificate: this.#certificate,
      signal: connecting.signal,
    };
    openSocket(this.#address, options).then(
      (socket) => {
        this.#connecting = undefined;
        // Given up in the same turn in which it was made.
        if (this.#closed) socket.on('error', () => {}).destroy();
        else then(socket);
      },
      (error: Error) => {
        this.#connecting = undefined;
        if (!this.#closed) this.#failed(error);
      },
    );
  }

  /** Asks for a session, whose frames may follow at once. */
  #begin(socket: Socket): void {
    const connection = this.#greet(socket, encodeObject(PACKET.hello, this.#withToken(this.#hello)));
    this.#out.channel.attach(connection, 0);
  }

  /** Goes on with the session. */
  #resume(socket: Socket, { sessionId }: Welcome): void {
    const resume: Resume = { sessionId, taken: this.#out.channel.taken, attempt: this.#attempt };
    this.#greet(socket, encodeObject(PACKET.resume, this.#withToken(resume)));
  }

  /** Says what we want on a connection: the preface and these words. */
  #greet(socket: Socket, words: Uint8Array): ChannelSocket {
    const connection: ChannelSocket = new ChannelSocket(socket, {
      channel: this.#out.channel,
      preface: true,
      silence: this.#silence,
      events: {
        onPreface: () => this.#onReached(),
        onPacket: (kind, body) => this.#receive(connection, kind, body),
        onBroken: (error) => {
          if (this.#connection === connection) this.#finish(this.#explain(error));
        },
        onGone: (why) => {
          if (this.#connection === connection) this.#lost(why);
        },
        onSaved: (bytes, way) => this.#events.onSaved?.(bytes, way === 'sent' ? 'up' : 'down'),
      },
    });
    connection.write(PREFACE);
    connection.write(words);
    if (this.#welcome?.compression) connection.compress(this.#welcome.compression.mode);
    this.#connection = connection;
    this.#timer = setTimeout(() => {
      if (this.#attempt === 0) this.#finish(silent(this.#address, this.#connectMs));
      connection.destroy();
    }, this.#connectMs);
    return connection;
  }

  #onReached(): void {
    this.#reached = true;
    if (!this.#closing) clearTimeout(this.#timer);
  }

  #receive(connection: ChannelSocket, kind: number | undefined, body: Uint8Array): void {
    if (this.#closed) return;
    if (kind === PACKET.welcome && !this.#welcome) {
      this.#welcome = decodeWelcome(body, this.#hello.compression);
      this.#deadline = 0;
      this.#retryMs = RETRY_MS.first;
      this.#out.channel.windowBytes = this.#welcome.windowBytes ?? LIMITS.windowBytes;
      if (this.#welcome.compression) connection.compress(this.#welcome.compression.mode);
      if (!this.#closing) this.#events.onWelcome(this.#welcome);
    } else if (kind === PACKET.resumed && this.#welcome) {
      this.#retryMs = RETRY_MS.first;
      this.#out.channel.attach(connection, decodeCount(body));
    } else if (kind === PACKET.end) {
      this.#finish(decodeEnd(body));
    } else {
      throw new ProtocolError(`a packet of kind ${kind} came where it is not allowed`);
    }
  }

  #lost(why: Error | undefined): void {
    this.#connection = undefined;
    clearTimeout(this.#timer);
    // A host that answers has the session, or says that it has not: its executor may be busy for longer than a
    // connection bears silence, and goes on with the session then.
    if (this.#reached && this.#welcome) this.#deadline = 0;
    if (this.#closing) this.#finish(undefined);
    else if (this.#reached || this.#attempt > 0) this.#comeBack(why);
    else void this.#hungUp(why);
  }

  /** There is no connection. */
  #failed(error: Error): void {
    const reason = error instanceof FarlightError ? error : noHost(this.#address, reasonOf(error));
    // What is not to be trusted now is not asked again: it might be so the next time.
    if (this.#attempt === 0 || reason.code === 'UNTRUSTED_HOST') this.#finish(reason);
    else this.#comeBack(error);
  }

  /** The peer hung up before it said anything, which it is asked about once more. */
  async #hungUp(why: Error | undefined): Promise<void> {
    const refused = why && refusedCertificate(this.#address, why);
    this.#finish(refused ?? (await explainHangUp(this.#address)));
  }

  /** In plaintext nobody is told the token. */
  #withToken<T extends { token?: string | undefined }>(words: T): T {
    const { scheme, token } = this.#address;
    return scheme === 'grpcs' && token !== undefined ? { ...words, token } : words;
  }

  /** Connects again, at once and then at growing intervals. */
  #comeBack(why: Error | undefined): void {
    const now = Date.now();
    const withinMs = this.#welcome?.resumeMs ?? OPENING_MS;
    this.#deadline ||= now + withinMs;
    if (now >= this.#deadline) {
      const { url } = this.#address;
      const seconds = Math.round(withinMs / 1000);
      const message = `the connection to ${url} was lost (${reasonOf(why)}) and not to be had again within ${seconds} seconds; start the program again`;
      this.#finish(new FarlightError('DISCONNECTED', message));
      return;
    }
    const delay = this.#retryMs === RETRY_MS.first ? 0 : this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest);
    this.#timer = setTimeout(() => {
      this.#attempt += 1;
      this.#connect((socket) => {
        if (this.#welcome) this.#resume(socket, this.#welcome);
        else this.#begin(socket);
      });
    }, delay);
  }

  #finish(reason: FarlightError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#connecting?.abort();
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy();
    this.#events.onClose(this.#closing ? undefined : reason);
  }

  #explain(why: Error | undefined): FarlightError {
    const { url } = this.#address;
    if (!this.#reached) return noHost(this.#address);
    if (why instanceof ProtocolError) return new FarlightError('PROTOCOL_ERROR', brokeProtocol('host', why));
    return new FarlightError(
      'DISCONNECTED',
      `the connection to ${url} was lost (${reasonOf(why)}); start the program again`,
    );
  }
}

function reasonOf(why: Error | undefined): string {
  if (!why) return 'the host closed it';
  const underlying = why instanceof FarlightError && why.cause instanceof Error ? why.cause : why;
  return (underlying as NodeJS.ErrnoException).code ?? underlying.message;
}

/** @throws ProtocolError where it is none. */
function decodeWelcome(body: Uint8Array, asked: CompressionRequest | undefined): Welcome {
  const object = decodeObject(body) as unknown as Welcome & { contents?: { filter: string } };
  const welcome = { ...object, compression: grantedCompression(object.compression, asked) };
  const { protocol, version, sessionId, resumeMs, adapter, wgslLanguageFeatures, contents } = welcome;
  const { windowBytes = LIMITS.windowBytes } = welcome;
  const numbers = [protocol, resumeMs, windowBytes].every(Number.isSafeInteger);
  const strings = [version, sessionId, adapter?.name].every((each) => typeof each === 'string');
  if (!numbers || !strings || !Array.isArray(wgslLanguageFeatures)) {
    throw new ProtocolError('Welcome is incomplete');
  }
  if (!contents) return welcome;
  if (typeof contents.filter !== 'string' || !Number.isSafeInteger(contents.largestBytes)) {
    throw new ProtocolError('Welcome is incomplete');
  }
  return { ...welcome, contents: { ...contents, filter: Buffer.from(contents.filter, 'base64') } };
}

function decodeEnd(body: Uint8Array): FarlightError {
  const { code, message } = decodeObject(body);
  const known: FarlightErrorCode = SESSION_END_CODES.find((each) => each === code) ?? 'DISCONNECTED';
  return new FarlightError(known, typeof message === 'string' ? message : 'the host ended the session');
}
