import {
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  lstatSync,
  opendirSync,
  openSync,
  readdirSync,
  readSync,
  rmdirSync,
  rmSync,
  type Stats,
} from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContentName, contentNameFromHex, contentNameToHex } from '../../proto/content/content.js';
import { codeOf } from '../../proto/errors.js';

/** A file of a store's folder, as a scan found it. */
export interface StoredFile {
  readonly path: string;
  /** Undefined for a temporary file: somebody writes it now, or a killed process left it. */
  readonly name: ContentName | undefined;
  readonly bytes: number;
  /** When it was last used, in milliseconds since 1970: its modification time, because only its use modifies it. */
  readonly used: number;
}

export interface FolderSummary {
  count: number;
  bytes: number;
  /** In milliseconds since 1970. Absent where there is no file. */
  oldestUse?: number;
  newestUse?: number;
}

const TEMPORARY = /^new-[0-9a-f]{32}$/;

/** The path of a content. It has the name in hex, and never the name's own characters. */
export function contentPath(folder: string, name: ContentName): string {
  return join(folder, contentNameToHex(name));
}

/** @param unique 16 random bytes. */
export function temporaryPath(folder: string, unique: Uint8Array): string {
  return join(folder, `new-${Buffer.from(unique).toString('hex')}`);
}

/**
 * The store's files, in no order. It skips other files, and files that disappear meanwhile: another process may evict
 * at any time.
 *
 * @param most The most entries of the folder to look at.
 * @throws where the folder cannot be read. A folder that does not exist is empty.
 */
export function scanSync(folder: string, most = Number.POSITIVE_INFINITY): StoredFile[] {
  return absentIs([], () => entriesOf(folder, most)).flatMap((file) => {
    const entry = entryOf(file);
    if (!entry) return [];
    const path = join(folder, file);
    const stats = absentIs(undefined, () => lstatSync(path));
    return stats?.isFile() ? [storedFile(path, entry, stats)] : [];
  });
}

/** The same without blocking the thread: a full store takes 50 ms. */
export async function scan(folder: string): Promise<StoredFile[]> {
  const files: StoredFile[] = [];
  for (const file of await readdir(folder).catch(ifAbsent([]))) {
    const entry = entryOf(file);
    if (!entry) continue;
    const path = join(folder, file);
    const stats = await lstat(path).catch(ifAbsent(undefined));
    if (stats?.isFile()) files.push(storedFile(path, entry, stats));
  }
  return files;
}

export function summarize(files: readonly StoredFile[]): FolderSummary {
  const summary: FolderSummary = { count: 0, bytes: 0 };
  for (const { name, bytes, used } of files) {
    // A temporary file takes room, and is no content yet.
    summary.bytes += bytes;
    if (!name) continue;
    summary.count += 1;
    summary.oldestUse = Math.min(summary.oldestUse ?? used, used);
    summary.newestUse = Math.max(summary.newestUse ?? used, used);
  }
  return summary;
}

/**
 * Deletes the store's files, and then its folder, unless that holds other files.
 *
 * @returns what was deleted.
 * @throws where something cannot be deleted.
 */
export function clearFolder(folder: string): FolderSummary {
  const files = scanSync(folder);
  for (const { path } of files) rmSync(path, { force: true });
  try {
    rmdirSync(folder);
  } catch (error) {
    // An open store makes its folder again when it writes, and may just have done so.
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')) throw error;
  }
  return summarize(files);
}

/**
 * The use of a content is noted on disk at most this often, so that most reads write nothing. Contents that were used
 * within the same hour are evicted in any order.
 */
const USE_PRECISION_MS = 3_600_000;

/**
 * Reads a content's file, and notes its use at `now`. Returns undefined for a file that no store has written.
 *
 * @throws where the file cannot be read.
 */
export function readContent(path: string, mostBytes: number, now: number): Uint8Array | undefined {
  // A content is a plain file. These flags follow no link, and do not wait for the other end of a pipe.
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    // Checked first, so that a file that is far too large is not read into memory.
    if (!stats.isFile() || stats.size > mostBytes) return undefined;
    const bytes = new Uint8Array(stats.size);
    for (let at = 0, count = -1; at < bytes.length && count !== 0; at += count) {
      count = readSync(file, bytes, at, bytes.length - at, at);
    }
    noteUse(file, stats.mtimeMs, now);
    return bytes;
  } finally {
    closeSync(file);
  }
}

function noteUse(file: number, used: number, now: number): void {
  if (now - used < USE_PRECISION_MS) return;
  try {
    futimesSync(file, new Date(now), new Date(now));
  } catch {
    // A read-only folder still serves its contents.
  }
}

/** Writes a whole new file with that time of use. Only this user can read it. */
export async function writeWhole(path: string, bytes: Uint8Array, used: Date): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.utimes(used, used);
  } finally {
    await file.close();
  }
}

const BLOCK_BYTES = 4096;

/** How many bytes of the disk a file of that length takes: whole blocks, and one for an empty file's entry. */
export function bytesOnDisk(length: number): number {
  return Math.max(1, Math.ceil(length / BLOCK_BYTES)) * BLOCK_BYTES;
}

function entriesOf(folder: string, most: number): string[] {
  if (most === Number.POSITIVE_INFINITY) return readdirSync(folder);
  const names: string[] = [];
  const entries = opendirSync(folder);
  try {
    for (let entry = entries.readSync(); entry && names.length < most; entry = entries.readSync()) {
      names.push(entry.name);
    }
  } finally {
    entries.closeSync();
  }
  return names;
}

/** Undefined for a file that is not the store's. */
function entryOf(file: string): { name: ContentName | undefined } | undefined {
  const name = contentNameFromHex(file);
  return name || TEMPORARY.test(file) ? { name } : undefined;
}

function storedFile(path: string, { name }: { name: ContentName | undefined }, stats: Stats): StoredFile {
  return { path, name, bytes: stats.size, used: stats.mtimeMs };
}

function absentIs<T>(fallback: T, look: () => T): T {
  try {
    return look();
  } catch (error) {
    return ifAbsent(fallback)(error);
  }
}

function ifAbsent<T>(fallback: T): (error: unknown) => T {
  return (error) => {
    if (codeOf(error) === 'ENOENT') return fallback;
    throw error;
  };
}
