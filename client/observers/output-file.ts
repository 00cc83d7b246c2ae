import { openSync } from 'node:fs';
import { isMainThread, threadId } from 'node:worker_threads';
import { FarlightError } from '../../proto/errors.js';
import { type RunToken, takeToken } from '../run-tokens.js';

export interface OutputFile {
  /** Absolute. */
  path: string;
  /** What the path ends with, if it does as it should, such as `.json`. */
  suffix: string;
  /** What is written, for the error: `the trace`. */
  what: string;
  /**
   * Other programs may write there: a file that is there is left alone, and this one gets another name. Unless it is
   * this program that has the run's token: it replaces what an earlier run has left.
   */
  shared: boolean;
  token: RunToken;
  /** Of several files that this program was asked for under one path, which this is, from 1 on. */
  number: number;
}

/**
 * Opens a file to be written, and returns its descriptor. Where the path is taken, by another program, thread or
 * session, the process's id comes before the suffix, with the numbers of those where they are not the first.
 *
 * @throws FarlightError BAD_OPTION where it cannot be made.
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
      `${what} cannot be written to ${path} (${fileProblem(error)}); name a file in a folder that there is`,
    );
  }
}

/** Why a file cannot be written, in a word. */
export function fileProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
