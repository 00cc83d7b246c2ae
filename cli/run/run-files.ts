import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { RunToken } from '../../client/run-tokens.js';
import { FarlightError } from '../../proto/errors.js';

/** Where the processes of a run's program take their tokens: a folder of this user's alone, until the run ends. */
export class RunFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Undefined where none can be made, which is no reason not to run. */
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
 * Finds out, before the program starts, whether a file can be written that its process will make. What is there stays
 * until then. Returns the file's absolute path: the program may change its folder.
 *
 * @throws FarlightError BAD_OPTION where it cannot be.
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
