import { lstatSync, opendirSync, readdirSync, rmdirSync, rmSync, type Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContentName, contentNameFromHex, contentNameToHex } from '../../proto/content.js';
import { codeOf } from '../../proto/errors.js';

/** A file of a store's folder, as a scan found it. */
export interface StoredFile {
  readonly path: string;
  /** Undefined for a temporary file: one that is being written, or that a killed process left. */
  readonly name: ContentName | undefined;
  readonly bytes: number;
  /** The file's modification time, in milliseconds since 1970: nothing modifies it but its use. */
  readonly used: number;
}

export interface FolderSummary {
  count: number;
  bytes: number;
  /** In milliseconds since 1970; absent where there is nothing. */
  oldestUse?: number;
  newestUse?: number;
}

const TEMPORARY = /^new-[0-9a-f]{32}$/;

/** Where a content lies. The name's own characters are never part of the path, only their hex. */
export function contentPath(folder: string, name: ContentName): string {
  return join(folder, contentNameToHex(name));
}

/** @param unique 16 random bytes. */
export function temporaryPath(folder: string, unique: Uint8Array): string {
  return join(folder, `new-${Buffer.from(unique).toString('hex')}`);
}

/**
 * The store's files, in no order. What is no file of a store is passed over, and so is a file that
 * goes while we look: another process may evict at any time.
 *
 * @param most of the folder's entries no more are looked at.
 * @throws where the folder cannot be read; a folder that is not there is empty.
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

/** The same without keeping the thread: a full store takes 50 ms. */
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
    // A temporary file takes room, but is no content yet.
    summary.bytes += bytes;
    if (!name) continue;
    summary.count += 1;
    summary.oldestUse = Math.min(summary.oldestUse ?? used, used);
    summary.newestUse = Math.max(summary.newestUse ?? used, used);
  }
  return summary;
}

/**
 * Deletes the store's files and then its folder, unless something is in it that is not the store's.
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
    // A store that is open makes its folder again when it next writes, or has just done so.
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')) throw error;
  }
  return summarize(files);
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

/** Undefined for a file that is none of the store's. */
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
