import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { FarlightError } from '../../proto/errors.js';

/**
 * Finds out, before the program starts, whether a file can be written that its process will make. What is there stays
 * until then. Returns the file's absolute path: the program may change its folder.
 *
 * @throws FarlightError BAD_OPTION where it cannot be.
 */
export function prepareFile(option: string, path: string): string {
  const absolute = resolve(path);
  try {
    const isThere = existsSync(absolute);
    closeSync(openSync(absolute, isThere ? 'r+' : 'wx'));
    if (!isThere) rmSync(absolute);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FarlightError(
      'BAD_OPTION',
      `${option} ${path} cannot be written (${code}); name a file in a folder that there is`,
    );
  }
  return absolute;
}

/** Tells where the file is, once the program has ended, or that it wrote none. */
export function tellOfFile(path: string, what: string, isWritten: boolean): void {
  const none = existsSync(path) ? `${path} is from before` : `there is no ${path}`;
  const sentence = isWritten ? `${what} ${path}` : `the program asked for no GPU, so ${none}`;
  process.stderr.write(`farlight: ${sentence}\n`);
}
