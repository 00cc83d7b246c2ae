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
    mkdirSync(folder, mode);
    return folder;
  } catch (error) {
    if (isFolder(folder)) return undefined;
    const above = dirname(folder);
    if (codeOf(error) !== 'ENOENT' || above === folder || isFolder(above)) throw error;
    const first = makeFolder(above, mode);
    const last = makeFolder(folder, mode);
    return first ?? last;
  }
}

/** A broken link is none, and neither is what cannot be reached. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
