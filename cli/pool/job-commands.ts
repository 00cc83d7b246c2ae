import { Command } from 'commander';
import { commandCommand } from './command.js';
import { hostCommand } from './host.js';

/** The commands that a pool's engine runs. People do not type them. */
export const COMMANDS: readonly Command[] = [
  new Command('pool').enablePositionalOptions().addCommand(hostCommand()).addCommand(commandCommand()),
];
