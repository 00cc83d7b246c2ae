import { Command } from 'commander';
import { runCommand } from '../run-command.js';
import { commandCommand } from './command.js';
import { hostCommand } from './host.js';

/** The commands that a pool's engine runs. People do not type them. */
export function main(): Promise<void> {
  const pool = new Command('pool').enablePositionalOptions();
  return runCommand([pool.addCommand(hostCommand()).addCommand(commandCommand())]);
}
