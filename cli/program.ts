import { inspect } from 'node:util';
import { Command, CommanderError } from 'commander';
import { setTimeout } from '../link/machine/clock.js';
import { packageVersion } from '../link/machine/package-version.js';
import { unref } from '../link/machine/timer.js';
import { FarlightError } from '../proto/errors.js';
import { harmless, harmlessLines } from '../proto/harmless.js';
import { redact } from '../proto/token.js';
import { addExamples } from './examples.js';

/** Does what was typed, with one of the commands that `load` brings. */
export async function runProgram(load: () => Promise<readonly Command[]>): Promise<void> {
  // Every user of the machine can read the arguments of a process. Setting the title overwrites them: they may
  // hold a token. First, since loading takes a while.
  const typed = process.argv.slice(2).join(' ');
  if (redact(typed) !== typed) process.title = `farlight ${redact(typed)}`;
  const program = new Command('farlight')
    .description('WebGPU on a GPU that is somewhere else: programs run unmodified on a machine without one.')
    .version(packageVersion())
    .commandsGroup('One program and its host:')
    .helpCommand(true)
    .enablePositionalOptions();
  for (const command of await load()) program.addCommand(command);
  for (const command of [program, ...program.commands.flatMap((each) => [each, ...each.commands])]) {
    addExamples(command);
    command.exitOverride();
    // Keep Commander's wording without its "error:"; the catch below prints it in our style.
    command.configureOutput({ outputError: () => {} });
  }
  process.stdout.on('error', unwritable);
  // There is nobody to tell.
  process.stderr.on('error', () => {});
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = error instanceof CommanderError ? usage(program, error) : complain(error);
  }
  // A command may also set it and end.
  if (process.exitCode) endSoon();
}

/** How long a command that has failed may have something open, in milliseconds. */
const LEFT_OPEN_MS = 1000;

/**
 * Ends a command that has failed. A library may have left a connection that it gave up, which would keep the process alive.
 * All that was printed is written first, however slow its reader is.
 */
function endSoon(): void {
  process.stdout.write('', () => {
    process.stderr.write('', () => {
      unref(setTimeout(() => process.exit(), LEFT_OPEN_MS));
    });
  });
}

/**
 * A reader that goes away, such as `head`, has all that it wants: what the command does goes on, and is not shown. Any other
 * error means that a person does not get what was asked for.
 */
function unwritable(error: NodeJS.ErrnoException): void {
  // The command itself tells it where it cannot go on without what it prints.
  const isTold = process.stdout.listenerCount('error') > 1;
  if (error.code === 'EPIPE' || process.exitCode || isTold) return;
  process.exitCode = complain(
    new FarlightError(
      'BAD_OPTION',
      `the output cannot be written (${error.code}); redirect it to a place that can be written`,
    ),
  );
}

/** How a mistake in the arguments ends. */
const MISUSED = 2;

/**
 * Commander throws for help and --version, too, which end well. Anything else is a mistake in the arguments. Where a command
 * is missing, Commander has printed the help, which says it all.
 */
function usage(program: Command, error: CommanderError): number {
  if (error.exitCode === 0) return 0;
  if (error.code === 'commander.help') return MISUSED;
  const sentence = error.message
    .replace(/^error: /, '')
    .replace(/\n/g, ' ')
    .replace(/\.$/, '');
  process.stderr.write(`farlight: ${redact(sentence)}; see ${typedCommand(program)} --help\n`);
  return MISUSED;
}

/** The command that was typed, such as `farlight pool up`, as far as there is one of that name. */
function typedCommand(program: Command): string {
  const names = [program.name()];
  let at: Command | undefined = program;
  for (const word of process.argv.slice(2)) {
    at = at.commands.find((command) => command.name() === word);
    if (!at) break;
    names.push(word);
  }
  return names.join(' ');
}

/**
 * Tells the person on stderr what went wrong, and returns the exit code. A FarlightError is one sentence. Any
 * other error is a bug of ours: its stack helps to repair it. Neither tokens nor control characters are
 * shown.
 */
function complain(error: unknown): number {
  const text =
    error instanceof FarlightError
      ? harmless(error.message)
      : harmlessLines(`this is a bug of farlight: ${inspect(error)}`);
  process.stderr.write(`farlight: ${redact(text)}\n`);
  return 1;
}
