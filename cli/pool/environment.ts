import { constants } from 'node:os';
import { Command } from 'commander';
import { poolAddress } from '../../link/address/pool-address.js';
import { setImmediate } from '../../link/machine/clock.js';
import { bytes, counted } from '../../page/site/format.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless } from '../../proto/harmless.js';
import { type EndingSignal, onEndingSignal } from '../stop-signal.js';

/** The signals that end a command before it is done. SIGPIPE: nobody reads its output any more. */
type Ending = EndingSignal | 'SIGPIPE';

export function upCommand(): Command {
  return new Command('up')
    .description('Make a pool ready for commands: copy its files, and see that its nodes see them.')
    .argument('<pool>', "the pool's name, or its file")
    .option('--gpu', 'try the GPU side too, which has a node started for it')
    .allowExcessArguments(false)
    .action(up);
}

export function runInPoolCommand(): Command {
  return new Command('run')
    .description('Run a command on the CPU side of a pool. It may offload others to GPU nodes.')
    .usage('<pool> -- <command> [args...]')
    .argument('<pool>', "the pool's name, or its file")
    .argument('<command...>', 'the command and its arguments')
    .passThroughOptions()
    .action(run);
}

export function offloadCommand(): Command {
  const repeated = (text: string, given: string[] | undefined) => [...(given ?? []), text];
  return new Command('offload')
    .description('Run a command on a GPU node of a pool, which is started for it and given back.')
    .usage('[options] -- <command> [args...]')
    .argument('<command...>', 'the command and its arguments')
    .option('--pool <name>', "the pool's name, or its file (or FARLIGHT_POOL, which farlight pool run sets)")
    .option('--gpu <kind>', "the node's GPUs, as the pool's engine names them: a100, or a100:2")
    .option('--input <path>', 'a file or folder that the command reads; may be repeated', repeated)
    .passThroughOptions()
    .action(offload);
}

async function up(name: string, { gpu }: { gpu?: boolean }): Promise<void> {
  const { Workspace, readPool, runOnCpuSide, offload } = await load();
  const pool = readPool(poolAddress(name));
  const workspace = new Workspace(pool);
  await pool.engine.list('farlight.');
  const { copied, unchanged, bytes: size } = await workspace.replicate([], process.cwd());
  const say = (text: string) => process.stdout.write(`${harmless(text)}\n`);
  if (workspace.shared !== undefined)
    say(
      `${workspace.shared}: ${counted(copied, 'file')} copied (${bytes(size)}), ${unchanged} ${unchanged === 1 ? 'was' : 'were'} there`,
    );
  const code = await cancellable(async (signal) => {
    // A command that does nothing runs only where both sides have read a file of each other.
    const ways = { signal, onOutput: () => {}, onState: () => {} };
    await runOnCpuSide(workspace, ['true'], ways);
    say('CPU side: sees these files');
    if (gpu) {
      await offload(['true'], { pool: pool.address, ...ways });
      say('GPU side: sees these files');
    }
    return 0;
  });
  if (code !== 0) process.exitCode = code;
  else say(`ready: farlight pool run ${name} -- COMMAND`);
}

async function run(name: string, words: string[]): Promise<void> {
  const [first = ''] = words;
  if (first !== '--' && first.startsWith('-'))
    throw new FarlightError(
      'BAD_OPTION',
      `farlight pool run has no option ${first}; write the command behind --, and name limits in the pool's file`,
    );
  const command = first === '--' ? words.slice(1) : words;
  const { Workspace, print, readPool, runOnCpuSide } = await load();
  const workspace = new Workspace(readPool(poolAddress(name)));
  process.exitCode = await cancellable(async (signal) => {
    await workspace.replicate([], process.cwd(), signal);
    return runOnCpuSide(workspace, command, { signal, onOutput: print, onState: shown(workspace.pool.name) });
  }, true);
}

interface OffloadCommandOptions {
  pool?: string;
  gpu?: string;
  input?: string[];
}

async function offload(command: string[], { pool, gpu, input }: OffloadCommandOptions): Promise<void> {
  const { offload: offloaded } = await load();
  process.exitCode = await cancellable(
    (signal) =>
      offloaded(command, {
        pool: pool === undefined ? undefined : poolAddress(pool),
        gpu,
        inputs: input,
        signal,
      }),
    true,
  );
}

/**
 * Cancels on the first signal, and has the exit code of a process that the signal ended. Where it prints what the command
 * prints, that takes the end of its reader as SIGPIPE: the command would go on for nobody, and may have a node.
 */
async function cancellable(act: (signal: AbortSignal) => Promise<number>, prints = false): Promise<number> {
  const cancel = new AbortController();
  let by: Ending | undefined;
  let lost: FarlightError | undefined;
  const end = (name: Ending) => {
    by ??= name;
    cancel.abort(new FarlightError('DISCONNECTED', `the command was cancelled by ${name}`));
  };
  const unlisten = onEndingSignal((name) => {
    // A second signal does not wait.
    if (by) process.exit(128 + constants.signals[name]);
    end(name);
  });
  const listeners: (() => unknown)[] = [unlisten];
  for (const stream of prints ? [process.stdout, process.stderr] : []) {
    const listener = ({ code }: NodeJS.ErrnoException) => {
      if (code === 'EPIPE') return end('SIGPIPE');
      const why = `the command's output cannot be written (${code}); redirect it to a place that can be written`;
      lost ??= new FarlightError('BAD_OPTION', why);
      cancel.abort(lost);
    };
    stream.on('error', listener);
    listeners.push(() => stream.off('error', listener));
  }
  try {
    const code = await act(cancel.signal);
    // The errors of the last writes come in a tick after them. The command has ended, but not all of its output is there.
    if (prints) await new Promise<void>((resolve) => setImmediate(resolve));
    if (lost) throw lost;
    return code;
  } catch (error) {
    if (!by || error === lost) throw error;
    // A reader that goes away has all that it wants.
    if (by !== 'SIGPIPE') process.stderr.write('farlight: the command was cancelled\n');
    return 128 + constants.signals[by];
  } finally {
    for (const off of listeners) off();
  }
}

/** Tells a person at a terminal what the command waits for. */
function shown(pool: string): (state: string) => void {
  return (state) => {
    if (process.stderr.isTTY) process.stderr.write(`farlight: pool ${pool}: ${harmless(state)}\n`);
  };
}

async function load() {
  const [{ Workspace }, { print }, { runOnCpuSide }, { offload }, { readPool }] = await Promise.all([
    import('../../pool/environment/workspace.js'),
    import('../../pool/environment/follow.js'),
    import('../../pool/environment/run.js'),
    import('../../pool/environment/offload.js'),
    import('../../pool/definition/pool-file.js'),
  ]);
  return { Workspace, print, runOnCpuSide, offload, readPool };
}
