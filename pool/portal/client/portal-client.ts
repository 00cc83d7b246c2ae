import { Agent, type IncomingMessage, request } from 'node:http';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { pinOf } from '../../../link/address/certificate-pin.js';
import { knowsUsers, ownUser, userAhead } from '../../../link/address/peer-user.js';
import { clientCertificate } from '../../../link/dial/client-certificate.js';
import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import { native } from '../../../link/machine/globals.js';
import { codeOf, FarlightError, type FarlightErrorCode, messageOf } from '../../../proto/errors.js';
import type { BookingAnswer } from '../view.js';
import type { PortalAddress } from './portal-address.js';

/** How long to wait for a connection, and for an answer, in milliseconds. */
const TIMEOUT_MS = 10_000;
/** The longest answer, in bytes. */
const MOST_BYTES = 16 << 20;

const CODES: Readonly<Record<number, FarlightErrorCode>> = {
  401: 'UNAUTHORIZED',
  403: 'UNAUTHORIZED',
  429: 'BUSY',
};

/** An answer of the portal that is no success. */
export class PortalRefusal extends FarlightError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(CODES[status] ?? (status >= 500 ? 'UNREACHABLE' : 'BAD_OPTION'), message);
    this.status = status;
  }
}

/** A portal that took a request, or a connection, and said nothing in time. */
class SilentPortal extends FarlightError {}

/** How often in a row a program books at a portal that is silent: one that is busy may answer the second time. */
const MOST_SILENT = 2;
/** Codes of connections that a portal with many newcomers cuts off. */
const CUT_OFF = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT']);
/** Node's codes for a certificate that it does not trust. */
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/;
/** How long to go on where a portal has too many newcomers, in milliseconds. */
const NEWCOMER_MS = 120_000;
/** How long to wait in between, at most: twice as long each time, since every attempt cuts off another newcomer. */
const AGAIN_MS = { first: 1000, longest: 16_000 };

/** Asks a portal, over a connection whose other end is verified before anything is sent. */
export class PortalClient {
  readonly address: PortalAddress;
  readonly #agent: Agent;
  readonly #timeoutMs: number;

  /** @param timeoutMs for an answer. */
  constructor(address: PortalAddress, timeoutMs: number = TIMEOUT_MS) {
    this.address = address;
    this.#timeoutMs = timeoutMs;
    this.#agent = new VerifiedAgent(address);
  }

