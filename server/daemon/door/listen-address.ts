import { chmodSync } from 'node:fs';
import { isIP, type ListenOptions, type Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { isLoopback } from '../../../link/address/loopback.js';
import { fitsUnixSocket, LONGEST_UNIX_PATH } from '../../../link/address/unix-path.js';
import { FarlightError } from '../../../proto/errors.js';

export const DEFAULT_LISTEN = '127.0.0.1:7070';

/** Where a daemon listens. */
export interface ListenAddress {
  /** As gRPC binds it. */
  target: string;
  /** Whether TLS is spoken here: always where others than this machine may connect. */
  tls: boolean;
  /** The host to bind, without brackets; empty for a unix socket. */
  host: string;
  /** The port to bind, 0 for any free one. */
  port: number;
  /** The unix socket's path. */
  path?: string;
  /**
   * The address that clients use, given the port that was bound.
   *
   * @param pin of the host's certificate, where clients need it.
   * @param host the name that clients know it by, where that is another than it is bound to.
   */
  url(port: number, pin?: string, host?: string): string;
}

export interface ListenCapabilities {
  /** Whether the caller speaks TLS on an address that asks for it. Default: false, and such are refused. */
  tls?: boolean;
  /** Whether clients are to show a token wherever it is, which they do in TLS alone. Default: false. */
  requireToken?: boolean | undefined;
  /** The system that is to listen. Default: this one. */
  platform?: NodeJS.Platform | undefined;
}

/**
 * Understands what --listen takes: `HOST:PORT` (port 0: any free one), which is plaintext on loopback and TLS
 * elsewhere and where a token is asked for everywhere, `grpcs://HOST:PORT` for TLS on loopback too, or `unix:/PATH`.
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
  const match = /^(?:(grpcs?):\/\/)?(\[[0-9a-f:.]+\]|[^:/[\]@?#\s]+):(\d{1,5})$/i.exec(text);
  const [, scheme = '', named = '', port = ''] = match ?? [];
  const host = named.replace(/^\[|\]$/g, '');
  if (!match || Number(port) > 65535 || (named !== host && isIP(host) !== 6)) throw badListen(text);
  const secure = scheme.toLowerCase() === 'grpcs' || (scheme === '' && (requireToken || !isLoopback(host)));
  if (!secure && !isLoopback(host)) {
    throw new FarlightError(
      'BAD_OPTION',
      `${named} is not a loopback address, where grpc:// would be plaintext for everybody to read; write grpcs://${named}:${port}`,
    );
  }
  if (requireToken && !secure) throw noToken(text);
  if (secure && !tls) throw plaintextOnly(named, port);
  return {
    target: `${named}:${port}`,
    tls: secure,
    host,
    port: Number(port),
    url(bound, pin, known = host) {
      const shown = isIP(known) === 6 ? `[${known}]` : known;
      return `${secure ? 'grpcs' : 'grpc'}://${shown}:${bound}${pin && secure ? `?ca=${pin}` : ''}`;
    },
  };
}

/**
 * Has a server listen. A unix socket is there for its own user alone from the first instant on, and then for those whom
 * `mode` lets connect.
 *
 * @throws the bind error (rejects).
 */
export function listenAt(server: Server, where: ListenOptions, mode = 0o600): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = () => {
      server.off('error', reject);
      // A process without free descriptors takes no connection, and goes on with those that it has.
      server.on('error', () => {});
      resolve();
    };
    if (where.path === undefined) {
      server.listen(where, listening);
      return;
    }
    const { path } = where;
    // The file is made within the call. A thread may not say what the process's files are like.
    const mask = isMainThread ? process.umask(0o177) : undefined;
    server.listen(where, () => {
      try {
        chmodSync(path, mode);
        listening();
      } catch (error) {
        reject(error);
      }
    });
    if (mask !== undefined) process.umask(mask);
  });
}

function noUnixSocket(text: string): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `${text} is a unix socket, and Node has none on Windows; listen on ${DEFAULT_LISTEN}`,
  );
}

function pathTooLong(text: string): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `the path in ${text} has more than ${LONGEST_UNIX_PATH} bytes, which is the most that a unix socket's can have; name a shorter one`,
  );
}

function noToken(text: string): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `no client shows a token at ${text}, which is plaintext; with --require-token write --listen grpcs://127.0.0.1:PORT`,
  );
}

function plaintextOnly(named: string, port: string): FarlightError {
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
