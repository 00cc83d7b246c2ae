import { FarlightError } from '../../proto/errors.js';
import { redact } from '../../proto/token.js';
import { isPin } from '../address/certificate-pin.js';
import { shownHost } from '../address/host-port.js';
import { isLoopback } from '../address/loopback.js';
import { fitsUnixSocket, LONGEST_UNIX_PATH } from '../address/unix-path.js';
import { native } from '../machine/globals.js';
import { badUrl, noUnixSocket, tokenIn, tokenInPlaintext } from './address-errors.js';

export const DEFAULT_PORT = 7070;

const FORMS = `grpc://HOST:PORT, for example grpc://127.0.0.1:${DEFAULT_PORT}, grpcs://TOKEN@HOST:PORT?ca=PIN, or unix:/PATH`;

interface Where {
  readonly scheme: 'grpc' | 'grpcs' | 'unix';
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly pin?: string | undefined;
  readonly uid?: HostUser | undefined;
}

/** The number of the user of this machine who may own the host; `any` accepts every user. */
export type HostUser = number | 'any';

/**
 * Where a host is, how to know it, and the token to show it. The token is in no property: printing an address, or making
 * JSON of it, shows none.
 */
export class HostAddress implements Where {
  /** As a person would write it, without the token and the pin: for messages. */
  readonly url: string;
  /** As gRPC takes it. */
  readonly target: string;
  /** `grpcs` is TLS; the others are plaintext, and never leave this machine. */
  readonly scheme: 'grpc' | 'grpcs' | 'unix';
  /** Without brackets; empty for a unix socket. */
  readonly host: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** The unix socket's; empty otherwise. */
  readonly path: string;
  /** The only key that is trusted (link/address/certificate-pin.ts). Undefined: authorities are trusted. */
  readonly pin: string | undefined;
  /** In plaintext, a user whose programs are trusted beside this user's own and root's (verify-peer.ts). */
  readonly uid: HostUser | undefined;
  readonly #token: string | undefined;

  constructor({ scheme, host, port, path, pin, uid }: Where, token?: string) {
    this.scheme = scheme;
    this.host = host;
    this.port = port;
    this.path = path;
    this.pin = pin;
    this.uid = uid;
    this.target = scheme === 'unix' ? `unix:${path}` : `${shownHost(host)}:${port}`;
    const user = uid === undefined ? '' : `?uid=${uid}`;
    this.url = `${scheme === 'unix' ? '' : `${scheme}://`}${this.target}${user}`;
    this.#token = token;
  }

  /** Proves to the host who we are. Send it only to a verified peer. */
  get token(): string | undefined {
    return this.#token;
  }
}

export interface AddressCapabilities {
  /** Whether the user of the address speaks TLS. Default: false, and then `grpcs` is refused. */
  tls?: boolean;
  /** The system that connects. Default: this one. */
  platform?: NodeJS.Platform;
}

/**
 * Understands a host's address: `grpc://HOST[:PORT]` on this machine, `grpcs://[TOKEN@]HOST[:PORT][?ca=PIN]`, or
 * `unix:/PATH`. The first and the last take `?uid=NUMBER` (or `any`) if the host is another user's.
 *
 * @throws FarlightError BAD_URL for anything else; its sentence has no token in it.
 */
export function parseHostAddress(
  text: string,
  { tls = false, platform = process.platform }: AddressCapabilities = {},
): HostAddress {
  if (text.startsWith('unix:')) {
    const [, path = '', search] = /^unix:(?:\/\/(?=\/))?(\/.*?)(\?uid=\w*)?$/s.exec(text) ?? [];
    if (!path) throw notAnAddress(text);
    if (platform === 'win32') throw noUnixSocket(text);
    if (!fitsUnixSocket(path)) throw pathTooLong(text);
    return new HostAddress({ scheme: 'unix', host: '', port: 0, path, uid: userIn(search, text) });
  }
  const url = parseUrl(text);
  const scheme = url.protocol.slice(0, -1);
  const extras = url.hash || url.password || !/^\/?$/.test(url.pathname) || url.port === '0';
  if ((scheme !== 'grpc' && scheme !== 'grpcs') || !url.hostname || extras) throw notAnAddress(text);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port) || DEFAULT_PORT;
  if (scheme === 'grpc') return plaintext(text, url, host, port);
  if (!tls)
    throw new FarlightError('BAD_URL', `${redact(text)} needs TLS, which is not spoken here; use grpc://`);
  return new HostAddress({ scheme, host, port, path: '', pin: pinIn(url, text) }, tokenIn(url, text));
}

function plaintext(text: string, url: URL, host: string, port: number): HostAddress {
  const uid = url.username ? undefined : userIn(url.search, text);
  const address = new HostAddress({ scheme: 'grpc', host, port, path: '', uid });
  if (url.username) throw tokenInPlaintext('grpc', `grpcs://TOKEN@${address.target}`);
  if (!isLoopback(host)) {
    throw new FarlightError(
      'BAD_URL',
      `${address.url} would be plaintext across the network; write grpcs://TOKEN@${address.target}, ` +
        `or use an ssh tunnel (ssh -L ${port}:127.0.0.1:${port} ${host}) and grpc://127.0.0.1:${port}`,
    );
  }
  return address;
}

function pinIn(url: URL, text: string): string | undefined {
  if (!url.search) return undefined;
  const pin = /^\?ca=([^&]*)$/.exec(url.search)?.[1];
  if (pin === undefined) throw notAnAddress(text);
  if (isPin(pin)) return pin;
  throw new FarlightError(
    'BAD_URL',
    `the ca in "${redact(text)}" is not whole; copy the address as the host printed it, with 43 letters behind ca=`,
  );
}

function userIn(search: string | undefined, text: string): HostUser | undefined {
  if (!search) return undefined;
  const [, uid] = /^\?uid=(\d{1,10}|any)$/.exec(search) ?? [];
  if (uid === undefined) throw notAnAddress(text);
  return uid === 'any' ? uid : Number(uid);
}

function pathTooLong(text: string): FarlightError {
  return new FarlightError(
    'BAD_URL',
    `the path in "${text}" has more than ${LONGEST_UNIX_PATH} bytes, which is the most that a unix socket's can have; name a shorter one`,
  );
}

function parseUrl(text: string): URL {
  try {
    return new native.URL(text);
  } catch {
    throw notAnAddress(text);
  }
}

function notAnAddress(text: string): FarlightError {
  return badUrl(text, FORMS);
}
