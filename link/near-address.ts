import { lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Memory of the machine, in which sockets may lie too; one of a container or another machine is another. */
const BASE = '/dev/shm';

/**
 * Where a host that listens on a loopback address is to be met without a network: a unix socket in a folder that its
 * user alone may enter. Named by that address and by the network that it is an address of, since containers on one
 * machine each have their own 127.0.0.1.
 */
export interface NearAddress {
  readonly folder: string;
  readonly path: string;
}

/** Undefined where there is no such folder to be had: on other systems than Linux. */
export function nearAddress(host: string, port: number): NearAddress | undefined {
  const uid = process.geteuid?.();
  const network = networkName();
  if (uid === undefined || network === undefined) return undefined;
  const folder = join(BASE, `farlight-${uid}`);
  return { folder, path: join(folder, `${network}-${host}-${port}`) };
}

/**
 * Where a host of this user listens, or has listened, that is on this machine and at this loopback address; undefined
 * where none does, or it cannot be known that it is this user's.
 */
export function findNear(host: string, port: number): string | undefined {
  for (const known of host.toLowerCase() === 'localhost' ? ['127.0.0.1', '::1'] : [host]) {
    const near = nearAddress(known, port);
    if (near && isPrivate(near.folder) && lstatSync(near.path, { throwIfNoEntry: false })?.isSocket())
      return near.path;
  }
  return undefined;
}

/** Whether a folder is this user's, and nobody else may look into it. */
export function isPrivate(folder: string): boolean {
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0;
}

/** What tells the network of this process from others of the machine. */
function networkName(): string | undefined {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0];
  } catch {
    return undefined;
  }
}
