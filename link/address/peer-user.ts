import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { monotonicNow } from '../machine/clock.js';
import { native } from '../machine/globals.js';
import { readRows } from './socket-rows.js';
import { type End, SocketTables } from './socket-table.js';

/** The user of this process. Undefined on Windows, which has no user numbers. */
export const ownUser: number | undefined = process.geteuid?.();

/** Whether this system can tell which user's process has the other end of a connection. */
export const knowsUsers: boolean = process.platform === 'linux' && ownUser !== undefined;

/**
 * The user whose process on this machine has connected to us. Undefined if that is unknown: the process has ended, or it
 * is in another network namespace, or the system does not tell.
 *
 * @param since a time by `monotonicNow` when the connection was there. A reading that has begun after it is new enough. If
 * left out, a reading begins now.
 */
export async function userBehind(
  socket: Socket,
  since: number = Number.POSITIVE_INFINITY,
): Promise<number | undefined> {
  const ends = endsOf(socket);
  if (!ends) return undefined;
  // A client at an IPv4 address seldom has an IPv6 socket.
  const readers = [...(ends.remote.address.includes('.') ? [IPV4_TABLE] : []), ...ALL_TABLES];
  for (const [round, reader] of readers.entries()) {
    // A row that one reading has missed needs another one.
    const tables = await reader.read(round === 0 ? since : undefined);
    // It gave way to others, or its client has left.
    if (socket.destroyed) return undefined;
    const entry = tables?.socketOf(ends.remote, ends.local);
    if (entry) return known(entry.uid);
  }
  return undefined;
}

/**
 * The user whose process receives our bytes on a connection that we made. `elsewhere` if no process of this network
 * namespace does: then something leads the connection away, which only root can set up. Undefined if that is unknown.
 */
export async function userAhead(socket: Socket): Promise<number | 'elsewhere' | undefined> {
  const ends = endsOf(socket);
  if (!ends) return undefined;
  let nobody: number | 'elsewhere' | undefined;
  for (const reader of ALL_TABLES) {
    const tables = await reader.read();
    if (!tables) return undefined;
    // Linux lists listeners before connections. A connection that nobody has accepted belongs to the listener's user.
    const listener = tables.listenerAt(ends.remote);
    const theirs = tables.socketOf(ends.remote, ends.local);
    if (theirs) return known(theirs.uid ?? listener?.uid);
    const ours = tables.socketOf(ends.local, ends.remote);
    nobody = listener || ours?.uid === undefined ? known(listener?.uid) : 'elsewhere';
  }
  return nobody;
}

function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket) {
  if (localAddress === undefined || remoteAddress === undefined) return undefined;
  const local: End = { address: localAddress, port: localPort ?? 0 };
  const remote: End = { address: remoteAddress, port: remotePort ?? 0 };
  return { local, remote };
}

/**
 * Reads socket tables of this process's network namespace. A reading takes milliseconds, so concurrent requests share
 * one. They share the next one to begin: a reading in progress may already have passed their row.
 */
class TableReader {
  readonly #readTables: () => Promise<SocketTables>;
  /** The last reading that has begun, and when. */
  #running: Promise<SocketTables | undefined> | undefined;
  #began = Number.NEGATIVE_INFINITY;
  #next: Promise<SocketTables | undefined> | undefined;

  constructor(readTables: () => Promise<SocketTables>) {
    this.#readTables = readTables;
  }

  /** Of a reading that begins now, or has begun after a time. Undefined if the tables cannot be read. */
  read(since: number = Number.POSITIVE_INFINITY): Promise<SocketTables | undefined> {
    if (this.#running && this.#began > since) return this.#running;
    this.#next ??= (this.#running ?? native.Promise.resolve(undefined)).then(() => this.#begin());
    return this.#next;
  }

  #begin(): Promise<SocketTables | undefined> {
    this.#running = this.#next;
    this.#next = undefined;
    this.#began = monotonicNow();
    return this.#readTables().catch(() => undefined);
  }
}

/** The sockets of IPv4 alone, in half of the time. */
const IPV4_TABLE = new TableReader(
  async () => new SocketTables({ tcp: await readRows('/proc/net/tcp'), tcp6: '' }),
);

const TABLES = new TableReader(async () => {
  const [tcp, tcp6] = await native.Promise.all([
    readFile('/proc/net/tcp', 'latin1'),
    // A machine without IPv6 has no such table.
    readFile('/proc/net/tcp6', 'latin1').catch(() => ''),
  ]);
  return new SocketTables({ tcp, tcp6 });
});

/** A row may be missing from one reading of the tables while others are removed, so they are read twice. */
const ALL_TABLES = [TABLES, TABLES];

/** In a container one number stands for all users without a number there. So that number identifies nobody. */
function known(uid: number | undefined): number | undefined {
  return uid === standIn() ? undefined : uid;
}

let standInRead: { uid: number | undefined } | undefined;

function standIn(): number | undefined {
  standInRead ??= { uid: readStandIn() };
  return standInRead.uid;
}

/** Undefined if every user has a number. */
function readStandIn(): number | undefined {
  try {
    const map = readFileSync('/proc/self/uid_map', 'latin1').trim().split(/\s+/).map(Number);
    if (map[0] === 0 && map[1] === 0 && map[2] === 0xffffffff) return undefined;
    return Number(readFileSync('/proc/sys/kernel/overflowuid', 'latin1'));
  } catch {
    return undefined;
  }
}
