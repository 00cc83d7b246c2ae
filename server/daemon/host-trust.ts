import { join } from 'node:path';
import { monotonicNow } from '../../link/clock.js';
import { FarlightError } from '../../proto/errors.js';
import { LocalUsers } from '../trust/local-users.js';
import { TokenStore } from '../trust/token-store.js';
import { type Admission, localAdmission, TokenAdmission } from './admission.js';
import type { DaemonOptions } from './daemon-options.js';
import { HostTls } from './host-tls.js';
import { DEFAULT_LISTEN, type ListenAddress, parseListenAddress } from './listen-address.js';

/** Where a host listens, what it shows there, and who may use it. */
export interface HostTrust {
  address: ListenAddress;
  admission: Admission;
  /** Who of this machine may see the dashboard, and use the host where no token is asked for. */
  users: LocalUsers;
  /** The host's certificate and its tokens; undefined where the address is plaintext, and so no token is asked for. */
  secured: { tls: HostTls; tokens: TokenStore } | undefined;
}

/**
 * @param warn tells the host's owner what is wrong with certificate or tokens while the host runs.
 * @throws FarlightError BAD_OPTION, TRUST_UNUSABLE
 */
export function hostTrust(options: DaemonOptions, warn: (sentence: string) => void): HostTrust {
  const { listen = DEFAULT_LISTEN, requireToken, tlsFiles: files = {}, trustFolder } = options;
  const users = new LocalUsers(options.allowLocalUsers ?? false);
  const address = parseListenAddress(listen, { tls: true, requireToken });
  if (!address.tls) {
    if (files.cert ?? files.key ?? files.clientCa) {
      throw new FarlightError(
        'BAD_OPTION',
        `a certificate is of no use at ${address.url(address.port)}, which is plaintext; listen on grpcs://HOST:PORT`,
      );
    }
    return { address, users, admission: localAdmission(users), secured: undefined };
  }
  const tls = new HostTls({ listen: address.host, files, folder: trustFolder, warn });
  const tokens = new TokenStore(trustFolder && join(trustFolder, 'tokens'));
  return {
    address,
    users,
    admission: new TokenAdmission({ tokens, now: monotonicNow, warn }),
    secured: { tls, tokens },
  };
}
