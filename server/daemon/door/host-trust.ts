import { join } from 'node:path';
import { monotonicNow } from '../../../link/machine/clock.js';
import { FarlightError } from '../../../proto/errors.js';
import type { DaemonOptions } from '../../daemon-options.js';
import { type Admission, localAdmission, TokenAdmission } from '../../trust/admission.js';
import { HostTls } from '../../trust/host-tls.js';
import { LocalUsers } from '../../trust/local-users.js';
import { TokenStore } from '../../trust/token-store.js';
import { DEFAULT_LISTEN, type ListenAddress, parseListenAddress } from './listen-address.js';

const HTTPS_PORT = 443;

/** Where a host listens, what it shows there, and who may use it. */
export interface HostTrust {
  address: ListenAddress;
  admission: Admission;
  /** Who of this machine may see the dashboard, and use the host where no token is asked for. */
  users: LocalUsers;
  /** The host's certificate; undefined where the address is plaintext. */
  tls: HostTls | undefined;
  /** Undefined where no token is asked for. */
  tokens: TokenStore | undefined;
  /** HOST:PORT of the proxy that ends TLS in front of the host; undefined where there is none. */
  proxy: string | undefined;
}

/**
 * @param warn tells the host's owner what is wrong with certificate or tokens while the host runs.
 * @throws FarlightError BAD_OPTION, TRUST_UNUSABLE
 */
export function hostTrust(options: DaemonOptions, warn: (sentence: string) => void): HostTrust {
  const { listen = DEFAULT_LISTEN, requireToken, behindProxy, tlsFiles: files = {}, trustFolder } = options;
  const users = new LocalUsers(options.allowLocalUsers ?? false);
  const address = parseListenAddress(listen, { tls: true, requireToken });
  if (!address.tls) {
    if (files.cert ?? files.key ?? files.clientCa) {
      throw new FarlightError(
        'BAD_OPTION',
        `a certificate is of no use at ${address.url(address.port)}, which is plaintext; listen on grpcs://HOST:PORT`,
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

/** @throws FarlightError BAD_OPTION where it is none, or the host speaks TLS itself. */
function proxyAddress(text: string, { tls, url, port }: ListenAddress): string {
  if (tls) {
    throw new FarlightError(
      'BAD_OPTION',
      `--behind-proxy is for a host that the proxy reaches in plaintext; listen on 127.0.0.1:PORT, not on ${url(port)}`,
    );
  }
  const target = URL.canParse(`https://${text}`) ? new URL(`https://${text}`) : undefined;
  if (target && target.href === `https://${target.host}/` && !target.username && target.port !== '0') {
    return `${target.hostname}:${target.port || HTTPS_PORT}`;
  }
  throw new FarlightError(
    'BAD_OPTION',
    `"${text}" is not where clients reach the proxy; write its HOST:PORT, for example gpu.example:443`,
  );
}
