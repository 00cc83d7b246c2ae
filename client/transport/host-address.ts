import { FarlightError } from '../../proto/errors.js';

export const DEFAULT_PORT = 7070;

/** Where a host is. */
export interface HostAddress {
  /** As a person would write it. */
  url: string;
  /** As gRPC takes it. */
  target: string;
}

/**
 * Understands a host's address: `grpc://HOST[:PORT]` or `unix:/PATH`.
 *
 * @throws FarlightError BAD_URL for anything else.
 */
export function parseHostAddress(text: string): HostAddress {
  if (text.startsWith('unix:')) {
    const path = text.replace(/^unix:(\/\/(?=\/))?/, '');
    if (!path.startsWith('/')) throw badUrl(text);
    return { url: `unix:${path}`, target: `unix:${path}` };
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw badUrl(text);
  }
  const extras = url.username || url.password || url.search || url.hash || !/^\/?$/.test(url.pathname);
  if (url.protocol !== 'grpc:' || !url.hostname || extras || url.port === '0') throw badUrl(text);
  const target = `${url.hostname}:${url.port || DEFAULT_PORT}`;
  return { url: `grpc://${target}`, target };
}

function badUrl(text: string): FarlightError {
  return new FarlightError(
    'BAD_URL',
    `"${text}" is not a host's address; write grpc://HOST:PORT, for example grpc://127.0.0.1:${DEFAULT_PORT}, or unix:/PATH`,
  );
}
