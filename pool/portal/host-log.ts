import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { codeOf } from '../../proto/errors.js';
import { harmlessLines } from '../../proto/harmless.js';
import type { PoolView } from '../attach/pool-view.js';

/** The end of a log that is read, in bytes. */
const MOST_BYTES = 64 << 10;

/**
 * The end of what the host of a term has printed; undefined where nobody has it any more.
 *
 * @throws FarlightError UNREACHABLE where the engine has it, and does not answer (rejects).
 */
export async function hostLog(view: PoolView, slot: number, term: number): Promise<string | undefined> {
  const file = view.journal.logOf(slot, term);
  const kept = endOf(file);
  if (kept !== undefined) return harmlessLines(kept);
  const { facts } = view.allocation(slot);
  if (facts.term !== term || facts.job === undefined) return undefined;
  return harmlessLines((await view.pool.engine.logs(facts.job, file)).slice(-MOST_BYTES));
}

/** The end of a file; undefined where there is none. */
export function endOf(file: string): string | undefined {
  let opened: number;
  try {
    opened = openSync(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = fstatSync(opened);
    const bytes = Buffer.alloc(Math.min(size, MOST_BYTES));
    const read = readSync(opened, bytes, 0, bytes.length, size - bytes.length);
    return bytes.subarray(0, read).toString();
  } finally {
    closeSync(opened);
  }
}
