import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../../proto/errors.js';

/** A process that is killed while it writes leaves a file whose name begins with this. Readers look for other names. */
const TEMPORARY = 'new-';

/**
 * Writes a new file, whole or not at all, even when the power fails. The folder is there.
 *
 * @returns false where the file exists already: another process was first.
 * @throws the system's error
 */
export function writeWhole(folder: string, name: string, text: string, mode: number): boolean {
  return written(folder, text, mode, (temporary) => {
    try {
      // A link, unlike a rename, fails where the name exists. A file system without links has no modes either.
      linkSync(temporary, join(folder, name));
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
  });
}

/** Writes a file in place of an existing one, whole or not at all, even when the power fails. @throws the system's error */
export function replaceWhole(folder: string, name: string, text: string, mode: number): void {
  written(folder, text, mode, (temporary) => {
    renameSync(temporary, join(folder, name));
    return true;
  });
}

/** Waits until the names in a folder are on the disk. @throws the system's error */
export function flushFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const file = openSync(folder, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** @param place gives the temporary file its name. */
function written(folder: string, text: string, mode: number, place: (temporary: string) => boolean): boolean {
  const temporary = join(folder, `${TEMPORARY}${randomBytes(8).toString('hex')}`);
  try {
    const file = openSync(temporary, 'wx', mode);
    try {
      // All of it, or an error: a single write may end early where a disk is full.
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    const isPlaced = place(temporary);
    flushFolder(folder);
    return isPlaced;
  } finally {
    tidy(temporary);
  }
}

function tidy(temporary: string): void {
  try {
    rmSync(temporary, { force: true });
  } catch {
    // An error before this one says more, and without one the file is written.
  }
}
