import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

/** Whether a process with this id runs: one that has ended but was not yet collected does not. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** The executor processes that a process has started, by id. */
export async function executorsOf(pid: number): Promise<number[]> {
  const ps = spawn('ps', ['-o', 'pid=,args=', '--ppid', String(pid)]);
  let text = '';
  ps.stdout.on('data', (part) => {
    text += part;
  });
  await new Promise((resolve) => ps.on('close', resolve));
  const lines = text.split('\n').filter((line) => line.includes('executor'));
  return lines.map((line) => Number.parseInt(line, 10)).filter(isAlive);
}

/** Whether a process that was started here has ended. */
function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Kills a process, unless it has ended. Resolves when it has ended and its output is closed. */
export async function killed(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/** Resolves when a process listens on a port of loopback. Throws where it ends before. */
export async function listening(child: ChildProcess, port: number): Promise<void> {
  for (;;) {
    if (hasEnded(child)) throw new Error(`${child.spawnfile} ended before it listened on port ${port}`);
    const socket = connect(port, '127.0.0.1');
    const isThere = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Resolves once the condition holds; the test's own timeout is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}
