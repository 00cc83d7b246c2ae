import { spawn } from 'node:child_process';
import { CLI } from './session-client.js';

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** `farlight ARGS`, as a user types it, with these variables beside the environment's. Resolves when it has ended. */
export function runFarlight(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, ...env } });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (text) => {
      texts[name] += text;
    });
  }
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...texts })));
}
