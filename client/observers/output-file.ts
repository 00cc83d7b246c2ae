import { openSync } from 'node:fs';
import { isMainThread, threadId } from 'node:worker_threads';
import { FarlightError } from '../../proto/errors.js';
import { type RunToken, takeToken } from '../run-tokens.js';

export interface OutputFile {
  /** An absolute path. */
  path: string;
  /** How the path should end, such as `.json`. */
  suffix: string;
  /** A name for the file in errors: `the trace`. */
  what: string;
  /**
   * Other programs may write to the same path: an existing file is left alone, and this one gets another
   * name. But the program that takes the run's token replaces the file of an earlier run.
   */
  shared: boolean;
  token: RunToken;
  /** The number of this file among the program's files under one path, from 1 on. */
  number: number;
}

/**
 * Opens a file to write, and returns its descriptor. If another program, thread or session has the path, the
 * process's id goes before the suffix, with the numbers of the thread and session if they are not the first.
 *
 * @throws FarlightError BAD_OPTION if the file cannot be made.
 */
export function openOutput({ path, suffix, what, shared, token, number }: OutputFile): number {
  const stem = path.endsWith(suffix) ? path.slice(0, -suffix.length) : path;
  const thread = isMainThread ? '' : `-thread${threadId}`;
  const other = `${stem}.${process.pid}${thread}${number > 1 ? `-${number}` : ''}${suffix}`;
  try {
    if (number > 1) return openSync(other, 'w');
    return openSync(path, shared && !takeToken(token) ? 'wx' : 'w');
  } catch (error) {
    if (shared && fileProblem(error) === 'EEXIST') return openSync(other, 'w');
    throw new FarlightError(
      'BAD_OPTION',
      `${what} cannot be written to ${path} (${fileProblem(error)}); name a file in a folder that exists`,
    );
  }
}

/** Why a file cannot be written, as a short code if there is one. */
export function fileProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
