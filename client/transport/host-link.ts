import type { Carrier } from '../../link/channel/carrier.js';
import { Channel } from '../../link/channel/channel.js';
import { Connection, type FrameForm } from '../../link/channel/connection.js';
import type { ClientCertificate } from '../../link/dial/client-certificate.js';
import { noHost, silent } from '../../link/dial/socket-errors.js';
import { monotonicNow } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { type Alarm, alarm } from '../../link/machine/timer.js';
import { brokeProtocol, FarlightError, messageOf, ProtocolError } from '../../proto/errors.js';
import { bytesToHex } from '../../proto/hex.js';
import type { CompressionMode } from '../../proto/session/compression.js';
import type { Moved, Resume, Silence, Welcome } from '../../proto/session/handshake.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { decodeCount, NOTHING, objectBody, PACKET } from '../../proto/wire/packet.js';
import { decodeEnd, decodeMoved, decodeWelcome } from './host-packets.js';
import type { TurnedLink } from './near-link.js';
import type { Brought, Hello, Link, LinkEvents } from './transport.js';

/** How long a host may take to answer at all, in milliseconds. Opening its GPU may take longer. */
export const CONNECT_TIMEOUT_MS = 5000;
/** How long a host may take to end a session in good order, in milliseconds, before it is cut off. */
const CLOSE_TIMEOUT_MS = 2000;
/**
 * When a silent host counts as gone, in milliseconds: well before a host gives up a session whose connection it has lost.
 * The two ends may lose a connection at different times. Node sometimes misses a reset of TLS while HTTP/2 is writing, and
 * then only silence shows it.
 */
const SILENCE = { pingMs: 5000, deadMs: 15_000 };
/**
 * How long to try a host again if its connection is lost before Welcome, in milliseconds. Until Welcome the client does
 * not know how long the host keeps sessions.
 */
const OPENING_MS = 10_000;
/** Between two attempts to connect again, in milliseconds; doubles each time. */
const RETRY_MS = { first: 20, longest: 1000 };

/** Errors after which the client does not connect again: another attempt would fail in the same way. */
const FINAL: readonly string[] = ['UNTRUSTED_HOST', 'UNAUTHORIZED', 'VERSION_MISMATCH'];

/** Makes connections to a host. A unix socket, gRPC and a WebSocket each have one. */
export interface Dialer {
  /** The host's address as a person would write it. */
  readonly url: string;
  /** Proves to the host who we are. Only for a carrier that cannot show it before the first packet. */
  readonly token?: string | undefined;
  /**
   * Makes a connection to a verified peer. The link owns the carrier.
   *
   * @param options.session text that is the same for each connection of one session, and no secret.
   * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST, or a system's error (rejects).
   */
  connect(options: { timeoutMs: number; signal: AbortSignal; session: string }): Promise<Carrier>;
  /** Explains why a peer hung up before it sent anything. */
  hungUp(why: Error | undefined): Promise<FarlightError>;
  /** The form of frames that the host's Welcome allows. Absent if they always travel unchanged. */
  form?(welcome: Welcome): FrameForm | undefined;
  /**
   * Makes connections to the host that this one has moved the session to. Absent if the link stays at its host.
   *
   * @throws FarlightError if the address is not one, or is less protected than this host's.
   */
  follow?(moved: Moved): Dialer;
}

export interface LinkOptions {
  /** When a silent host counts as gone. Default: after 15 s, with a ping every 5 s. */
  silence?: Silence | undefined;
  /** How long a host may take for its first sign, in milliseconds. Default 5 s. */
  connectMs?: number | undefined;
}

export interface HostOptions extends LinkOptions {
  /** When frames are compressed. Default: auto, if they arrive sooner for it. */
  compression?: CompressionMode | 'off' | undefined;
  /** Shown to a host that asks for a certificate. */
  certificate?: ClientCertificate | undefined;
}

/**
 * A session's link to a host, over one connection after another.
 *
 * If the connection is lost after the host's first sign and before Welcome, the session starts again on another one. The
 * client has received nothing yet, so it sends everything again, and the host drops its first attempt. The link also
 * tries once more if the host gave no sign at all, since a reset also destroys bytes that arrived and were not read.
 */
