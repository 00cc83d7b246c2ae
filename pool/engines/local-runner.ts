/**
 * The process that looks after one job of this machine, from the queue to its end. Its argument is the job's folder. It
 * outlives the program that submitted the job.
 */
import { type StdioOptions, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import { codeOf, messageOf } from '../../proto/errors.js';
import type { JobDescription } from './engine.js';
import { type LocalEnd, LocalJob } from './local-job.js';
import { identityOf } from './process-identity.js';

/** How often to look whether the job before this one has ended, in milliseconds. */
const LOOK_MS = 50;
/** How long a job may take to end after SIGTERM, in milliseconds. */
const GRACE_MS = 5000;

const CANCELLED = 'it was cancelled';

const job = new LocalJob(process.argv[2] ?? '');
/** Ends the job's process. */
let end: (() => void) | undefined;
/** Why the job is to end. */
let ending: string | undefined;

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  process.on(signal, () => {
    ending ??= CANCELLED;
    end?.();
  });

void main();

async function main(): Promise<void> {
  try {
    const self = identityOf(process.pid);
    if (self) job.write('runner', self);
    if (job.read('cancelled')) ending ??= CANCELLED;
    const description = job.read('job');
    if (!description) throw new Error('its folder has no description');
    await turn(`${dirname(job.folder)}/${description.name}`);
    if (ending) throw new Error(ending);
    job.write('ended', await run(description));
  } catch (error) {
    job.write('ended', { why: messageOf(error) });
  }
  process.exit();
}

/**
 * Waits until no other job of this name runs. The name is a socket in Linux's abstract namespace, which goes with its
 * process however that ends. Other systems have none: there the pool's journal alone keeps the order.
 */
async function turn(name: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const socket = `\0farlight-job-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
  while (!ending && !(await listens(socket))) {
    if (!job.read('waits')) job.write('waits', true);
    await pause(LOOK_MS);
  }
}

function listens(socket: string): Promise<boolean> {
  const server = createServer((connection) => connection.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error) => (codeOf(error) === 'EADDRINUSE' ? resolve(false) : reject(error)));
    server.listen(socket, () => resolve(true));
  });
}

function run({ command, environment, log, limits, folder }: JobDescription): Promise<LocalEnd> {
  const [file = '', ...args] = command;
  const output = openSync(log, 'a', 0o600);
  const stdio = ['ignore', output, output] satisfies StdioOptions;
  // Before: a job whose process nobody knows may still run.
  job.write('starts', true);
  const child = spawn(file, args, { cwd: folder ?? '/', env: environment, detached: true, stdio });
  closeSync(output);
  const kill = (signal: NodeJS.Signals) => {
    try {
      // Its whole group: what it has started too.
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // It is over.
    }
  };
  end = () => {
    kill('SIGTERM');
    setTimeout(() => kill('SIGKILL'), GRACE_MS);
  };
  if (limits.minutes !== undefined) {
    setTimeout(() => {
      ending ??= `it ran for ${limits.minutes} minutes, which is its limit`;
      end?.();
    }, limits.minutes * 60_000);
  }
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ why: `${file} cannot be run (${codeOf(error)})` }));
    child.on('spawn', () => {
      try {
        const self = child.pid === undefined ? undefined : identityOf(child.pid);
        if (self) job.write('process', self);
      } catch (error) {
        ending ??= `its process cannot be noted (${messageOf(error)})`;
      }
      if (ending) end?.();
    });
    child.on('exit', (code, signal) => {
      // A job is over with all that it has started.
      kill('SIGKILL');
      if (ending) resolve({ why: ending });
      else if (signal) resolve({ why: `it was killed (${signal})` });
      else resolve({ why: code === 0 ? 'it ended' : `it ended with exit code ${code}`, code: code ?? 1 });
    });
  });
}
