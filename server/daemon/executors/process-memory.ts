import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';

/** Files in memory, as a link of /proc names them: those that programs share, and those without a name. */
const IN_MEMORY = /^\/(dev\/shm\/|memfd:)/;
/** How much sooner than others' the system ends an executor when it has no memory left (proc(5), oom_score_adj). */
const FIRST_TO_GO = 500;

/**
 * Bytes of the machine's memory that a process has, its share of libraries included (VmRSS, proc(5)). Undefined
 * where the system does not tell (it is not Linux), or the process is gone.
 */
export function processMemory(pid: number | undefined): number | undefined {
  const status = statusOf(pid);
  return status === undefined ? undefined : amountOf(status, 'VmRSS');
}

/**
 * Bytes of the machine's memory that would be free without a process: what it alone has, swapped out or not, and the
 * files in memory that it has open, which may be in nobody's address space. Undefined as above.
 */
export function takenMemory(pid: number | undefined): number | undefined {
  const status = statusOf(pid);
  if (status === undefined) return undefined;
  const own = amountOf(status, 'RssAnon');
  if (own === undefined) return undefined;
  const shared = Math.max(amountOf(status, 'RssShmem') ?? 0, filesInMemory(pid as number));
  return own + (amountOf(status, 'VmSwap') ?? 0) + shared;
}

/** Bytes of memory that this process and its children may have together, as the machine or its container has it. */
export function machineMemory(): number {
  // 0, or more than there is, where the system sets no bound.
  const bound = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(totalmem(), bound);
}

/** Has the system end a process of ours before others when it has no memory left. Elsewhere than on Linux it does not. */
export function letGoFirst(pid: number | undefined): void {
  const file = `/proc/${pid}/oom_score_adj`;
  try {
    if (Number(readFileSync(file, 'utf8')) < FIRST_TO_GO) writeFileSync(file, String(FIRST_TO_GO));
  } catch {
    // It is gone, or the system has other means.
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
    // A descriptor was closed meanwhile, or the process is gone: what was found counts.
  }
  let bytes = 0;
  for (const each of files.values()) bytes += each;
  return bytes;
}
