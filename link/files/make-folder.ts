import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { codeOf } from '../../proto/errors.js';

/**
 * Makes a folder and those above it, as Node's `mkdirSync` with `recursive` does. That one never returns where a folder is
 * there and says ENOENT for what is to be made in it, as /proc does.
 *
 * @param mode of each folder that is made.
 * @returns the uppermost one that was made; undefined where all were there.
 * @throws the system's error
 */
export function makeFolder(folder: string, mode?: number): string | undefined {
  try {
    return makeOne(folder, mode);
  } catch (error) {
    const above = dirname(folder);
    if (codeOf(error) !== 'ENOENT' || above === folder) throw error;
    const first = makeFolder(above, mode);
    // The one above is there by now, also where another process has just made it.
    const last = makeOne(folder, mode);
    return first ?? last;
  }
}

function makeOne(folder: string, mode: number | undefined): string | undefined {
  try {
    mkdirSync(folder, mode);
    return folder;
  } catch (error) {
    if (isFolder(folder)) return undefined;
    throw error;
  }
}

/** Follows links. One that leads nowhere, or in a circle, is no folder, and neither is a path that cannot be reached. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
