import { machineMemory } from '../../../link/machine/machine-memory.js';

/** A process and its memory. */
export interface MemoryHolder {
  /** Undefined for a process that no tenant has used yet. */
  readonly tenant: string | undefined;
  /** Bytes of the machine's memory that would be free without it. */
  readonly bytes: number;
  /** Whether a session uses it, or it compiles ahead for one. */
  readonly isAtWork: boolean;
  /** Whether it is warm: it waits for a session, and nobody loses anything if it ends. */
  readonly isWarm: boolean;
}

/** Limits in bytes of the machine's memory; infinite where there is none. */
export interface MemoryBounds {
  /** For one process. */
  each: number;
  /** For all processes of a tenant. */
  ofTenant(tenant: string): number;
  /** For all processes. */
  all: number;
}

export interface MemoryOptions {
  /** For one executor, in bytes; 0: no limit. Default: half of the machine's memory. */
  executorBytes?: number | undefined;
  /** For all executors, in bytes; 0: no limit. Default: three quarters, or `executorBytes` where that is more. */
  executorsBytes?: number | undefined;
}

/** `ofTenant` gives a tenant's own limit. Without one a tenant's processes together may have as much as one process. */
export function memoryBounds(
  { executorBytes, executorsBytes }: MemoryOptions,
  ofTenant: (tenant: string) => number | undefined,
): MemoryBounds {
  const machine = machineMemory();
  const bound = (bytes: number) => (bytes === 0 ? Number.POSITIVE_INFINITY : bytes);
  const each = bound(executorBytes ?? Math.floor(machine / 2));
  return {
    each,
    ofTenant: (tenant) => ofTenant(tenant) ?? each,
    all: bound(executorsBytes ?? Math.max(executorBytes ?? 0, Math.floor((machine * 3) / 4))),
  };
}

/**
 * Chooses the processes that must end so that the others stay within the bounds, each with the reason; undefined for a
 * warm one, which needs none. Where several processes have too much together, a warm one ends first, then the largest.
 * Where all processes have too much, it is one of the tenant that has the most.
 */
export function excessOf<Holder extends MemoryHolder>(
  holders: readonly Holder[],
  bounds: MemoryBounds,
): Map<Holder, string | undefined> {
  const excess = new Map<Holder, string | undefined>();
  const left = () => holders.filter((each) => !excess.has(each));
  for (const holder of holders) {
    if (!holder.isAtWork || holder.bytes <= bounds.each) continue;
    excess.set(
      holder,
      `had ${mib(holder.bytes)} of the host's memory, more than the ${mib(bounds.each)} that it may have`,
    );
  }
  for (const tenant of new Set(holders.map((each) => each.tenant))) {
    if (tenant === undefined) continue;
    const own = left().filter((each) => each.tenant === tenant);
    const [taken, most] = [sum(own), bounds.ofTenant(tenant)];
    if (taken <= most) continue;
    end(own, `was the largest of its tenant, whose executors had ${amounts(taken, most)}`);
  }
  const taken = sum(left());
  if (taken > bounds.all) {
    const warm = left().filter((each) => each.isWarm);
    end(
      warm.length > 0 ? warm : ofLargestTenant(left()),
      `was the largest of the tenant that had the most, when all executors had ${amounts(taken, bounds.all)}`,
    );
  }
  return excess;

  function end(candidates: readonly Holder[], what: string): void {
    const warm = largest(candidates.filter((each) => each.isWarm));
    const victim = warm ?? largest(candidates.filter((each) => each.isAtWork));
    if (victim) excess.set(victim, warm ? undefined : what);
  }
}

function ofLargestTenant<Holder extends MemoryHolder>(holders: readonly Holder[]): Holder[] {
  const ofTenant = (tenant: string | undefined) => holders.filter((each) => each.tenant === tenant);
  const [most] = holders
    .filter((each) => each.isAtWork)
    .map(({ tenant }) => ofTenant(tenant))
    .sort((a, b) => sum(b) - sum(a));
  return most ?? [];
}

function largest<Holder extends MemoryHolder>(holders: readonly Holder[]): Holder | undefined {
  return [...holders].sort((a, b) => b.bytes - a.bytes)[0];
}

function sum(holders: readonly MemoryHolder[]): number {
  return holders.reduce((bytes, each) => bytes + each.bytes, 0);
}

function amounts(taken: number, most: number): string {
  return `${mib(taken)} of the host's memory together, more than the ${mib(most)} that they may have`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
