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

/** Why a booking waits, for a person. */
export interface Reason {
  readonly why: string;
  /** Whether its own host is on its way: then each step is news. */
  readonly isComing: boolean;
}

const READY = 'its host is ready';

/** Why each booking waits. */
export function reasons({ waiting, hosts, max, silence, most }: Story): Map<string, Reason> {
  const coming = new Map<string, string[]>();
  for (const { tenant, phase, why, isHeld } of hosts)
    if (!isHeld && phase !== 'releasing')
      coming.set(tenant, [...(coming.get(tenant) ?? []), phase === 'ready' ? READY : `${phase}: ${why}`]);
  const held = hosts.filter(({ isHeld }) => isHeld);
  const told = new Map<string, Reason>();
  for (const { id, tenant, hosts: wanted } of waiting) {
    const next = coming.get(tenant)?.splice(0, wanted) ?? [];
    const own = held.filter((host) => host.tenant === tenant).length;
    const isComing = next.length > 0;
    const why = isComing ? whereComing(next, wanted) : queued(own, held.length, max, most(tenant));
    told.set(id, { why: silence === undefined ? why : `the engine does not answer: ${silence}`, isComing });
  }
  return told;
}

/** Where the hosts stand that come for a booking. */
function whereComing(coming: readonly string[], wanted: number): string {
  const [first = ''] = coming;
  if (wanted === 1) return first;
  const late = coming.find((each) => each !== READY);
  const ready = coming.filter((each) => each === READY).length;
  return `${ready} of its ${wanted} hosts ready${late === undefined ? '' : `; the next one is ${late}`}`;
}

function queued(own: number, held: number, max: number, most: number): string {
  if (own >= most) return `its tenant has as many hosts as it may have (${own})`;
  if (max === 1)
    return held < 1
      ? 'the only host starts or ends'
      : `the only host is in use by ${own ? 'its own' : 'another'} tenant`;
  if (held >= max) return `all ${max} hosts are in use, ${own} of them by its own tenant`;
  return `${held} of ${max} hosts are in use, and the others start or end`;
}
