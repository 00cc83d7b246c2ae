import { type OpenOptions, remoteHost } from '../../client/transport/open.js';
import type { Hello, Transport } from '../../client/transport/transport.js';
import { isPortalAddress } from '../../link/address/pool-address.js';
import { native } from '../../link/machine/globals.js';
import { FarlightError, invariant } from '../../proto/errors.js';
import { type Pool, readPoolOrPortal } from '../definition/pool-file.js';
import { allocateByPortal, attachByPortal } from '../portal/client/attach-by-portal.js';
import { type AllocatedOfEach, allocateOfEach, oneHostOf } from './allocate.js';
import { type AttachedHost, IdleLink, type IdleLinkOptions } from './idle-link.js';
import { leaveHost, releaseHosts } from './keeper.js';
import type { HostOfTerm } from './keeper-thread.js';
import { KeptSession } from './kept-session.js';
import { PATIENT, reasonOfPool, whenEnded } from './lost-host.js';
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
  const named = oneHostOf(address);
  const pool = readPoolOrPortal(named);
  if ('portal' in pool) return attachByPortal(pool.portal, { ...options, signal, name: pool.name });
  const want = { hosts: 1, isExclusive: false };
  const [host] = await seekHosts(new PoolView(pool), want, { signal });
  invariant(host, 'a program that seeks a host has one');
  return transportOf(host, pool, address, { ...options, signal });
}

/**
 * Finds several hosts of pools, all or none. Resolves when all take sessions. They are kept until they are released.
 *
 * @param addresses `pool://NAME`, `pool://NAME?hosts=2` for two of its hosts, or those of a portal.
 * @throws FarlightError as `attach` (rejects).
 */
export function allocateHosts(addresses: readonly string[], signal: AbortSignal): Promise<AllocatedOfEach> {
  return allocateOfEach(addresses, async (named, number) => {
    if (isPortalAddress(named)) return allocateByPortal(named, number, { signal });
    const pool = readPoolOrPortal(named);
    if ('portal' in pool) return allocateByPortal(pool.portal, number, { signal, name: pool.name });
    const want = { hosts: number, isExclusive: false };
    const hosts = await seekHosts(new PoolView(pool), want, { signal });
    return { urls: hosts.map(({ url }) => url), idleMs: pool.idle, release: () => releaseHosts(hosts) };
  });
}

/** The way to the host, for one session. When that is over, or never begins, its lease is renewed no more. */
function transportOf(host: HostOfTerm, pool: Pool, target: string, options: AttachOptions): Transport {
  const { signal, ...rest } = options;
  const way = remoteHost(host.url, { ...rest, ...PATIENT });
  let isOpen = false;
  signal.addEventListener('abort', () => {
    if (!isOpen) void leaveHost(host, true);
  });
  if (signal.aborted) void leaveHost(host, true);
  return {
    target,
    idleMs: pool.idle,
    open: (hello, events, brought) => {
      isOpen = true;
      if (pool.park !== undefined && !brought)
        return new IdleLink(idleOptions(host, pool, pool.park, hello, rest), events);
      let isOver = false;
      const over = (reason: FarlightError | undefined) => {
        if (isOver) return;
        isOver = true;
        stop();
        void leaveHost(host, reason === undefined);
        events.onClose(reasonOfPool(pool.name, reason));
      };
      const link = way.open(hello, { ...events, onClose: over }, brought);
      // The link would wait for a host that does not come back.
      const stop = whenEnded(host, pool.engine, (why) => {
        over(new FarlightError('DISCONNECTED', `the host of the pool ${pool.name} has ended (${why})`));
        link.close();
      });
      return link;
    },
  };
}

/** A session whose host is given back while its program does nothing, and that gets another one of the pool. */
function idleOptions(
  first: HostOfTerm,
  pool: Pool,
  parkMs: number,
  hello: Hello,
  options: OpenOptions,
): IdleLinkOptions {
  const attached = (host: HostOfTerm): AttachedHost => {
    let stop = () => {};
    return {
      url: host.url,
      open: (events, brought) => {
        const over = (reason: FarlightError | undefined) => events.onClose(reasonOfPool(pool.name, reason));
        const way = remoteHost(host.url, { ...options, ...PATIENT });
        const link = way.open(hello, { ...events, onClose: over }, brought);
        stop = whenEnded(host, pool.engine, (why) => {
          events.onClose(
            new FarlightError('DISCONNECTED', `the host of the pool ${pool.name} has ended (${why})`),
          );
          link.close();
        });
        return link;
      },
      release: (reason) => {
        stop();
        void leaveHost(host, reason === undefined);
      },
    };
  };
  const want = { hosts: 1, isExclusive: false };
  return {
    parkMs,
    first: attached(first),
    seek: async () => {
      const { signal } = new native.AbortController();
      const [host] = await seekHosts(new PoolView(pool), want, { signal });
      invariant(host, 'a program that seeks a host has one');
      return attached(host);
    },
    take: (url, sessionId, wants) => KeptSession.take(url, sessionId, wants),
  };
}
