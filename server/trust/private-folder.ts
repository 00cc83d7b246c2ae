import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../../link/files/make-folder.js';
import { flushFolder, replaceWhole, writeWhole } from '../../link/files/whole-file.js';
import { configFolder } from '../../link/machine/folders.js';
import { codeOf, FarlightError } from '../../proto/errors.js';

const FILE_MODE = 0o600;

/** The folder of this user's hosts: their tokens, key and certificate. */
export function hostFolder(): string {
  return join(configFolder(), 'host');
}

/**
 * Makes a folder that only this user can read, or checks that an existing one is private.
 *
 * @throws FarlightError TRUST_UNUSABLE where it cannot be made, or other users may read it.
 */
export function makePrivate(folder: string): void {
  guarded(folder, () => makeFolder(folder, 0o700));
  checkPrivate(folder);
}

/**
 * Checks that a folder, if it exists, belongs to this user and that nobody else can read it.
 *
 * @throws FarlightError TRUST_UNUSABLE
 */
export function checkPrivate(folder: string): void {
  const stats = guarded(folder, () => statSync(folder, { throwIfNoEntry: false }));
  if (!stats) return;
  if (!stats.isDirectory()) throw unusable(`${folder} is not a folder; move it away`);
  // Windows has no such owners and modes; there the user's own folder is private anyway.
  if (!process.getuid) return;
  if (stats.uid !== process.getuid())
    throw unusable(
      `${folder} belongs to another user; run farlight as that user, or change its owner with chown`,
    );
  if (stats.mode & 0o077)
    throw unusable(`other users may read ${folder}, which holds secrets; run: chmod 700 ${folder}`);
}

/**
 * Writes a new file, whole or not at all, even when the power fails: no token that was printed is lost.
 *
 * @returns false where the file exists already: another process was first.
 * @throws FarlightError TRUST_UNUSABLE
 */
export function writeFirst(folder: string, name: string, text: string): boolean {
  makePrivate(folder);
  return guarded(folder, () => writeWhole(folder, name, text, FILE_MODE));
}

/** Writes a file in place of an existing one, whole or not at all. @throws FarlightError TRUST_UNUSABLE */
export function replaceFile(folder: string, name: string, text: string): void {
  makePrivate(folder);
  guarded(folder, () => replaceWhole(folder, name, text, FILE_MODE));
}

/** Deletes a file, even when the power fails. @returns false where there was none. @throws FarlightError TRUST_UNUSABLE */
export function deleteFile(folder: string, name: string): boolean {
  return guarded(folder, () => {
    try {
      rmSync(join(folder, name));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
    // After a power failure no revoked token may be back.
    flushFolder(folder);
    return true;
  });
}

/** The error for a file or folder that this process cannot use. */
export function unusable(sentence: string, cause?: unknown): FarlightError {
  return new FarlightError('TRUST_UNUSABLE', sentence, cause === undefined ? undefined : { cause });
}

function guarded<T>(folder: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof FarlightError) throw error;
    throw unusable(
      `${folder} cannot be used (${codeOf(error) ?? String(error)}); check that it is a folder that belongs to this user`,
      error,
    );
  }
}
