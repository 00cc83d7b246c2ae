import { Command } from 'commander';
import { runProgram } from '../program.js';
import { commandCommand } from './command.js';
import { hostCommand } from './host.js';

/** The commands that a pool's engine runs. People do not type them. */
export function main(): Promise<void> {
  const pool = new Command('pool').enablePositionalOptions();
  return runProgram(async () => [pool.addCommand(hostCommand()).addCommand(commandCommand())]);
}
