import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { RunToken } from '../../client/run-tokens.js';
import { FarlightError } from '../../proto/errors.js';

/**
 * The folder where the processes of a run take their tokens. Only this user can read it, until the run ends.
 */
export class RunFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Undefined if the folder cannot be made, which is no reason not to run. */
  static make(tokens: readonly RunToken[]): RunFolder | undefined {
    try {
      const folder = new RunFolder(mkdtempSync(join(tmpdir(), 'farlight-run-')));
      for (const token of tokens) writeFileSync(folder.#of(token), '');
      return folder;
    } catch {
      return undefined;
    }
  }

  /** Whether a process has taken it. */
  isTaken(token: RunToken): boolean {
    return !existsSync(this.#of(token));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #of(token: RunToken): string {
    return join(this.path, token);
  }
}

/**
 * Checks, before the program starts, that a file can be written which the program will make later. An
 * existing file stays until then. Returns an absolute path, because the program may change its folder.
 *
 * @throws FarlightError BAD_OPTION if it cannot be written.
 */
export function checkWritable(option: string, path: string): string {
  const absolute = resolve(path);
  try {
    const isThere = existsSync(absolute);
    closeSync(openSync(absolute, isThere ? 'r+' : 'wx'));
    if (!isThere) rmSync(absolute);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FarlightError(
      'BAD_OPTION',
      `${option} ${path} cannot be written (${code}); name a file in a folder that exists`,
    );
  }
  return absolute;
}

/** Tells where the file is when the program has ended, or that the program wrote none. */
export function tellOfFile(path: string, what: string, isWritten: boolean): void {
  const none = existsSync(path) ? `${path} is from before` : `there is no ${path}`;
  const sentence = isWritten ? `${what} ${path}` : `the program asked for no GPU, so ${none}`;
  process.stderr.write(`farlight: ${sentence}\n`);
}
