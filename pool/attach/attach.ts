import { type OpenOptions, remoteHost } from '../../client/transport/open.js';
import type { Transport } from '../../client/transport/transport.js';
import { invariant } from '../../proto/errors.js';
import { type Pool, portalOf, readPool } from '../file/pool-file.js';
import { attachByPortal } from '../portal/client/attach-by-portal.js';
import { leaveHost } from './keeper.js';
import type { HostOfTerm } from './keeper-thread.js';
import { PoolView } from './pool-view.js';
import { seekHosts } from './seek.js';

export interface AttachOptions extends OpenOptions {
  /** Gives up. */
  signal: AbortSignal;
}

/**
 * Finds a host of a pool for one session, and has the engine start one where there is none. Resolves when the host takes
 * sessions.
 *
 * @throws FarlightError BAD_URL, BAD_OPTION for the pool; UNREACHABLE where it has no host in time, or the host fails
 *   (rejects).
 */
export async function attach(address: string, { signal, ...options }: AttachOptions): Promise<Transport> {
  const served = portalOf(address);
  if (served) return attachByPortal(served.portal, { ...options, signal, name: served.name });
  const pool = readPool(address);
  const want = { hosts: 1, isExclusive: false };
  const [host] = await seekHosts(new PoolView(pool), want, { signal });
  invariant(host, 'a program that seeks a host has one');
  return transportOf(host, pool, address, { ...options, signal });
}

/** The way to the host, for one session. When that is over, or never begins, its lease is renewed no more. */
function transportOf(host: HostOfTerm, pool: Pool, target: string, options: AttachOptions): Transport {
  const { signal, ...rest } = options;
  const way = remoteHost(host.url, rest);
  let isOpen = false;
  signal.addEventListener('abort', () => {
    if (!isOpen) leaveHost(host, true);
  });
  if (signal.aborted) leaveHost(host, true);
  return {
    target,
    idleMs: pool.idle,
    open: (hello, events) => {
      isOpen = true;
      return way.open(hello, {
        ...events,
        onClose: (reason) => {
          leaveHost(host, reason === undefined);
          events.onClose(reason);
        },
      });
    },
  };
}
