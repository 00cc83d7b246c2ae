import { join } from 'node:path';
import { monotonicNow } from '../../link/machine/clock.js';
import { FarlightError } from '../../proto/errors.js';
import { type Admission, localAdmission, TokenAdmission } from './admission.js';
import { HostTls, type TlsFiles } from './host-tls.js';
import { DEFAULT_LISTEN, type ListenAddress, parseListenAddress } from './listen-address.js';
import { LocalUsers } from './local-users.js';
import { TokenStore } from './token-store.js';

const HTTPS_PORT = 443;

export interface HostTrustOptions {
  /**
   * `HOST:PORT`, where port 0 is any free one: plaintext on loopback, TLS with tokens elsewhere; `grpcs://HOST:PORT`
   * for TLS with tokens on loopback too; or `unix:/PATH`. Default 127.0.0.1:7070.
   */
  listen?: string | undefined;
  /** Require a token, and so speak TLS, on loopback too. Default false. */
  requireToken?: boolean | undefined;
  /**
   * Let other users of this machine see the dashboard. Where the host requires no token, let them use it too, each as a
   * tenant of its own. Default false.
   */
  allowLocalUsers?: boolean | undefined;
  /**
   * HOST:PORT at which clients reach a proxy that ends TLS in front of the host. The host then listens in plaintext on
   * loopback, and still requires tokens. Default: no proxy.
   */
  behindProxy?: string | undefined;
  /** The owner's certificate files. Default: the host makes a certificate. */
  tlsFiles?: TlsFiles | undefined;
  /** The folder of the host's own certificate and its tokens. Default: the user's private folder for them. */
  trustFolder?: string | undefined;
}

/** The address of a host, its certificate, and who may use it. */
export interface HostTrust {
  address: ListenAddress;
  admission: Admission;
  /** The users of this machine who may see the dashboard and, without tokens, use the host. */
  users: LocalUsers;
  /** The host's certificate; undefined where the address is plaintext. */
  tls: HostTls | undefined;
  /** Undefined where the host requires no token. */
  tokens: TokenStore | undefined;
  /** HOST:PORT of the proxy that ends TLS in front of the host; undefined where there is none. */
  proxy: string | undefined;
}

/**
 * @param warn tells the host's owner why certificate or tokens are unusable, while the host runs.
 * @throws FarlightError BAD_OPTION, TRUST_UNUSABLE
 */
export function hostTrust(options: HostTrustOptions, warn: (sentence: string) => void): HostTrust {
  const { listen = DEFAULT_LISTEN, requireToken, behindProxy, tlsFiles: files = {}, trustFolder } = options;
  const users = new LocalUsers(options.allowLocalUsers ?? false);
  const address = parseListenAddress(listen, { tls: true, requireToken });
  if (!address.tls) {
    if (files.cert ?? files.key ?? files.clientCa) {
      throw new FarlightError(
        'BAD_OPTION',
        `${address.url(address.port)} is plaintext and needs no certificate; to use one, listen on grpcs://HOST:PORT`,
      );
    }
    if (behindProxy === undefined) {
      const admission = localAdmission(users);
      return { address, users, admission, tls: undefined, tokens: undefined, proxy: undefined };
    }
  }
  const proxy = behindProxy === undefined ? undefined : proxyAddress(behindProxy, address);
  const tls = address.tls
    ? new HostTls({ listen: address.host, files, folder: trustFolder, warn })
    : undefined;
  const tokens = new TokenStore(trustFolder && join(trustFolder, 'tokens'));
  const admission = new TokenAdmission({ tokens, now: monotonicNow, warn });
  return { address, users, admission, tls, tokens, proxy };
}

/** @throws FarlightError BAD_OPTION where the text is not HOST:PORT, or the host speaks TLS itself. */
function proxyAddress(text: string, { tls, url, port }: ListenAddress): string {
  if (tls) {
    throw new FarlightError(
      'BAD_OPTION',
      `with --behind-proxy the proxy reaches the host in plaintext; listen on 127.0.0.1:PORT, not on ${url(port)}`,
    );
  }
  const target = URL.canParse(`https://${text}`) ? new URL(`https://${text}`) : undefined;
  if (target && target.href === `https://${target.host}/` && !target.username && target.port !== '0') {
    return `${target.hostname}:${target.port || HTTPS_PORT}`;
  }
  throw new FarlightError(
    'BAD_OPTION',
    `"${text}" is not the address of a proxy; write HOST:PORT as clients reach it, for example gpu.example:443`,
  );
}
