/** How a command ended, in a file of its exchange folder, written before its job is over. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../../proto/errors.js';

export interface CommandEnd {
  /** As a shell has it: 128 and the signal's number where a signal killed it. */
  readonly code: number;
  /** How many bytes it has written. A reader on another machine may see them later. */
  readonly stdout: number;
  readonly stderr: number;
}

export function writeEnd(exchange: string, end: CommandEnd): void {
  const path = join(exchange, 'end');
  writeFileSync(`${path}.new`, JSON.stringify(end), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function readEnd(exchange: string): CommandEnd | undefined {
  try {
    return JSON.parse(readFileSync(join(exchange, 'end'), 'utf8'));
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ESTALE') throw error;
    return undefined;
  }
}
