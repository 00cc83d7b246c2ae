import { parseHostPort, shownHost } from '../../link/address/host-port.js';
import { isLoopback } from '../../link/address/loopback.js';
import { fitsUnixSocket, LONGEST_UNIX_PATH } from '../../link/address/unix-path.js';
import { FarlightError } from '../../proto/errors.js';

export const DEFAULT_LISTEN = '127.0.0.1:7070';

/** The address at which a daemon listens. */
export interface ListenAddress {
  /** The address in gRPC's form. */
  target: string;
  /** Whether the host speaks TLS here: always, where other machines can connect. */
  tls: boolean;
  /** The host to bind, without brackets; empty for a unix socket. */
  host: string;
  /** The port to bind, 0 for any free one. */
  port: number;
  /** The unix socket's path. */
  path?: string;
  /**
   * The address that clients use, once the port is bound.
   *
   * @param pin the certificate's, where clients need it.
   * @param host the host's name for clients, where it differs from the bound one.
   */
  url(port: number, pin?: string, host?: string): string;
}

export interface ListenCapabilities {
  /** Whether TLS is available. Default: false, and addresses that need it are an error. */
  tls?: boolean;
  /** Whether clients must show a token even on loopback. They show one only inside TLS. Default: false. */
  requireToken?: boolean | undefined;
  /** The system that listens. Default: this one. */
  platform?: NodeJS.Platform | undefined;
}

/**
 * Parses --listen: `HOST:PORT` (port 0: any free one), `grpcs://HOST:PORT` or `unix:/PATH`. `HOST:PORT` is plaintext on
 * loopback without tokens, and TLS otherwise. `grpcs://` is TLS on loopback too.
 *
 * @throws FarlightError BAD_OPTION for anything else.
 */
export function parseListenAddress(
  text: string,
  { tls = false, requireToken = false, platform = process.platform }: ListenCapabilities = {},
): ListenAddress {
  if (text.startsWith('unix:')) {
    const path = text.replace(/^unix:(\/\/(?=\/))?/, '');
    if (!path.startsWith('/')) throw badListen(text);
    if (platform === 'win32') throw noUnixSocket(text);
    if (requireToken) throw noToken(text);
    if (!fitsUnixSocket(path)) throw pathTooLong(text);
    return { target: `unix:${path}`, tls: false, host: '', port: 0, path, url: () => `unix:${path}` };
  }
  const address = parseHostPort(text);
  if (!address || !/^(grpcs?)?$/i.test(address.scheme)) throw badListen(text);
  const { scheme, named, host, port } = address;
  const secure = scheme.toLowerCase() === 'grpcs' || (scheme === '' && (requireToken || !isLoopback(host)));
  if (!secure && !isLoopback(host)) {
    throw new FarlightError(
      'BAD_OPTION',
      `${named} is not a loopback address, and others could read the plaintext of grpc:// there; write grpcs://${named}:${port}`,
    );
  }
  if (requireToken && !secure) throw noToken(text);
  if (secure && !tls) throw plaintextOnly(named, port);
  return {
    target: `${named}:${port}`,
    tls: secure,
    host,
    port,
    url(bound, pin, known = host) {
      return `${secure ? 'grpcs' : 'grpc'}://${shownHost(known)}:${bound}${pin && secure ? `?ca=${pin}` : ''}`;
    },
  };
}

function noUnixSocket(text: string): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `${text} is a unix socket, which Node does not have on Windows; listen on ${DEFAULT_LISTEN}`,
  );
}

function pathTooLong(text: string): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `the path in ${text} is longer than the ${LONGEST_UNIX_PATH} bytes that a unix socket allows; name a shorter one`,
  );
}

function noToken(text: string): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `clients show no token at ${text}, which is plaintext; with --require-token write --listen grpcs://127.0.0.1:PORT`,
  );
}

function plaintextOnly(named: string, port: number): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `${named} is not a loopback address, and farlight does not listen in plaintext on any other; ` +
      `listen on 127.0.0.1:${port} and reach it from elsewhere through an SSH tunnel: ssh -L ${port}:127.0.0.1:${port} HOST`,
  );
}

function badListen(text: string): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `"${text}" is not an address to listen on; write HOST:PORT, for example ${DEFAULT_LISTEN}, or unix:/PATH`,
  );
}
