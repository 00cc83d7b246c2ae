import { endianness } from 'node:os';
import { ipBytes } from './ip-bytes.js';

/** One end of a TCP connection, or the address of a listening socket. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/** A socket in the tables. */
export interface SocketEntry {
  /**
   * The user of its process. Undefined if it has no process: it is not accepted yet, or its process has closed it. The
   * tables show a socket without a process as root's.
   */
  readonly uid: number | undefined;
  /** Its inode, which no other socket ever has. 0 if no process has it. */
  readonly inode: number;
  /** The state of its connection, as the table writes it. */
  readonly state: string | undefined;
}

type Family = 'tcp' | 'tcp6';

const FAMILIES = ['tcp', 'tcp6'] as const;
const STATE_COLUMN = 3;
const UID_COLUMN = 7;
const INODE_COLUMN = 9;
const LISTENING = '0A';
/** The unspecified address in each table. */
const ANY = { tcp: '0'.repeat(8), tcp6: '0'.repeat(32) };
/** The bytes before an IPv4 address in an IPv6 socket. */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];

/**
 * The TCP sockets of a network namespace, as Linux lists them. One reading serves all who ask at that time: a machine that
 * has just closed 10,000 connections lists each for a minute.
 */
export class SocketTables {
  readonly #tables: Record<Family, Table>;

  /** @param texts the texts of /proc/net/tcp and /proc/net/tcp6. */
  constructor(texts: Record<Family, string>) {
    this.#tables = { tcp: new Table(texts.tcp), tcp6: new Table(texts.tcp6) };
  }

  /** The socket at the end `local` of a connection. Undefined if the tables have none. */
  socketOf(local: End, remote: End): SocketEntry | undefined {
    for (const family of FAMILIES) {
      const [from, to] = [written(local, family), written(remote, family)];
      const entries = from && to ? this.#tables[family].entriesWith(`${from} ${to}`) : [];
      if (entries.length > 0) return entries.find(({ uid }) => uid !== undefined) ?? entries[0];
    }
    return undefined;
  }

  /** The sockets that listen at this very address, and not at all addresses. */
  listenersNaming(at: End): SocketEntry[] {
    return FAMILIES.flatMap((family) => {
      const named = written(at, family);
      return named === undefined ? [] : this.#listeners(family, named);
    });
  }

  /**
   * The socket that accepts connections to an address. Undefined if the tables have none. The system prefers a socket with
   * this very address to one with all addresses.
   */
  listenerAt(at: End): SocketEntry | undefined {
    for (const family of FAMILIES) {
      const named = written(at, family);
      if (named === undefined) continue;
      const port = named.slice(named.indexOf(':'));
      for (const where of [named, ANY[family] + port]) {
        const [entry] = this.#listeners(family, where);
        if (entry) return entry;
      }
    }
    return undefined;
  }

  #listeners(family: Family, where: string): SocketEntry[] {
    const entries = this.#tables[family].entriesWith(`${where} ${ANY[family]}:0000`);
    return entries.filter(({ state }) => state === LISTENING);
  }
}

/** The rows of one text, found by their first two columns: the socket's own end and the other one. */
class Table {
  readonly #text: string;
  /** Where the rows begin. */
  #rows: Map<string, number[]> | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  entriesWith(ends: string): SocketEntry[] {
    this.#rows ??= this.#index();
    return (this.#rows.get(ends) ?? []).map((at) => this.#entryAt(at));
  }

  #index(): Map<string, number[]> {
    const text = this.#text;
    const rows = new Map<string, number[]>();
    // The first line has the columns' names.
    for (let at = text.indexOf('\n') + 1; at > 0 && at < text.length; at = text.indexOf('\n', at) + 1) {
      const start = text.indexOf(': ', at) + 2;
      const ends = text.slice(start, text.indexOf(' ', text.indexOf(' ', start) + 1));
      const others = rows.get(ends);
      if (others) others.push(at);
      else rows.set(ends, [at]);
    }
    return rows;
  }

  #entryAt(at: number): SocketEntry {
    const end = this.#text.indexOf('\n', at);
    const row = this.#text
      .slice(at, end < 0 ? undefined : end)
      .trim()
      .split(/\s+/);
    const [uid, inode] = [Number(row[UID_COLUMN]), Number(row[INODE_COLUMN])];
    const isOwned = inode > 0 && Number.isSafeInteger(uid);
    return { uid: isOwned ? uid : undefined, inode, state: row[STATE_COLUMN] };
  }
}

/** An end as a table writes it, in words of the machine's byte order. Undefined if the table has no such addresses. */
function written({ address, port }: End, family: Family): string | undefined {
  const given = ipBytes(address);
  if (!given) return undefined;
  const isMapped = given.length === 16 && MAPPED.every((byte, at) => given[at] === byte);
  const bytes = isMapped ? given.subarray(12) : given;
  if (family === 'tcp' && bytes.length !== 4) return undefined;
  const wide = Buffer.from(family === 'tcp' || bytes.length === 16 ? bytes : [...MAPPED, ...bytes]);
  if (endianness() === 'LE') wide.swap32();
  return `${hex(wide)}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

function hex(bytes: Buffer): string {
  return bytes.toString('hex').toUpperCase();
}
