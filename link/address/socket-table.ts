import { endianness } from 'node:os';
import { ipBytes } from './ip-bytes.js';

/** One end of a TCP connection, or the address of a listening socket. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/** The TCP sockets of a network namespace, as Linux lists them: the texts of /proc/net/tcp and /proc/net/tcp6. */
export interface SocketTables {
  readonly tcp: string;
  readonly tcp6: string;
}

/** A socket in the tables. */
export interface SocketEntry {
  /**
   * The user of its process. Undefined if it has no process: it is not accepted yet, or its process has closed it. The
   * tables show such sockets as root's.
   */
  readonly uid: number | undefined;
  /** Its inode, which no other socket ever has. 0 if no process has it. */
  readonly inode: number;
}

const UID_COLUMN = 7;
const INODE_COLUMN = 9;
const LISTENING = '0A';
/** The unspecified address in each table. */
const ANY = { tcp: '0'.repeat(8), tcp6: '0'.repeat(32) };
/** The bytes before an IPv4 address in an IPv6 socket. */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];

/** The socket at the end `local` of a connection. Undefined if the tables have none. */
export function socketOf(tables: SocketTables, local: End, remote: End): SocketEntry | undefined {
  for (const table of ['tcp', 'tcp6'] as const) {
    const [from, to] = [written(local, table), written(remote, table)];
    const entries = from && to ? entriesWith(tables[table], `${from} ${to}`) : [];
    if (entries.length > 0) return entries.find(({ uid }) => uid !== undefined) ?? entries[0];
  }
  return undefined;
}

/** The sockets that listen at this very address, and not at all addresses. */
export function listenersNaming(tables: SocketTables, at: End): SocketEntry[] {
  return (['tcp', 'tcp6'] as const).flatMap((table) => {
    const named = written(at, table);
    return named === undefined ? [] : listeners(tables, table, named);
  });
}

/**
 * The socket that accepts connections to an address. Undefined if the tables have none. The system prefers a socket with
 * this very address to one with all addresses.
 */
export function listenerAt(tables: SocketTables, at: End): SocketEntry | undefined {
  for (const table of ['tcp', 'tcp6'] as const) {
    const named = written(at, table);
    if (named === undefined) continue;
    const port = named.slice(named.indexOf(':'));
    for (const where of [named, ANY[table] + port]) {
      const [entry] = listeners(tables, table, where);
      if (entry) return entry;
    }
  }
  return undefined;
}

function listeners(tables: SocketTables, table: keyof SocketTables, where: string): SocketEntry[] {
  return entriesWith(tables[table], `${where} ${ANY[table]}:0000 ${LISTENING}`);
}

/** The entries of rows with these columns. */
function entriesWith(table: string, columns: string): SocketEntry[] {
  const found: SocketEntry[] = [];
  for (let at = table.indexOf(` ${columns} `); at >= 0; at = table.indexOf(` ${columns} `, at + 1)) {
    const [start, end] = [table.lastIndexOf('\n', at) + 1, table.indexOf('\n', at)];
    const row = table
      .slice(start, end < 0 ? undefined : end)
      .trim()
      .split(/\s+/);
    const [uid, inode] = [Number(row[UID_COLUMN]), Number(row[INODE_COLUMN])];
    found.push({ uid: inode > 0 && Number.isSafeInteger(uid) ? uid : undefined, inode });
  }
  return found;
}

/** An end as a table writes it, in words of the machine's byte order. Undefined if the table has no such addresses. */
function written({ address, port }: End, table: keyof SocketTables): string | undefined {
  const given = ipBytes(address);
  if (!given) return undefined;
  const isMapped = given.length === 16 && MAPPED.every((byte, at) => given[at] === byte);
  const bytes = isMapped ? given.subarray(12) : given;
  if (table === 'tcp' && bytes.length !== 4) return undefined;
  const wide = Buffer.from(table === 'tcp' || bytes.length === 16 ? bytes : [...MAPPED, ...bytes]);
  if (endianness() === 'LE') wide.swap32();
  return `${hex(wide)}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

function hex(bytes: Buffer): string {
  return bytes.toString('hex').toUpperCase();
}
