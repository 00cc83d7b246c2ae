import type { Phase } from '../../allocation/allocation.js';
import type { Waiting } from './plan.js';

/** A host of the portal's, as a person is told of it. */
export interface HostStory {
  readonly tenant: string;
  readonly phase: Phase;
  readonly why: string;
  /** Whether a booking has it. */
  readonly isHeld: boolean;
}

export interface Story {
  readonly waiting: readonly Waiting[];
  readonly hosts: readonly HostStory[];
  readonly max: number;
  /** Why the engine does not answer, if it does not. */
  readonly silence: string | undefined;
  /** The most hosts that a tenant may have at a time. */
  most(tenant: string): number;
}

/** Why each booking waits, for a person. */
export function reasons({ waiting, hosts, max, silence, most }: Story): Map<string, string> {
  const coming = new Map<string, string[]>();
  for (const { tenant, phase, why, isHeld } of hosts)
    if (!isHeld && phase !== 'releasing')
      coming.set(tenant, [
        ...(coming.get(tenant) ?? []),
        phase === 'ready' ? 'its host is ready' : `${phase}: ${why}`,
      ]);
  const held = hosts.filter(({ isHeld }) => isHeld);
  const told = new Map<string, string>();
  for (const { id, tenant } of waiting) {
    const next = coming.get(tenant)?.shift();
    const own = held.filter((host) => host.tenant === tenant).length;
    if (silence !== undefined) told.set(id, `the engine does not answer: ${silence}`);
    else if (next !== undefined) told.set(id, next);
    else if (own >= most(tenant)) told.set(id, `its tenant has as many hosts as it may have (${own})`);
    else if (held.length >= max)
      told.set(id, `all ${max} hosts are in use, ${own} of them by its own tenant`);
    else told.set(id, `${held.length} of ${max} hosts are in use, and the others start or end`);
  }
  return told;
}
