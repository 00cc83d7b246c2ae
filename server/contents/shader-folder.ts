import { type Dirent, lstatSync, opendirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../../proto/errors.js';
import type { FolderSummary } from './content-folder.js';

/** Files of a driver that are looked at: with more the folder is too full, whatever they take. */
const MOST_FILES = 20_000;
/** Folders within each other; drivers need two or three. */
const MOST_LEVELS = 8;

/**
 * What a GPU's driver keeps in a folder, in whatever files and folders it likes.
 *
 * @throws where the folder cannot be read; one that is not there is empty.
 */
export function summarizeShaders(folder: string): FolderSummary {
  const summary: FolderSummary = { count: 0, bytes: 0 };
  look(folder, 1);
  return summary;

  function look(path: string, level: number): void {
    for (const entry of entriesOf(path)) {
      if (summary.count >= MOST_FILES) return;
      const within = join(path, entry.name);
      if (entry.isDirectory() && level < MOST_LEVELS) look(within, level + 1);
      else if (entry.isFile()) count(within);
    }
  }

  function count(path: string): void {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (!stats) return;
    summary.count += 1;
    summary.bytes += stats.blocks * 512;
    summary.oldestUse = Math.min(summary.oldestUse ?? stats.mtimeMs, stats.mtimeMs);
    summary.newestUse = Math.max(summary.newestUse ?? stats.mtimeMs, stats.mtimeMs);
  }
}

/**
 * Deletes what a driver keeps, all at once: another process may go on with what it has open, and begin anew.
 *
 * @returns what was deleted.
 * @throws where it cannot be read or deleted.
 */
export function clearShaders(folder: string): FolderSummary {
  const summary = summarizeShaders(folder);
  const away = `${folder}.${process.pid}`;
  try {
    renameSync(folder, away);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return summary;
    throw error;
  }
  rmSync(away, { recursive: true, force: true });
  return summary;
}

/** Empties the folder where it has more than it may. @throws as above. */
export function trimShaders(folder: string, maxBytes: number): void {
  const { bytes, count } = summarizeShaders(folder);
  if (bytes > maxBytes || count >= MOST_FILES) clearShaders(folder);
}

function* entriesOf(path: string): Generator<Dirent> {
  try {
    const entries = opendirSync(path);
    try {
      for (let entry = entries.readSync(); entry; entry = entries.readSync()) yield entry;
    } finally {
      entries.closeSync();
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
