import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SocketTables } from './socket-table.js';

/** A folder in the machine's memory. Containers and other machines have another one. */
const BASE = '/dev/shm';

/**
 * The unix socket of a host that listens on a loopback address. It is in a folder that only its user can enter. Its name
 * holds the address, the network namespace (each container has its own 127.0.0.1), and the inode of the listening socket,
 * which no other socket ever has. So the name belongs to the host while it listens, and the next listener has another.
 */
export interface NearAddress {
  readonly folder: string;
  readonly path: string;
}

/** Undefined if nobody listens at that address, or on a system other than Linux. */
export function nearAddress(host: string, port: number): NearAddress | undefined {
  const folder = nearFolder();
  const network = networkName();
  const listener = listenerAt(host, port);
  if (folder === undefined || network === undefined || listener === undefined) return undefined;
  return { folder, path: join(folder, `${network}-${host}-${port}-${listener}`) };
}

/**
 * The unix socket of this user's host at a loopback address. Undefined if there is none, or if its user cannot be
 * determined.
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

/** Whether a folder belongs to this user, and nobody else can enter it. */
export function isPrivate(folder: string): boolean {
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0;
}

/** Whether this system can have near hosts' unix sockets: Linux can. */
export function hasNear(): boolean {
  return networkName() !== undefined && lstatSync(BASE, { throwIfNoEntry: false })?.isDirectory() === true;
}

function nearFolder(): string | undefined {
  const uid = process.geteuid?.();
  return uid === undefined ? undefined : join(BASE, `farlight-${uid}`);
}

/** The inode of the only socket of this network namespace that listens at an address. */
function listenerAt(host: string, port: number): number | undefined {
  const tables = new SocketTables({ tcp: readTable('tcp'), tcp6: readTable('tcp6') });
  const [listener, ...others] = tables.listenersNaming({ address: host, port });
  return others.length === 0 ? listener?.inode : undefined;
}

function readTable(name: string): string {
  try {
    return readFileSync(join('/proc/self/net', name), 'latin1');
  } catch {
    return '';
  }
}

/** Identifies this process's network namespace. */
function networkName(): string | undefined {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0];
  } catch {
    return undefined;
  }
}
