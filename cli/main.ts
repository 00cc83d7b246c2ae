#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../link/package-version.js';
import { redact } from '../proto/token.js';
import { cacheCommand } from './cache.js';
import { complain } from './complain.js';
import { doctorCommand } from './doctor.js';
import { replayCommand } from './replay.js';
import { runCommand } from './run.js';
import { serveCommand } from './serve.js';
import { tokenCommand } from './token.js';

// Every user of the machine can read what a process was started with; node:process writes the title over that.
const typed = process.argv.slice(2).join(' ');
if (redact(typed) !== typed) process.title = `farlight ${redact(typed)}`;

const EXAMPLES = `
Examples:
  farlight run -- node app.mjs                                  on a GPU of this machine, or a software one
  farlight serve                                                on the machine with the GPU
  farlight run --host grpc://127.0.0.1:7070 -- node app.mjs     on that host's GPU
  farlight run --emulate rtt=30,mbit=100 -- node app.mjs        as if that were 30 ms away
  farlight serve --listen 0.0.0.0:7070                          for other machines: prints the address to paste there
  farlight run --trace out.json -- node app.mjs                 what happened when, for https://ui.perfetto.dev
  farlight run --record out.fltrace -- node app.mjs             the whole session, for farlight replay
  farlight doctor --host grpc://127.0.0.1:7070                  is something wrong, and how fast is it?`;

const program = new Command('farlight')
  .description('WebGPU on a GPU that is somewhere else: programs run unmodified on a machine without one.')
  .version(packageVersion())
  .enablePositionalOptions()
  .addHelpText('after', EXAMPLES);

for (const command of [
  serveCommand(),
  runCommand(),
  doctorCommand(),
  replayCommand(),
  cacheCommand(),
  tokenCommand(),
])
  program.addCommand(command);
for (const command of [program, ...program.commands.flatMap((each) => [each, ...each.commands])]) {
  command.exitOverride();
  // Commander's own wording is kept, its "error:" is not: catch() below says it in our manner.
  command.configureOutput({ outputError: () => {} });
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = error instanceof CommanderError ? usage(error) : complain(error);
}

/** What commander threw: help and --version end well, anything else is a mistake in the arguments. */
function usage(error: CommanderError): number {
  if (error.exitCode === 0 || error.code === 'commander.help') return error.exitCode;
  const sentence = error.message
    .replace(/^error: /, '')
    .replace(/\n/g, ' ')
    .replace(/\.$/, '');
  process.stderr.write(`farlight: ${redact(sentence)}; see farlight --help\n`);
  return 2;
}
