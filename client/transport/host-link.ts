import { connect, type Socket } from 'node:net';
import { ChannelSocket } from '../../link/channel-socket.js';
import { FarlightError, type FarlightErrorCode, ProtocolError } from '../../proto/errors.js';
import { SESSION_END_CODES, type Silence, type Welcome } from '../../proto/handshake.js';
import {
  decodeCount,
  decodeObject,
  encodeObject,
  encodePacket,
  PACKET,
  PREFACE,
} from '../../proto/wire/packet.js';
import { ChannelLink } from './channel-link.js';
import { type HostAddress, parseHostAddress } from './host-address.js';
import type { Hello, Link, LinkEvents, Transport } from './transport.js';

/** How long a host may take to answer at all, in milliseconds. Opening its GPU may take longer. */
export const CONNECT_TIMEOUT_MS = 5000;
/** How long a host may take to end a session in good order, in milliseconds, before it is cut off. */
const CLOSE_TIMEOUT_MS = 2000;
/** A host that vanished without a word is noticed; in milliseconds. */
const SILENCE = { pingMs: 10_000, deadMs: 30_000 };
/** Between two attempts to connect again, in milliseconds; doubles each time. */
const RETRY_MS = { first: 20, longest: 1000 };

export interface HostOptions {
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
  const address = parseHostAddress(url);
  return {
    target: address.url,
    open: (hello, events) => new HostLink(address, options, hello, events),
  };
}

/**
 * States: *connecting* -> *reached* (the host answered, and may still be opening its GPU) -> *open* (after
 * Welcome) <-> *away* (the connection was lost, and another is tried) -> *closing* (by `close`) -> *closed*.
 * Each leads to *closed* too: by the host's SessionEnd, by a lost connection before Welcome, or when the host
 * could not be reached again in time.
 */
class HostLink implements Link {
  readonly #address: HostAddress;
  readonly #silence: Silence;
  readonly #connectMs: number;
  readonly #events: LinkEvents;
  readonly #out: ChannelLink;
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

  constructor(address: HostAddress, { silence, connectMs }: HostOptions, hello: Hello, events: LinkEvents) {
    this.#address = address;
    this.#silence = silence ?? SILENCE;
    this.#connectMs = connectMs ?? CONNECT_TIMEOUT_MS;
    this.#events = events;
    this.#out = new ChannelLink(events, () => !this.#closing && !this.#closed);
    const connection = this.#connect(encodeObject(PACKET.hello, hello));
    this.#out.channel.attach(connection, 0);
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
      // Read on until the host closes it: a reset, on which replies under way would run, outruns the word.
      this.#connection = undefined;
      connection.end(() => this.#finish(undefined), CLOSE_TIMEOUT_MS);
    });
  }

  /** Whoever runs this decides for itself how long it lives. */
  ref(): void {}
  unref(): void {}

  /** Opens a connection that begins with these words. */
  #connect(words: Uint8Array): ChannelSocket {
    this.#reached = false;
    const socket = openSocket(this.#address);
    socket.write(PREFACE);
    socket.write(words);
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
      },
    });
    this.#connection = connection;
    this.#timer = setTimeout(() => {
      const late = new FarlightError('UNREACHABLE', this.#silent());
      if (!this.#welcome) this.#finish(late);
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
      this.#welcome = decodeWelcome(body);
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
    if (this.#reached) this.#deadline = 0;
    if (this.#closing) this.#finish(undefined);
    else if (!this.#welcome) this.#finish(this.#explain(why));
    else this.#comeBack(why, this.#welcome);
  }

  /** Connects again, at once and then at growing intervals. */
  #comeBack(why: Error | undefined, { sessionId, resumeMs }: Welcome): void {
    const now = Date.now();
    this.#deadline ||= now + resumeMs;
    if (now >= this.#deadline) {
      const { url } = this.#address;
      const seconds = Math.round(resumeMs / 1000);
      const message = `the connection to ${url} was lost (${reasonOf(why)}) and not to be had again within ${seconds} seconds; start the program again`;
      this.#finish(new FarlightError('DISCONNECTED', message));
      return;
    }
    const delay = this.#retryMs === RETRY_MS.first ? 0 : this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest);
    this.#timer = setTimeout(() => {
      this.#attempt += 1;
      const { taken } = this.#out.channel;
      this.#connect(encodeObject(PACKET.resume, { sessionId, taken, attempt: this.#attempt }));
    }, delay);
  }

  #finish(reason: FarlightError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy();
    this.#events.onClose(this.#closing ? undefined : reason);
  }

  #silent(): string {
    return `nothing answers at ${this.#address.url} within ${this.#connectMs / 1000} seconds; start a host there with: farlight serve`;
  }

  #explain(why: Error | undefined): FarlightError {
    const { url } = this.#address;
    if (this.#reached && why instanceof ProtocolError)
      return new FarlightError('PROTOCOL_ERROR', broken(why));
    if (this.#reached) {
      return new FarlightError(
        'DISCONNECTED',
        `the connection to ${url} was lost (${reasonOf(why)}); start the program again`,
      );
    }
    return unreachable(url, why instanceof ProtocolError || !why ? undefined : reasonOf(why));
  }
}

/** The error for a host that could not be reached; without a reason, what answers is something else. */
export function unreachable(url: string, reason = 'what answers is not a farlight host'): FarlightError {
  return new FarlightError(
    'UNREACHABLE',
    `no farlight host at ${url} (${reason}); start one there with: farlight serve`,
  );
}

function openSocket({ target }: HostAddress): Socket {
  if (target.startsWith('unix:')) return connect(target.slice('unix:'.length));
  const { hostname, port } = new URL(`tcp://${target}`);
  return connect({ host: hostname.replace(/[[\]]/g, ''), port: Number(port), noDelay: true });
}

function reasonOf(why: Error | undefined): string {
  if (!why) return 'the host closed it';
  return (why as NodeJS.ErrnoException).code ?? why.message;
}

function broken({ message }: ProtocolError): string {
  return `The host sent what the protocol does not allow: ${message}.`;
}

/** @throws ProtocolError where it is none. */
function decodeWelcome(body: Uint8Array): Welcome {
  const welcome = decodeObject(body) as unknown as Welcome & { contents?: { filter: string } };
  const { protocol, version, sessionId, resumeMs, adapter, wgslLanguageFeatures, contents } = welcome;
  const numbers = Number.isSafeInteger(protocol) && Number.isSafeInteger(resumeMs);
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
