/** How a command ended, in a file of its exchange folder, written before its job is over. */
import { readJson, replaceJson } from '../files/file-calls.js';

export interface CommandEnd {
  /** As a shell has it: 128 and the signal's number where a signal killed it. */
  readonly code: number;
  /** How many bytes it has written. A reader on another machine may see them later. */
  readonly stdout: number;
  readonly stderr: number;
}

export function writeEnd(exchange: string, end: CommandEnd): void {
  replaceJson(exchange, 'end', end);
}

export function readEnd(exchange: string): CommandEnd | undefined {
  return readJson<CommandEnd>(exchange, 'end');
}
