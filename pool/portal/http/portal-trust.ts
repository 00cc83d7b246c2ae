import { parseHostPort, shownHost } from '../../../link/address/host-port.js';
import { isLoopback } from '../../../link/address/loopback.js';
import { FarlightError } from '../../../proto/errors.js';
import type { Peer } from '../../../server/trust/admission.js';
import { type HostTrust, type HostTrustOptions, hostTrust } from '../../../server/trust/host-trust.js';
import type { Address } from '../../../server/trust/newcomers/newcomers.js';
import { DEFAULT_TENANT } from '../../../server/trust/token-store.js';
import type { Client } from '../portal.js';

export const DEFAULT_PORTAL = '127.0.0.1:7075';

/** `listen` is `HOST:PORT`, or `https://HOST:PORT`; `hostTrust` describes the other options. */
export interface PortalTrustOptions extends HostTrustOptions {
  readonly listen: string;
  /**
   * The tenants that see, and may end, the bookings and hosts of all tenants. Default: the user who runs the portal where
   * it asks for no token, and nobody where it does.
   */
  readonly owners?: readonly string[] | undefined;
}

/** The portal's address and certificate, and who may use it. */
export interface PortalTrust extends Pick<HostTrust, 'users' | 'tls' | 'tokens' | 'proxy'> {
  readonly address: Address;
  /** The address for people and programs, once the port is bound. */
  url(port: number): string;
  /** @throws FarlightError UNAUTHORIZED, whose sentence is for the client. */
  admit(token: string | undefined, peer: Peer): Client;
}

/**
 * Understands the options. Where the address is not on loopback, or the owner wants it so, the portal has TLS and asks for
 * tokens: those of this user's hosts.
 *
 * @param warn tells the portal's owner why certificate or tokens are unusable, while the portal runs.
 * @throws FarlightError BAD_OPTION, TRUST_UNUSABLE
 */
export function portalTrust(options: PortalTrustOptions, warn: (sentence: string) => void): PortalTrust {
  const { listen, requireToken, behindProxy, tlsFiles = {}, owners } = options;
  const parsed = parseHostPort(listen);
  if (!parsed || !/^(https?)?$/.test(parsed.scheme)) {
    throw new FarlightError(
      'BAD_OPTION',
      `"${listen}" is not an address to listen on; write --listen HOST:PORT, for example ${DEFAULT_PORTAL}`,
    );
  }
  const { scheme, named, host, port } = parsed;
  if (scheme === 'http' && !isLoopback(host)) {
    throw new FarlightError(
      'BAD_OPTION',
      `${named} is not a loopback address, and others could read the plaintext of http:// there; write https://${named}:${port}`,
    );
  }
  const isGiven = tlsFiles.cert ?? tlsFiles.key ?? tlsFiles.clientCa;
  const isSecure = scheme === 'https' || requireToken || isGiven || !isLoopback(host);
  const address = `${isSecure && behindProxy === undefined ? 'grpcs://' : ''}${shownHost(host)}:${port}`;
  const trust = hostTrust({ ...options, listen: address, requireToken: false }, warn);
  const { users, tls, tokens, proxy } = trust;
  const isOwner = new Set(owners ?? (tokens ? [] : [DEFAULT_TENANT]));
  return {
    address: { host, port },
    users,
    tls,
    tokens,
    proxy,
    url(bound) {
      if (proxy !== undefined) return `https://${proxy}`;
      if (!tls) return `http://${shownHost(host)}:${bound}`;
      return `https://${shownHost(tls.name)}:${bound}${tls.pin === undefined ? '' : `?ca=${tls.pin}`}`;
    },
    admit(token, peer) {
      if (tokens && token === undefined) {
        throw new FarlightError(
          'UNAUTHORIZED',
          'the portal asks for a token; write it as pool+https://TOKEN@HOST:PORT/POOL, or send it as Authorization: Bearer TOKEN; its owner makes one with farlight token add',
        );
      }
      const { tenant, tokenId } = trust.admission.admit(token, peer);
      return { tenant, tokenId, isOwner: isOwner.has(tenant) };
    },
  };
}
