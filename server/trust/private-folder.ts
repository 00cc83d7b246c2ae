import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { configFolder } from '../../link/machine/folders.js';
import { FarlightError } from '../../proto/errors.js';

const TEMPORARY = 'new-';

/** Where this machine, as a host, keeps who may use it and the key that it is known by. */
export function hostFolder(): string {
  return join(configFolder(), 'host');
}

/**
 * Makes a folder that only this user can look into, or sees that it is one.
 *
 * @throws FarlightError TRUST_UNUSABLE where it cannot be made, or others may look into it.
 */
export function makePrivate(folder: string): void {
  guarded(folder, () => mkdirSync(folder, { recursive: true, mode: 0o700 }));
  checkPrivate(folder);
}

/**
 * Sees that a folder, where there is one, is this user's and nobody else's to look into.
 *
 * @throws FarlightError TRUST_UNUSABLE
 */
export function checkPrivate(folder: string): void {
  const stats = guarded(folder, () => statSync(folder, { throwIfNoEntry: false }));
  if (!stats) return;
  if (!stats.isDirectory()) throw unusable(`${folder} is no folder; move it away`);
  // Windows has neither owners nor modes in this form; there the user's own folder is private anyway.
  if (!process.getuid) return;
  if (stats.uid !== process.getuid())
    throw unusable(
      `${folder} belongs to another user; run farlight as that user, or give it back with chown`,
    );
  if (stats.mode & 0o077)
    throw unusable(`others may look into ${folder}, which holds secrets; run: chmod 700 ${folder}`);
}

/**
 * Writes a file that nobody has written before, whole or not at all, also when the power fails.
 *
 * @returns false where it is there already: another process was first.
 * @throws FarlightError TRUST_UNUSABLE
 */
export function writeFirst(folder: string, name: string, text: string): boolean {
  return written(folder, name, text, (from, to) => {
    try {
      // A link, unlike a rename, fails where the name is taken. File systems without links have no modes either.
      linkSync(from, to);
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    } finally {
      rmSync(from, { force: true });
    }
  });
}

/** Writes a file in the place of what was there, likewise. @throws FarlightError TRUST_UNUSABLE */
export function replaceFile(folder: string, name: string, text: string): void {
  written(folder, name, text, (from, to) => {
    renameSync(from, to);
    return true;
  });
}

/** Deletes a file for good. @returns false where there was none. @throws FarlightError TRUST_UNUSABLE */
export function deleteFile(folder: string, name: string): boolean {
  return guarded(folder, () => {
    try {
      rmSync(join(folder, name));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
    flushFolder(folder);
    return true;
  });
}

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/** The error for a file or folder that the system does not let us use. */
export function unusable(sentence: string, cause?: unknown): FarlightError {
  return new FarlightError('TRUST_UNUSABLE', sentence, cause === undefined ? undefined : { cause });
}

function written(
  folder: string,
  name: string,
  text: string,
  place: (from: string, to: string) => boolean,
): boolean {
  makePrivate(folder);
  const temporary = join(folder, `${TEMPORARY}${randomBytes(8).toString('hex')}`);
  return guarded(folder, () => {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    const first = place(temporary, join(folder, name));
    flushFolder(folder);
    return first;
  });
}

/** A token that was revoked must not be back after a power failure, nor one that was printed be gone. */
function flushFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const file = openSync(folder, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function guarded<T>(folder: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof FarlightError) throw error;
    throw unusable(
      `${folder} cannot be used (${codeOf(error) ?? String(error)}); see that it is a folder of this user's`,
      error,
    );
  }
}
