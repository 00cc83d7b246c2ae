import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tooManyFiles } from '../../proto/errors.js';

/** A process, and when it began: its number alone may be another process's by now. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly began: string;
}

/** Undefined where there is no such process. Throws where this process may open no more files to look. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const began = process.platform === 'linux' ? beganOnLinux(pid) : beganElsewhere(pid);
  return began === undefined ? undefined : { pid, began };
}

export function isAlive({ pid, began }: ProcessIdentity): boolean {
  return identityOf(pid)?.began === began;
}

/** The boot and the tick in it. A process that has ended and was not collected does not count. */
function beganOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything, so fields are counted from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${fields[19]}`;
  } catch (error) {
    return missing(error);
  }
}

function beganElsewhere(pid: number): string | undefined {
  try {
    const args = ['-o', 'lstart=', '-p', String(pid)];
    // One text for all programs, whatever their time zones and languages.
    const env = { ...process.env, TZ: 'UTC0', LC_ALL: 'C' };
    const text = execFileSync('ps', args, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'ignore'] });
    return text.trim() || undefined;
  } catch (error) {
    return missing(error);
  }
}

function missing(error: unknown): undefined {
  const problem = tooManyFiles(error);
  if (problem) throw problem;
  return undefined;
}
