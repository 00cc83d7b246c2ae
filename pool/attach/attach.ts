import { type OpenOptions, remoteHost } from '../../client/transport/open.js';
import type { Transport } from '../../client/transport/transport.js';
import { FarlightError, invariant } from '../../proto/errors.js';
import { hostsAsked, type Pool, readPoolOrPortal } from '../file/pool-file.js';
import { attachByPortal } from '../portal/client/attach-by-portal.js';
import { leaveHost, releaseHosts } from './keeper.js';
import type { HostOfTerm } from './keeper-thread.js';
import { whenEnded } from './lost-host.js';
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
  const { pool: named, hosts } = hostsAsked(address);
  if (hosts > 1) {
    const why = `${address} names ${hosts} hosts, and this program asks for one GPU; leave ?hosts=${hosts} out`;
    throw new FarlightError('BAD_OPTION', why);
  }
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
 * @param addresses `pool://NAME`, or `pool://NAME?hosts=2` for two of them. A pool may stand there several times.
 * @returns for each address those of its hosts. @throws FarlightError as `attach` (rejects).
 */
export async function allocateHosts(
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<{ addresses: string[][]; idleMs: number; release(): Promise<void> }> {
  const asked = addresses.map(hostsAsked);
  const found = new Map<string, HostOfTerm[]>();
  let idleMs = Number.POSITIVE_INFINITY;
  const release = () => releaseHosts([...found.values()].flat());
  try {
    // One pool after the other, in one order in all programs, so that none waits for another one's hosts with its own.
    for (const named of [...new Set(asked.map(({ pool }) => pool))].sort()) {
      const hosts = asked.reduce((sum, { pool, hosts }) => sum + (pool === named ? hosts : 0), 0);
      const want = { hosts, isExclusive: false };
      const pool = ownPool(named);
      idleMs = Math.min(idleMs, pool.idle);
      found.set(named, await seekHosts(new PoolView(pool), want, { signal }));
    }
  } catch (error) {
    await release();
    throw error;
  }
  const left = new Map([...found].map(([pool, hosts]) => [pool, hosts.map(({ url }) => url)]));
  const ofEach = asked.map(({ pool, hosts }) => left.get(pool)?.splice(0, hosts) ?? []);
  return { addresses: ofEach, idleMs, release };
}

/** A portal books a host for each session, when that begins: its pools are refused. */
function ownPool(address: string): Pool {
  const pool = readPoolOrPortal(address);
  if (!('portal' in pool)) return pool;
  const why = `the pool ${address} is served by the portal ${pool.portal}, which gives hosts to the sessions of programs alone; name a pool without a portal, or a host`;
  throw new FarlightError('BAD_OPTION', why);
}

/** The way to the host, for one session. When that is over, or never begins, its lease is renewed no more. */
function transportOf(host: HostOfTerm, pool: Pool, target: string, options: AttachOptions): Transport {
  const { signal, ...rest } = options;
  const way = remoteHost(host.url, rest);
  let isOpen = false;
  signal.addEventListener('abort', () => {
    if (!isOpen) void leaveHost(host, true);
  });
  if (signal.aborted) void leaveHost(host, true);
  return {
    target,
    idleMs: pool.idle,
    open: (hello, events) => {
      isOpen = true;
      let isOver = false;
      const over = (reason: FarlightError | undefined) => {
        if (isOver) return;
        isOver = true;
        stop();
        void leaveHost(host, reason === undefined);
        events.onClose(reason);
      };
      const link = way.open(hello, { ...events, onClose: over });
      // The link would wait for a host that does not come back.
      const stop = whenEnded(host, pool.engine, (why) => {
        over(new FarlightError('DISCONNECTED', `the host of the pool ${pool.name} has ended (${why})`));
        link.close();
      });
      return link;
    },
  };
}
