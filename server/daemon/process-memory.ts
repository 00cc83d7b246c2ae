import { readFileSync } from 'node:fs';

/**
 * Bytes of the machine's memory that a process has, its share of libraries included (VmRSS, proc(5)). Undefined
 * where the system does not tell (it is not Linux), or the process is gone.
 */
export function processMemory(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}
