import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';

/** Files in memory, named or unnamed, as a link in /proc shows them. */
const IN_MEMORY = /^\/(dev\/shm\/|memfd:)/;
/** The out-of-memory score: the system kills executors before other processes (proc(5), oom_score_adj). */
const OOM_SCORE = 500;

/**
 * Bytes of the machine's memory that a process has, including its share of libraries (VmRSS, proc(5)). Undefined where
 * the system does not tell, which only Linux does, or the process has exited.
 */
export function processMemory(pid: number | undefined): number | undefined {
  const status = statusOf(pid);
  return status === undefined ? undefined : amountOf(status, 'VmRSS');
}

/**
 * Bytes of the machine's memory that would be free without a process: its private memory, swapped out or not, and its
 * open files in memory, mapped or not. Undefined as above.
 */
export function takenMemory(pid: number | undefined): number | undefined {
  const status = statusOf(pid);
  if (status === undefined) return undefined;
  const own = amountOf(status, 'RssAnon');
  if (own === undefined) return undefined;
  const shared = Math.max(amountOf(status, 'RssShmem') ?? 0, filesInMemory(pid as number));
  return own + (amountOf(status, 'VmSwap') ?? 0) + shared;
}

/** Tells Linux to kill this process before others when memory runs out. Does nothing on other systems. */
export function killFirstWithoutMemory(pid: number | undefined): void {
  const file = `/proc/${pid}/oom_score_adj`;
  try {
    if (Number(readFileSync(file, 'utf8')) < OOM_SCORE) writeFileSync(file, String(OOM_SCORE));
  } catch {
    // The process has exited, or the system has no such file.
  }
}

function statusOf(pid: number | undefined): string | undefined {
  if (pid === undefined) return undefined;
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return undefined;
  }
}

function amountOf(status: string, name: string): number | undefined {
  const [, kib] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  return kib === undefined ? undefined : Number(kib) * 1024;
}

function filesInMemory(pid: number): number {
  const files = new Map<number, number>();
  try {
    const folder = `/proc/${pid}/fd`;
    for (const name of readdirSync(folder)) {
      const path = `${folder}/${name}`;
      if (!IN_MEMORY.test(readlinkSync(path))) continue;
      const { ino, blocks } = statSync(path);
      files.set(ino, blocks * 512);
    }
  } catch {
    // A descriptor closed meanwhile, or the process has exited: count what was found so far.
  }
  let bytes = 0;
  for (const each of files.values()) bytes += each;
  return bytes;
}