  /**
   * @param timeoutMs for this answer.
   * @throws PortalRefusal; FarlightError UNREACHABLE, UNTRUSTED_HOST (rejects).
   */
  async ask<Answer>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: object,
    timeoutMs: number = this.#timeoutMs,
  ): Promise<Answer> {
    const { status, text } = await this.#send(method, path, body, timeoutMs);
    const json = parsed(text);
    if (status >= 200 && status < 300 && json !== undefined) return json as Answer;
    const { error } = (json ?? {}) as { error?: unknown };
    const sentence = typeof error === 'string' ? error : `status ${status}`;
    if (json === undefined) throw this.#unreachable('what answers is no portal of farlight');
    throw new PortalRefusal(status, `the portal ${this.address.origin} says: ${sentence.slice(0, 1000)}`);
  }

  /**
   * Books a host of a pool. A portal keeps few newcomers at a time, and cuts the others off: hundreds of programs that ask
   * at once come again, at different moments.
   *
   * @throws as `ask` (rejects)
   */
  async book(pool: string, wish: object): Promise<BookingAnswer> {
    const deadline = monotonicNow() + NEWCOMER_MS;
    let silent = 0;
    for (let ms = AGAIN_MS.first; ; ms = Math.min(2 * ms, AGAIN_MS.longest)) {
      try {
        return await this.ask('POST', `/v1/pools/${encodeURIComponent(pool)}/bookings`, wish);
      } catch (error) {
        silent = error instanceof SilentPortal ? silent + 1 : 0;
        if (!isCutOff(error) || silent === MOST_SILENT || monotonicNow() > deadline) throw error;
        await new native.Promise((resolve) => void setTimeout(resolve, ms * Math.random()));
      }
    }
  }

  /** A text, such as a log. @throws as `ask` (rejects) */
  async text(path: string): Promise<string> {
    const { status, text } = await this.#send('GET', path, undefined, this.#timeoutMs);
    if (status === 200) return text;
    const { error } = (parsed(text) ?? {}) as { error?: unknown };
    throw new PortalRefusal(status, `the portal ${this.address.origin} says: ${error ?? `status ${status}`}`);
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(
    method: string,
    path: string,
    body: object | undefined,
    timeoutMs: number,
  ): Promise<{ status: number; text: string }> {
    const { host, port, token, origin } = this.address;
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = {
      host: origin.replace(/^https?:\/\//, ''),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(bytes && { 'content-type': 'application/json', 'content-length': bytes.length }),
    };
    return new native.Promise((resolve, reject) => {
      const sent = request({ agent: this.#agent, host, port, method, path, headers });
      const timer = setTimeout(() => sent.destroy(silence(this.address, 'no answer', timeoutMs)), timeoutMs);
      const done = () => clearTimeout(timer);
      sent.once('error', (error) => {
        done();
        reject(failed(this.address, error));
      });
      sent.once('response', (response) => {
        whole(response).then(
          (text) => {
            done();
            resolve({ status: response.statusCode ?? 0, text });
          },
          (error) => {
            done();
            reject(this.#unreachable(messageOf(error), error));
          },
        );
      });
      sent.end(bytes);
    });
  }

  #unreachable(why: string, cause?: unknown): FarlightError {
    return unreachable(this.address, why, cause);
  }
}

/** Keeps one connection for the next request. */
class VerifiedAgent extends Agent {
  readonly #address: PortalAddress;

  constructor(address: PortalAddress) {
    super({ keepAlive: true });
    this.#address = address;
  }

  override createConnection(_: object, done?: (error: Error | null, socket: Socket) => void): undefined {
    connected(this.#address).then(
      (socket) => done?.(null, socket),
      // Node's types want a socket here, too.
      (error) => done?.(error, undefined as never),
    );
  }
}

/** @throws FarlightError UNREACHABLE, UNTRUSTED_HOST (rejects) */
async function connected(address: PortalAddress): Promise<Socket> {
  const { host, port, isSecure, pin, origin } = address;
  if (!isSecure) {
    const socket = await opened(address, connect({ host, port }), 'connect');
    // A portal that is killed now leaves a connection whose user nobody finds.
    let lost: Error | undefined;
    socket.once('error', (error) => {
      lost = error;
    });
    const user = knowsUsers ? await userAhead(socket) : undefined;
    if (lost) throw failed(address, lost);
    if (socket.destroyed) throw unreachable(address, 'it hung up');
    if (!knowsUsers || user === 'elsewhere' || user === ownUser || user === 0) return socket;
    socket.destroy();
    throw new FarlightError(
      'UNTRUSTED_HOST',
      `another user's program (${user ?? 'unknown'}) listens at ${origin}; ask that user for an address with https, and a token`,
    );
  }
  const certificate = clientCertificate(process.env);
  const secured = connectTls({
    host,
    port,
    // An IP address is no server name (RFC 6066).
    ...(isIP(host) === 0 && { servername: host }),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.3',
    // Node cannot check a pin. It is checked below.
    rejectUnauthorized: pin === undefined,
    ...(certificate && { cert: certificate.cert, key: certificate.key }),
  });
  await opened(address, secured, 'secureConnect');
  const shown = secured.getPeerX509Certificate();
  if (pin === undefined || (shown && pinOf(shown) === pin)) return secured;
  secured.destroy();
  throw new FarlightError(
    'UNTRUSTED_HOST',
    `the key of the portal at ${origin} is not the one in its address (ca=); copy the address as the portal prints it now, if its owner has changed its key`,
  );
}

function opened<T extends Socket | TLSSocket>(
  address: PortalAddress,
  socket: T,
  event: 'connect' | 'secureConnect',
): Promise<T> {
  return new native.Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      clearTimeout(timer);
      socket.off('error', settle);
      if (!error) return resolve(socket);
      // The promise has the first error; later ones of the same socket say nothing new.
      socket.on('error', () => {});
      socket.destroy();
      reject(failed(address, error));
    };
    const timer = setTimeout(() => settle(silence(address, 'nothing answers', TIMEOUT_MS)), TIMEOUT_MS);
    socket.once(event, () => settle());
    socket.once('error', settle);
  });
}

function isCutOff(error: unknown): boolean {
  if (!(error instanceof FarlightError) || error instanceof PortalRefusal || error.code !== 'UNREACHABLE')
    return false;
  return error.cause === undefined || CUT_OFF.has(codeOf(error.cause) ?? '');
}

function failed(address: PortalAddress, error: Error): FarlightError {
  if (error instanceof FarlightError) return error;
  const code = codeOf(error) ?? error.message;
  if (!UNTRUSTED.test(code)) return unreachable(address, code, error);
  const why = `the certificate of the portal at ${address.origin} is not trusted here (${code}); write the address as the portal prints it, with ?ca=`;
  return new FarlightError('UNTRUSTED_HOST', why, { cause: error });
}

function silence({ origin }: PortalAddress, what: string, ms: number): FarlightError {
  const why = `the portal ${origin} is silent (${what} within ${ms / 1000} seconds); see that it runs, and start it again with: farlight pool serve`;
  return new SilentPortal('UNREACHABLE', why);
}

function unreachable({ origin }: PortalAddress, why: string, cause?: unknown): FarlightError {
  const message = `no portal at ${origin} (${why}); start one there with: farlight pool serve`;
  return new FarlightError('UNREACHABLE', message, { cause });
}

async function whole(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    length += chunk.length;
    if (length > MOST_BYTES) throw new Error('its answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parsed(text: string): object | undefined {
  try {
    const json = JSON.parse(text);
    return typeof json === 'object' && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}
