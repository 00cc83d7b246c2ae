import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

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

/** Resolves once the condition holds; the test's own timeout is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}
