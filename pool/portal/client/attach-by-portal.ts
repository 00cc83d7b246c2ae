import { type OpenOptions, remoteHost } from '../../../client/transport/open.js';
import type { Transport } from '../../../client/transport/transport.js';
import { native } from '../../../link/machine/globals.js';
import { FarlightError } from '../../../proto/errors.js';
import { giveUpAtSignal, stayAlive } from '../../attach/while-waiting.js';
import { type HeldHost, Hold } from './hold.js';
import { parsePortalAddress } from './portal-address.js';

export interface AttachByPortalOptions extends OpenOptions {
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
export async function attachByPortal(address: string, options: AttachByPortalOptions): Promise<Transport> {
  const { signal, name = '', ...rest } = options;
  const portal = parsePortalAddress(address);
  const pool = portal.pool || name;
  if (pool === '')
    throw new FarlightError(
      'BAD_URL',
      `the address of the portal ${portal.origin} names no pool; write /POOL behind it`,
    );
  const target = `pool+${portal.origin}/${pool}`;
  const hold = new Hold({ ...portal, pool }, shownOn(target));
  const letEnd = stayAlive();
  const forget = giveUpAtSignal(() => hold.release());
  try {
    const host = await Promise.race([hold.ready(), givenUp(signal)]);
    return transportOf(hold, host, target, { ...rest, signal });
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
  { url, idleMs }: HeldHost,
  target: string,
  { signal, ...options }: OpenOptions & { signal: AbortSignal },
): Transport {
  const way = remoteHost(url, options);
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
      return way.open(hello, {
        ...events,
        onClose: (reason) => {
          void hold.release();
          events.onClose(reason);
        },
      });
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
