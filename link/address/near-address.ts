import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { listenersNaming } from './socket-table.js';

/** Memory of the machine, in which sockets may lie too; one of a container or another machine is another. */
const BASE = '/dev/shm';

/**
 * Where a host that listens on a loopback address is to be met without a network: a unix socket in a folder that its
 * user alone may enter. Named by that address and by the network that it is an address of, since containers on one
 * machine each have their own 127.0.0.1; and by the system's number of the socket that listens there, which no other
 * ever has. So the name is the host's for as long as the host listens, and who listens there next has another.
 */
export interface NearAddress {
  readonly folder: string;
  readonly path: string;
}

/** Undefined where nobody listens at that address, or the system does not tell: any other than Linux. */
export function nearAddress(host: string, port: number): NearAddress | undefined {
  const folder = nearFolder();
  const network = networkName();
  const listener = listenerAt(host, port);
  if (folder === undefined || network === undefined || listener === undefined) return undefined;
  return { folder, path: join(folder, `${network}-${host}-${port}-${listener}`) };
}

/**
 * Where a host of this user listens that is on this machine and at this loopback address; undefined where none does, or
 * it cannot be known that it is this user's.
 */
export function findNear(host: string, port: number): string | undefined {
  const folder = nearFolder();
  if (folder === undefined || !isPrivate(folder)) return undefined;
  for (const known of host.toLowerCase() === 'localhost' ? ['127.0.0.1', '::1'] : [host]) {
    const near = nearAddress(known, port);
    if (near && lstatSync(near.path, { throwIfNoEntry: false })?.isSocket()) return near.path;
  }
  return undefined;
}

/** Whether a folder is this user's, and nobody else may look into it. */
export function isPrivate(folder: string): boolean {
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0;
}

/** Whether a host can be met in memory on this system at all: on Linux. */
export function hasNear(): boolean {
  return networkName() !== undefined && lstatSync(BASE, { throwIfNoEntry: false })?.isDirectory() === true;
}

function nearFolder(): string | undefined {
  const uid = process.geteuid?.();
  return uid === undefined ? undefined : join(BASE, `farlight-${uid}`);
}

/** The system's number of the one socket of this network that listens at an address. */
function listenerAt(host: string, port: number): number | undefined {
  const tables = { tcp: readTable('tcp'), tcp6: readTable('tcp6') };
  const [listener, ...others] = listenersNaming(tables, { address: host, port });
  return others.length === 0 ? listener?.inode : undefined;
}

function readTable(name: string): string {
  try {
    return readFileSync(join('/proc/self/net', name), 'latin1');
  } catch {
    return '';
  }
}

/** What tells the network of this process from others of the machine. */
function networkName(): string | undefined {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0];
  } catch {
    return undefined;
  }
}
