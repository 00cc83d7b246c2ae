import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';

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

/** The state of a socket that listens, in the system's tables. */
const LISTENS = '0A';

/** The system's number of the one socket of this network that listens at an address. */
function listenerAt(host: string, port: number): string | undefined {
  const [table, bytes] = isIPv6(host)
    ? ['tcp6', [...new Array(15).fill(0), 1]]
    : ['tcp', host.split('.').map(Number)];
  const address = `${inWords(bytes)}:${hex(port, 4)}`;
  const found: string[] = [];
  for (const line of readTable(table)) {
    const [, local, , state, , , , , , number] = line.trim().split(/\s+/);
    if (local === address && state === LISTENS && number !== undefined) found.push(number);
  }
  return found.length === 1 ? found[0] : undefined;
}

/** An address as the system's tables have it: in words of four bytes, each a number of this machine's. */
function inWords(bytes: number[]): string {
  const words = new Uint32Array(Uint8Array.from(bytes).buffer);
  return [...words].map((word) => hex(word, 8)).join('');
}

function hex(number: number, digits: number): string {
  return number.toString(16).toUpperCase().padStart(digits, '0');
}

function readTable(name: string): string[] {
  try {
    return readFileSync(join('/proc/self/net', name), 'latin1').split('\n').slice(1);
  } catch {
    return [];
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
