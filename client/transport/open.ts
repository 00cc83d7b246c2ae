import { findNear } from '../../link/address/near-address.js';
import { type RuntimeName, runtimeName } from '../../link/machine/runtime.js';
import type { CompressionMode } from '../../proto/compression.js';
import { FarlightError } from '../../proto/errors.js';
import { clientCertificate } from './host/client-certificate.js';
import { parseHostAddress } from './host/host-address.js';
import type { HostOptions } from './host-transport.js';
import { nearHost } from './near-host.js';
import { privateHost } from './private-host.js';
import type { Transport } from './transport.js';
import { farHost } from './worker-link.js';

export interface OpenOptions {
  /** The adapter that a private host opens; FARLIGHT_ADAPTER where absent, and `auto` without that. */
  adapter?: string | undefined;
  /** When frames to and from a host are compressed; 'auto' where absent. */
  compression?: CompressionMode | 'off' | undefined;
}

/**
 * The way to a host: the one at `target`, or a private host on this machine where none is named.
 *
 * @throws FarlightError BAD_URL where the address is not one, BAD_OPTION where this runtime starts no private host.
 */
export function openTransport(target: string | undefined, options: OpenOptions = {}): Transport {
  if (target) return remoteHost(target, { compression: options.compression });
  if (runtimeName() !== 'Node') throw noPrivateHost(runtimeName());
  return privateHost({ adapter: options.adapter || process.env.FARLIGHT_ADAPTER || undefined });
}

/**
 * The way to the host at an address: through memory where it is on this machine, as a host of this user is that has a
 * unix socket or listens on loopback itself, and else across the network.
 *
 * @throws FarlightError BAD_URL where the address is not one, BAD_OPTION where the environment names a client
 *   certificate that cannot be used.
 */
export function remoteHost(url: string, options: HostOptions = {}): Transport {
  const address = parseHostAddress(url, { tls: true });
  const { scheme, host, port } = address;
  const certificate = scheme === 'grpcs' ? clientCertificate(process.env) : undefined;
  const find = () => (scheme === 'unix' ? address.path : findNear(host, port));
  if (scheme !== 'grpcs' && find() !== undefined) return nearHost(address, find, options);
  return farHost({ host: url, options: { certificate, ...options } });
}

/** A private host is a process of this runtime's own, and Dawn's addon runs in Node. */
function noPrivateHost(runtime: RuntimeName): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `no host is named, and ${runtime} starts none of its own: start the program with farlight run, which does, ` +
      `or name one in FARLIGHT_HOST, for example that of farlight serve, grpc://127.0.0.1:7070`,
  );
}
