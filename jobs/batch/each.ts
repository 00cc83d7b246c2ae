import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { writeFirst } from '../../server/trust/private-folder.js';

/** The default export of a batch's boot file. Its result is kept as JSON. */
export type EachFile = (file: string) => unknown;

export interface BatchOptions {
  readonly boot: string;
  /** A folder, whose files are the items. */
  readonly dataset: string;
  /** The folder that gets a file for each item. All workers have it. */
  readonly results: string;
  readonly index: number;
  readonly count: number;
}

export interface BatchReport {
  readonly done: number;
  /** They have a result from an earlier attempt. */
  readonly skipped: number;
  readonly failed: readonly { readonly item: string; readonly why: string }[];
}

/**
 * Calls a program's function for a worker's share of the files in a folder, one after the other in one process, so that
 * models stay loaded. A result is written whole, and once.
 *
 * @throws FarlightError BAD_OPTION (rejects)
 */
export async function eachFile({ boot, dataset, results, index, count }: BatchOptions): Promise<BatchReport> {
  const items = filesIn(dataset).filter((_, at) => at % count === index);
  const { default: each } = await loaded(boot);
  if (typeof each !== 'function')
    throw new FarlightError(
      'BAD_OPTION',
      `${boot} exports no function as its default; export one that takes a file`,
    );
  const known = new Set(readdirSync(results));
  const failed: { item: string; why: string }[] = [];
  let done = 0;
  const waiting = items.filter((item) => !known.has(resultName(item)));
  for (const item of waiting) {
    try {
      const result = await each(join(dataset, item));
      writeFirst(results, resultName(item), `${JSON.stringify(result ?? null)}\n`);
      done += 1;
    } catch (error) {
      failed.push({ item, why: messageOf(error) });
    }
  }
  return { done, skipped: items.length - waiting.length, failed };
}

/** The program's own error is not one of Farlight: its stack says where the program's file is wrong. */
async function loaded(boot: string): Promise<{ default?: EachFile }> {
  try {
    return await import(pathToFileURL(boot).href);
  } catch (error) {
    process.stderr.write(`${inspect(error)}\n`);
    throw new FarlightError('BAD_OPTION', `${boot} cannot be loaded: ${messageOf(error)}`, { cause: error });
  }
}

function filesIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    throw new FarlightError('BAD_OPTION', `the dataset ${folder} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function resultName(item: string): string {
  return `${item}.json`;
}
