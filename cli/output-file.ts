import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { FarlightError } from '../proto/errors.js';

/**
 * Makes way for a file that the program's process will make, and finds out before it starts whether that is possible.
 * Returns the file's absolute path: the program may change its folder.
 *
 * @throws FarlightError BAD_OPTION where it is not.
 */
export function prepareFile(option: string, path: string): string {
  const absolute = resolve(path);
  try {
    closeSync(openSync(absolute, 'w'));
    rmSync(absolute);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FarlightError(
      'BAD_OPTION',
      `${option} ${path} cannot be written (${code}); name a file in a folder that there is`,
    );
  }
  return absolute;
}

/** Tells where the file is, once the program has ended, or that there is none. */
export function tellOfFile(path: string, what: string): void {
  const sentence = existsSync(path)
    ? `${what} ${path}`
    : `the program asked for no GPU, so there is no ${path}`;
  process.stderr.write(`farlight: ${sentence}\n`);
}
