import type { TlsOptions } from 'node:tls';
import { parseHostPort, shownHost } from '../../link/address/host-port.js';
import { isLoopback } from '../../link/address/loopback.js';
import { FarlightError } from '../../proto/errors.js';
import type { Peer } from '../../server/trust/admission.js';
import { type HostTrust, type HostTrustOptions, hostTrust } from '../../server/trust/host-trust.js';
import { isWildcard } from '../../server/trust/machine-names.js';
import type { Address } from '../../server/trust/newcomers/newcomers.js';
import { DEFAULT_TENANT } from '../../server/trust/token-store.js';
import type { Client } from '../protocol/repository.js';

export const DEFAULT_HTTP = '127.0.0.1:8000';
export const DEFAULT_GRPC = '127.0.0.1:8001';

/** The addresses are `HOST:PORT`; `hostTrust` describes the other options. */
export interface TrustOptions extends Omit<HostTrustOptions, 'listen'> {
  http: string;
  /** Undefined: no gRPC. */
  grpc: string | undefined;
  /**
   * The tenants that may load and unload models. Default: the user who runs the server where it asks for no token, and
   * nobody where it does.
   */
  mayLoad?: readonly string[] | undefined;
}

/** The addresses of the server, its certificate, and who may use it. */
export interface Trust extends Pick<HostTrust, 'users' | 'tls' | 'tokens'> {
  readonly http: Address;
  readonly grpc: Address | undefined;
  /** The name of the server for clients, where it differs from the address that it listens on. */
  readonly name: string | undefined;
  /** @throws FarlightError UNAUTHORIZED, whose sentence is for the client. */
  admit(token: string | undefined, peer: Peer): Client;
}

/**
 * Understands the options. Where one of the two addresses is not on loopback, or the owner wants it so, both have TLS and
 * ask for tokens.
 *
 * @param warn tells the server's owner why certificate or tokens are unusable, while the server runs.
 * @throws FarlightError BAD_OPTION, TRUST_UNUSABLE
 */
export function inferenceTrust(options: TrustOptions, warn: (sentence: string) => void): Trust {
  const { http: httpText, grpc: grpcText, mayLoad, behindProxy, tlsFiles = {}, ...others } = options;
  const http = parseAddress(httpText, '--listen', /^https?$/);
  const grpc = grpcText === undefined ? undefined : parseAddress(grpcText, '--grpc', /^grpcs?$/);
  const both = grpc ? [http, grpc] : [http];
  const given = tlsFiles.cert ?? tlsFiles.key ?? tlsFiles.clientCa;
  const open = both.find(({ host }) => !isLoopback(host));
  if (behindProxy !== undefined && open) {
    throw new FarlightError(
      'BAD_OPTION',
      `with --behind-proxy the proxy reaches the server in plaintext; listen on 127.0.0.1:PORT, not on ${open.host}`,
    );
  }
  const secure =
    behindProxy === undefined && (options.requireToken || given || open || both.some((each) => each.secure));
  const main = open ?? http;
  const trust = hostTrust(
    {
      ...others,
      listen: `${secure ? 'grpcs://' : ''}${shownHost(main.host)}:${main.port}`,
      requireToken: false,
      behindProxy,
      tlsFiles,
    },
    warn,
  );
  const loaders = new Set(mayLoad ?? (trust.tokens ? [] : [DEFAULT_TENANT]));
  return {
    http,
    grpc,
    users: trust.users,
    tls: trust.tls,
    tokens: trust.tokens,
    name: trust.tls?.name,
    admit(token, peer) {
      if (trust.tokens && token === undefined) {
        throw new FarlightError(
          'UNAUTHORIZED',
          'the server asks for a token; send it as Authorization: Bearer TOKEN, and get one from its owner (farlight token add)',
        );
      }
      const { tenant } = trust.admission.admit(token, peer);
      return { tenant, mayLoad: loaders.has(tenant) };
    },
  };
}

/** How often to read the certificate again, in milliseconds. */
const CERTIFICATE_MS = 24 * 60 * 60 * 1000;

/**
 * Follows the tokens and the certificate on the disk. `renew` shows another certificate to new connections.
 *
 * @returns a function that stops.
 */
export function watchTrust({ tls, tokens }: Trust, renew: (options: TlsOptions) => void): () => void {
  const ends = [tokens?.watch(), tls?.watch(CERTIFICATE_MS, renew)];
  return () => {
    for (const end of ends) end?.();
  };
}

/** The URL for clients of a server that listens on this address, at this port. */
export function urlFor(
  { tls, name }: Trust,
  scheme: 'http' | 'grpc',
  { host }: Address,
  port: number,
): string {
  return `${scheme}${tls ? 's' : ''}://${shownHost(isWildcard(host) ? (name ?? host) : host)}:${port}`;
}

function parseAddress(text: string, option: string, schemes: RegExp): Address & { secure: boolean } {
  const address = parseHostPort(text);
  if (!address || (address.scheme !== '' && !schemes.test(address.scheme))) {
    throw new FarlightError(
      'BAD_OPTION',
      `"${text}" is not an address to listen on; write ${option} HOST:PORT, for example ${option} ${option === '--grpc' ? DEFAULT_GRPC : DEFAULT_HTTP}`,
    );
  }
  const { scheme, named, host, port } = address;
  const secure = scheme.endsWith('s');
  if (scheme !== '' && !secure && !isLoopback(host)) {
    throw new FarlightError(
      'BAD_OPTION',
      `${named} is not a loopback address, and others could read the plaintext of ${scheme}:// there; write ${scheme}s://${named}:${port}`,
    );
  }
  return { host, port, secure };
}
