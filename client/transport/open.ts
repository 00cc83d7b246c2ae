import type { CompressionMode } from '../../proto/compression.js';
import type { Transport } from './transport.js';
import { privateHost, remoteHost } from './worker-link.js';

export interface OpenOptions {
  /** The adapter that a private host opens; FARLIGHT_ADAPTER where absent, and `auto` without that. */
  adapter?: string | undefined;
  /** When frames to and from a host are compressed; 'auto' where absent. */
  compression?: CompressionMode | 'off' | undefined;
}

/**
 * The way to a host: the one at `target`, or a private host on this machine where none is named.
 *
 * @throws FarlightError BAD_URL where the address is not one.
 */
export function openTransport(target: string | undefined, options: OpenOptions = {}): Transport {
  if (target) return remoteHost(target, { compression: options.compression });
  return privateHost({ adapter: options.adapter || process.env.FARLIGHT_ADAPTER || undefined });
}
