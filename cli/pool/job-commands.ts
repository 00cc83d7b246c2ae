import { Command } from 'commander';
import { commandCommand } from './command.js';
import { hostCommand } from './host.js';

/** What a pool has its engine run. People do not type it. */
export const COMMANDS: readonly Command[] = [
  new Command('pool').enablePositionalOptions().addCommand(hostCommand()).addCommand(commandCommand()),
];
