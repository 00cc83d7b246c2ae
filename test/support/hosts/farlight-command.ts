import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { CLI } from '../repository.js';

/** What a program prints. */
export interface Printed {
  stdout: string;
  stderr: string;
}

export interface Finished extends Printed {
  code: number | null;
}

export interface Running {
  child: ChildProcessWithoutNullStreams;
  /** As far as it has printed it. */
  printed: Readonly<Printed>;
  /** Resolves when it has ended. */
  done: Promise<Finished>;
}

/** What a child process prints, and how it ends. */
export function outputOf(child: ChildProcessWithoutNullStreams): Running {
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
    });
  }
  const done = new Promise<Finished>((resolve) => child.on('close', (code) => resolve({ code, ...printed })));
  return { child, printed, done };
}

/** `farlight ARGS`, as a user types it, with these variables beside the environment's. */
export function startFarlight(args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string): Running {
  return outputOf(spawn(process.execPath, [CLI, ...args], { cwd, env: { ...process.env, ...env } }));
}

/** The same, where it is to end by itself. Resolves when it has. */
export function runFarlight(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  cwd?: string,
): Promise<Finished> {
  return startFarlight(args, env, cwd).done;
}
