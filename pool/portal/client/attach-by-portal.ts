import { type OpenOptions, remoteHost } from '../../../client/transport/open.js';
import type { Transport } from '../../../client/transport/transport.js';
import { native } from '../../../link/machine/globals.js';
import { FarlightError } from '../../../proto/errors.js';
import { type Allocated, type AllocatedOfEach, allocateOfEach, oneHostOf } from '../../attach/allocate.js';
import { PATIENT, reasonOfPool } from '../../attach/lost-host.js';
import { giveUpAtSignal, stayAlive } from '../../attach/while-waiting.js';
import { type HeldHosts, Hold } from './hold.js';
import { parsePortalAddress } from './portal-address.js';

export interface ByPortalOptions {
  /** Gives up. */
  signal: AbortSignal;
  /** The pool's name, where the address has none. */
  name?: string | undefined;
}

/**
 * Books a host of a portal's pool for one session. Resolves when the host takes sessions. Until then it keeps the process
 * alive, and where the process ends by a signal the booking is released.
 *
 * @throws FarlightError BAD_URL for the address; UNREACHABLE, UNTRUSTED_HOST, UNAUTHORIZED for the portal; UNREACHABLE
 *   where the pool has no host in time, or the host fails (rejects).
 */
export async function attachByPortal(
  address: string,
  { signal, name, ...options }: ByPortalOptions & OpenOptions,
): Promise<Transport> {
  const { hold, hosts, target } = await heldHosts(oneHostOf(address), 1, { signal, name });
  return transportOf(hold, hosts, target, { ...options, signal });
}

/**
 * Books several hosts of a portal's pool, all or none. Resolves when all take sessions.
 *
 * @throws FarlightError as `attachByPortal`; BAD_OPTION where there can be no so many hosts (rejects).
 */
export async function allocateByPortal(
  address: string,
  number: number,
  options: ByPortalOptions,
): Promise<Allocated> {
  const { hold, hosts } = await heldHosts(address, number, options);
  // Keeps the process alive until the portal knows.
  const release = () => {
    const letEnd = stayAlive();
    return hold.release().finally(letEnd);
  };
  return { ...hosts, release };
}

/** As `allocateByPortal`, of several portals or pools. */
export function allocateHosts(addresses: readonly string[], signal: AbortSignal): Promise<AllocatedOfEach> {
  return allocateOfEach(addresses, (pool, hosts) => allocateByPortal(pool, hosts, { signal }));
}

async function heldHosts(
  address: string,
  number: number,
  { signal, name = '' }: ByPortalOptions,
): Promise<{ hold: Hold; hosts: HeldHosts; target: string }> {
  const portal = parsePortalAddress(address);
  const pool = portal.pool || name;
  if (pool === '')
    throw new FarlightError(
      'BAD_URL',
      `the address of the portal ${portal.origin} names no pool; write /POOL behind it`,
    );
  const target = `pool+${portal.origin}/${pool}`;
  const hold = new Hold({ ...portal, pool }, number, shownOn(target));
  const letEnd = stayAlive();
  const forget = giveUpAtSignal(() => hold.release());
  try {
    const hosts = await Promise.race([hold.ready(), givenUp(signal)]);
    return { hold, hosts, target };
  } catch (error) {
    await hold.release();
    throw error;
  } finally {
    forget();
    letEnd();
  }
}

/** The way to the host, for one session. When that is over, or never begins, the booking is released. */
function transportOf(
  hold: Hold,
  { urls: [url = ''], idleMs }: HeldHosts,
  target: string,
  { signal, ...options }: OpenOptions & { signal: AbortSignal },
): Transport {
  const way = remoteHost(url, { ...options, ...PATIENT });
  let isOpen = false;
  signal.addEventListener('abort', () => {
    if (!isOpen) void hold.release();
  });
  if (signal.aborted) void hold.release();
  return {
    target,
    idleMs,
    open: (hello, events) => {
      isOpen = true;
      let isOver = false;
      const over = (reason: FarlightError | undefined) => {
        if (isOver) return;
        isOver = true;
        void hold.release();
        events.onClose(reasonOfPool(target, reason));
      };
      const link = way.open(hello, { ...events, onClose: over });
      // The link would wait for a host that does not come back.
      hold.onEnded = (why) => {
        over(new FarlightError('DISCONNECTED', `the portal has ended the booking of ${target} (${why})`));
        link.close();
      };
      return link;
    },
  };
}

function givenUp(signal: AbortSignal): Promise<never> {
  return new native.Promise((_, reject) => {
    const abort = () => reject(new FarlightError('DISCONNECTED', 'This GPU was closed by the program.'));
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
  });
}

/** Tells a person at a terminal what the program waits for. */
function shownOn(target: string): (why: string) => void {
  return (why) => {
    if (process.stderr.isTTY) process.stderr.write(`farlight: ${target}: ${why}\n`);
  };
}