export class HostLink implements Link, TurnedLink {
  /** Connects to the host that has the session. */
  #dialer: Dialer;
  readonly #silence: Silence;
  readonly #connectMs: number;
  readonly #events: LinkEvents;
  readonly #hello: Hello;
  /** Not the hello's key: that can end a session, and proxies may log this name. */
  readonly #name = randomKey();
  readonly #channel: Channel;
  /**
   * - *connecting*: on one connection after another, until the host's Welcome. Leaves to *open* by Welcome, to *closing*
   *   by `close` where there is a connection, to *closed* by `close` where there is none, and by `#fail`.
   * - *open*: leaves to *away* when the connection is lost, to *closing* by `close`, to *closed* by `#fail`.
   * - *away*: as *connecting*, until the host's Resumed, which leads to *open*. It fails when the host's time is over.
   * - *closing*: until the host has closed the connection, or is cut off. In both cases to *closed* by `#fail`.
   * - *closed*: `onClose` was called, and nothing follows.
   */
  #state: 'connecting' | 'open' | 'away' | 'closing' | 'closed' = 'connecting';
  /** Gives up the connection that is being made. */
  #dialing: AbortController | undefined;
  #connection: Connection | undefined;
  #welcome: Welcome | undefined;
  /** The host has given a sign on this connection. */
  #isReached = false;
  /** A host has given a sign on this or an earlier connection. */
  #isFound = false;
  /** Until this time, in milliseconds, the link tries to connect again. 0 if no connection was lost. */
  #deadline = 0;
  #retryMs = RETRY_MS.first;
  /** How many further connections were tried. */
  #attempt = 0;
  /** For the host's first sign, the next attempt, or the end. */
  #alarm: Alarm | undefined;

