import { FarlightError } from '../../proto/errors.js';

export const DEFAULT_LISTEN = '127.0.0.1:7070';

/** Where a daemon listens. */
export interface ListenAddress {
  host?: string;
  port?: number;
  /** Of a unix socket. */
  path?: string;
  /** The address that clients use, given the port that was bound. */
  url(port: number): string;
}

/**
 * Understands what --listen takes: `HOST:PORT` on loopback (port 0: any free one) or `unix:/PATH`.
 *
 * @throws FarlightError BAD_OPTION for anything else.
 */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith('unix:')) {
    const path = text.replace(/^unix:(\/\/(?=\/))?/, '');
    if (!path.startsWith('/')) throw badListen(text);
    return { path, url: () => `unix:${path}` };
  }
  const match = /^(?:grpc:\/\/)?(\[[0-9a-f:.]+\]|[^:/[\]]+):(\d{1,5})$/i.exec(text);
  const [, host = '', port = ''] = match ?? [];
  if (!match || Number(port) > 65535) throw badListen(text);
  if (!isLoopback(host)) {
    throw new FarlightError(
      'BAD_OPTION',
      `${host} is not a loopback address, and farlight does not listen in plaintext on any other; ` +
        `listen on 127.0.0.1:${port} and reach it from elsewhere through an SSH tunnel: ssh -L ${port}:127.0.0.1:${port} HOST`,
    );
  }
  return { host: host.replace(/[[\]]/g, ''), port: Number(port), url: (bound) => `grpc://${host}:${bound}` };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(host);
}

function badListen(text: string): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `"${text}" is not an address to listen on; write HOST:PORT, for example ${DEFAULT_LISTEN}, or unix:/PATH`,
  );
}
