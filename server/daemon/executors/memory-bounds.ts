/** A process, as far as its memory is concerned. */
export interface MemoryHolder {
  /** Undefined for one that has not been anybody's yet. */
  readonly tenant: string | undefined;
  /** Bytes of the machine's memory that it takes. */
  readonly bytes: number;
  /** A session has it, or it does something for one. */
  readonly isAtWork: boolean;
  /** It waits for a session, and nobody misses it. */
  readonly isWaiting: boolean;
}

/** Bytes of the machine's memory; infinite where there is no bound. */
export interface MemoryBounds {
  /** Of one process. */
  each: number;
  /** Of a tenant's processes together. */
  ofTenant(tenant: string): number;
  /** Of all of them. */
  all: number;
}

/**
 * Which processes have to end so that what is left stays within the bounds, and what is said of each; undefined for one
 * that nobody misses. One of those goes first where several take too much together, and then the largest: of the
 * tenant that takes most, where it is all of them.
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
      `had ${mib(holder.bytes)} of the host's memory, of ${mib(bounds.each)} that it may have`,
    );
  }
  for (const tenant of new Set(holders.map((each) => each.tenant))) {
    if (tenant === undefined) continue;
    const own = left().filter((each) => each.tenant === tenant);
    const [taken, most] = [sum(own), bounds.ofTenant(tenant)];
    if (taken <= most) continue;
    end(own, `was the largest of its tenant's, which had ${amounts(taken, most)}`);
  }
  const taken = sum(left());
  if (taken > bounds.all) {
    const waiting = left().filter((each) => each.isWaiting);
    end(
      waiting.length > 0 ? waiting : ofLargestTenant(left()),
      `was the largest of the tenant that took most, when those of all tenants had ${amounts(taken, bounds.all)}`,
    );
  }
  return excess;

  function end(candidates: readonly Holder[], what: string): void {
    const waiting = largest(candidates.filter((each) => each.isWaiting));
    const victim = waiting ?? largest(candidates.filter((each) => each.isAtWork));
    if (victim) excess.set(victim, waiting ? undefined : what);
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
  return `${mib(taken)} of the host's memory together, of ${mib(most)} that they may have`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
