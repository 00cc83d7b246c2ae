import { type Dirent, lstatSync, opendirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../../link/files/make-folder.js';
import { codeOf } from '../../proto/errors.js';
import type { BoundedFolder } from '../../proto/session/executor-messages.js';
import type { FolderSummary } from './content-folder.js';

/**
 * The variables that tell drivers where to keep compiled shaders: those of Mesa, NVIDIA and AMD. Each driver gets a bound
 * below the folder's, where it takes one, so that the folder need not be emptied.
 */
const VARIABLES: readonly ((folder: string, bytes: number) => Readonly<Record<string, string>>)[] = [
  (folder, bytes) => ({
    MESA_SHADER_CACHE_DIR: folder,
    MESA_SHADER_CACHE_MAX_SIZE: `${Math.floor(bytes / 1024)}K`,
  }),
  (folder, bytes) => ({
    __GL_SHADER_DISK_CACHE_PATH: folder,
    __GL_SHADER_DISK_CACHE_SIZE: String(bytes),
  }),
  (folder) => ({ AMD_SHADER_DISK_CACHE_PATH: folder }),
];

const NOWHERE = { MESA_SHADER_CACHE_DISABLE: 'true', __GL_SHADER_DISK_CACHE: '0' };

/** The most files that are looked at. A folder with more is too full, however small they are. */
const MOST_FILES = 20_000;
/** How deep folders may lie within each other. Drivers need two or three levels. */
const MOST_LEVELS = 8;

/**
 * Tells the GPU's driver where to keep compiled shaders: in a folder of the tenant, so that no tenant finds out what
 * another has compiled, or nowhere. Call it before the driver is loaded, which reads this once.
 */
export function keepShaders(where: BoundedFolder | 'nowhere'): void {
  Object.assign(process.env, where === 'nowhere' ? NOWHERE : variables(where));
}

function variables({ path, maxBytes }: BoundedFolder): Readonly<Record<string, string>> {
  try {
    trimShaders(path, maxBytes);
    makeFolder(path, 0o700);
  } catch {
    return NOWHERE;
  }
  const bytes = Math.floor((maxBytes * 3) / 4);
  return Object.assign({}, ...VARIABLES.map((of) => of(path, bytes)));
}

/**
 * Sums up a driver's folder. Its files and folders may have any names.
 *
 * @throws where the folder cannot be read. A folder that does not exist is empty.
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
 * Deletes a driver's folder. It is renamed first, so that it goes all at once: another process goes on with the files
 * that it has open, and begins a new folder.
 *
 * @returns what was deleted.
 * @throws where the folder cannot be read or deleted.
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

/** Empties the folder where it takes more than it may. @throws as above. */
function trimShaders(folder: string, maxBytes: number): void {
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