  constructor(
    dialer: Dialer,
    { silence, connectMs }: LinkOptions,
    hello: Hello,
    events: LinkEvents,
    brought?: Brought,
  ) {
    this.#dialer = dialer;
    this.#silence = silence ?? SILENCE;
    this.#connectMs = connectMs ?? CONNECT_TIMEOUT_MS;
    this.#events = events;
    this.#hello = { ...hello, key: randomKey(), parks: true, moves: dialer.follow !== undefined };
    this.#channel = new Channel({
      onFrame: events.onFrame,
      onTaken: events.onTaken,
      onRoom: events.onDrain,
    });
    this.#channel.windowBytes = LIMITS.leastWindowBytes;
    if (brought) {
      const { welcome, attempt } = brought;
      this.#welcome = welcome;
      this.#state = 'away';
      this.#attempt = attempt + 1;
      this.#channel.restore(brought);
      this.#channel.windowBytes = welcome.windowBytes ?? LIMITS.windowBytes;
    }
    this.#dial();
  }

  get underWay(): number {
    return this.#channel.keptBytes;
  }

  get hasRoom(): boolean {
    return this.#channel.hasRoom;
  }

  send(frame: Uint8Array): boolean {
    return this.#isLeaving || this.#channel.send(frame);
  }

  turn(): boolean | undefined {
    return this.#connection?.turn();
  }

  close(): void {
    if (this.#isLeaving) return;
    this.#state = 'closing';
    this.#channel.deafen();
    this.#alarm?.cancel();
    const connection = this.#connection;
    if (!connection) {
      this.#fail(undefined);
      return;
    }
    this.#alarm = alarm(CLOSE_TIMEOUT_MS, () => connection.abort());
    this.#channel.whenSent(() => {
      connection.send(PACKET.bye, NOTHING);
      // The host closes the connection when it has read the bye. If this side closed first, a reset could destroy the bye.
      connection.end();
    });
  }

  /** The thread or page that runs this decides how long it lives. */
  ref(): void {}
  unref(): void {}

  get #isLeaving(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  /** Once a host was found, a connection that brings no sign is taken for a lost one, and another is tried. */
  get #signMs(): number {
    return this.#isFound ? Math.min(this.#connectMs, CONNECT_TIMEOUT_MS) : this.#connectMs;
  }

  #dial(): void {
    this.#isReached = false;
    const dialing = new native.AbortController();
    this.#dialing = dialing;
    this.#dialer
      .connect({ timeoutMs: this.#signMs, signal: dialing.signal, session: this.#name })
      .then(
        (carrier) => {
          this.#dialing = undefined;
          // The link was closed in the same turn.
          if (this.#isLeaving) carrier.abort();
          else this.#greet(carrier);
        },
        (error: Error) => {
          this.#dialing = undefined;
          // A link that was closed while it dialed must not come back.
          if (!this.#isLeaving) this.#unconnected(error);
        },
      )
      .catch((error: unknown) => this.#fail(this.#faultOf(error)));
  }

  /** Asks for a session on a new connection, and sends frames at once; or asks to resume the session. */
  #greet(carrier: Carrier): void {
    const connection: Connection = new Connection(carrier, {
      channel: this.#channel,
      silence: this.#silence,
      events: {
        onReached: () => this.#reached(),
        onPacket: (kind, body) => this.#receive(connection, kind, body),
        onBroken: (error) => this.#fail(this.#faultOf(error)),
        onGone: (why) => {
          if (this.#connection === connection) this.#lost(why);
        },
        onSaved: (bytes, way) => this.#events.onSaved?.(bytes, way === 'sent' ? 'up' : 'down'),
      },
    });
    this.#connection = connection;
    const { token } = this.#dialer;
    if (this.#welcome) {
      const { sessionId } = this.#welcome;
      const resume: Resume = { sessionId, taken: this.#channel.taken, attempt: this.#attempt };
      connection.send(PACKET.resume, objectBody({ ...resume, token }));
      this.#useForm(connection, this.#welcome);
    } else {
      connection.send(PACKET.hello, objectBody({ ...this.#hello, token }));
      this.#channel.attach(connection, 0);
    }
    const signMs = this.#signMs;
    this.#alarm = alarm(signMs, () => {
      if (!this.#isFound) this.#fail(silent(this.#dialer, signMs));
      connection.abort();
    });
  }

  #useForm(connection: Connection, welcome: Welcome): void {
    const form = this.#dialer.form?.(welcome);
    if (form) connection.use(form);
  }

  #reached(): void {
    this.#isReached = true;
    this.#isFound = true;
    if (!this.#isLeaving) this.#alarm?.cancel();
  }

  #receive(connection: Connection, kind: number | undefined, body: Uint8Array): void {
    if (this.#state === 'closed') return;
    if (kind === PACKET.welcome && !this.#welcome) {
      const welcome = decodeWelcome(body, this.#hello.compression);
      this.#welcome = welcome;
      this.#goOn();
      this.#channel.windowBytes = welcome.windowBytes ?? LIMITS.windowBytes;
      this.#useForm(connection, welcome);
      if (!this.#isLeaving) this.#events.onWelcome(welcome);
    } else if (kind === PACKET.resumed && this.#welcome) {
      this.#goOn();
      this.#channel.attach(connection, decodeCount(body));
    } else if (kind === PACKET.moved && this.#welcome && this.#dialer.follow) {
      this.#follow(connection, this.#welcome, decodeMoved(body));
    } else if (kind === PACKET.end) {
      this.#fail(decodeEnd(body));
    } else {
      throw new ProtocolError(`a packet of kind ${kind} came where it is not allowed`);
    }
  }

  /** The session continues on this connection. */
  #goOn(): void {
    if (this.#state !== 'closing') this.#state = 'open';
    this.#deadline = 0;
    this.#retryMs = RETRY_MS.first;
  }

  /** Another host has the session. It gets the frames that this one has not taken. */
  #follow(connection: Connection, welcome: Welcome, moved: Moved): void {
    // First: the channel reads placed frames back from the connection's shared memory.
    this.#channel.detach();
    connection.release();
    this.#connection = undefined;
    this.#alarm?.cancel();
    if (this.#isLeaving) {
      this.#fail(undefined);
      return;
    }
    try {
      this.#dialer = this.#dialer.follow?.(moved) ?? this.#dialer;
    } catch (error) {
      const why = `its host moved it to another one, which cannot be used: ${messageOf(error)}`;
      this.#fail(new FarlightError('DISCONNECTED', `the session cannot go on, since ${why}`));
      return;
    }
    this.#welcome = { ...welcome, sessionId: moved.sessionId };
    this.#deadline = 0;
    this.#retryMs = RETRY_MS.first;
    this.#comeBack(undefined);
  }

  #lost(why: Error | undefined): void {
    this.#connection = undefined;
    this.#alarm?.cancel();
    // A host that gives a sign still has the session, or it will say that it has not. Its executor may just be busy.
    if (this.#isReached && this.#welcome) this.#deadline = 0;
    if (this.#isLeaving) this.#fail(undefined);
    // Acknowledged frames cannot be sent again, and a session without Welcome cannot resume.
    else if (!this.#welcome && this.#channel.acknowledged > 0)
      this.#fail(this.#faultOf(new ProtocolError('frames were taken before Welcome')));
    else if (!this.#isReached && why instanceof FarlightError) this.#unconnected(why);
    // A reset may have destroyed the host's first sign, so the link tries once more.
    else if (this.#isFound || this.#attempt === 0) this.#comeBack(why);
    else this.#hungUp(why);
  }

  /** No connection was made. */
  #unconnected(error: Error): void {
    const reason = error instanceof FarlightError ? error : noHost(this.#dialer, reasonOf(error));
    // Never try again after a refusal or a failed verification: the next peer might pass by chance.
    if (!this.#isFound || FINAL.includes(reason.code)) this.#fail(reason);
    else this.#comeBack(error);
  }

  /** The peer hung up each time before it sent anything. The dialer finds out why. */
  #hungUp(why: Error | undefined): void {
    this.#dialer
      .hungUp(why)
      .catch(() => noHost(this.#dialer, reasonOf(why)))
      .then((reason) => this.#fail(reason));
  }

  /** Connects again: at once, and then at growing intervals. */
  #comeBack(why: Error | undefined): void {
    if (this.#welcome) this.#state = 'away';
    const now = monotonicNow();
    const withinMs = this.#welcome?.resumeMs ?? OPENING_MS;
    this.#deadline ||= now + withinMs;
    if (now >= this.#deadline) {
      const { url } = this.#dialer;
      const seconds = Math.round(withinMs / 1000);
      const message = `the connection to ${url} was lost (${reasonOf(why)}) and not to be had again within ${seconds} seconds; start the program again`;
      this.#fail(new FarlightError('DISCONNECTED', message));
      return;
    }
    const delay = this.#retryMs === RETRY_MS.first ? 0 : this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS.longest);
    this.#alarm = alarm(delay, () => {
      this.#attempt += 1;
      this.#dial();
    });
  }

  /** The only way to *closed*. If the program closed the link, no reason is passed on. */
  #fail(reason: FarlightError | undefined): void {
    if (this.#state === 'closed') return;
    const wasClosing = this.#state === 'closing';
    this.#state = 'closed';
    this.#alarm?.cancel();
    this.#dialing?.abort();
    this.#connection?.release();
    this.#connection = undefined;
    this.#events.onClose(wasClosing ? undefined : reason);
  }

  /** The peer broke the protocol. If it did so before its first sign, it is no Farlight host. */
  #faultOf(error: unknown): FarlightError {
    if (!(error instanceof ProtocolError)) {
      const message = `the connection to ${this.#dialer.url} cannot go on here: ${messageOf(error)}`;
      return new FarlightError('DISCONNECTED', message, { cause: error });
    }
    if (!this.#isReached) return noHost(this.#dialer);
    return new FarlightError('PROTOCOL_ERROR', brokeProtocol('host', error));
  }
}

function reasonOf(why: Error | undefined): string {
  if (!why) return 'the host closed it';
  const underlying: unknown = (why instanceof FarlightError && why.cause) || why;
  return (underlying as { code?: string }).code ?? messageOf(underlying);
}

/** Text that nobody can guess. */
function randomKey(): string {
  return bytesToHex(native.crypto.getRandomValues(new Uint8Array(16)));
}
