/**
 * Which program gets which host of a pool, when programs of several tenants wait. Pure.
 *
 * Fairness is among tenants. The next host goes to the tenant with the fewest hosts by its weight, and among equal ones to
 * the tenant that has used the least lately (`recent-use.ts`). A tenant's own programs are served in the order in which
 * they came. Use fades, so a tenant that waits becomes the first one: nobody starves.
 *
 * A host never goes from one tenant to another: a program knows the token of the host that it had, and a host keeps what
 * its tenant has sent. So it ends, and another one is started. That takes seconds of the GPU's time. Therefore a tenant
 * keeps its host for its own next program as long as it is little ahead of the others.
 */

/** A booking that waits. */
export interface Waiting {
  readonly id: string;
  readonly tenant: string;
  /** The process that asks: its further bookings may share its host. */
  readonly process: string;
}

export type SlotState =
  /** It has no host, and one may be started. */
  | { readonly slot: number; readonly state: 'free' }
  /** Neither free nor the portal's to give: its host ends, or a program has it without the portal. */
  | { readonly slot: number; readonly state: 'taken' }
  /** A host is started for a tenant. */
  | { readonly slot: number; readonly state: 'coming'; readonly tenant: string }
  /** A host of a tenant is ready, and no booking has it. */
  | { readonly slot: number; readonly state: 'idle'; readonly tenant: string }
  | {
      readonly slot: number;
      readonly state: 'held';
      readonly tenant: string;
      readonly processes: readonly string[];
    };

/** A tenant's share, limit and recent use. */
export interface TenantStanding {
  /** Its share, as a weight among tenants. */
  readonly weight: number;
  /** The most hosts that it may have at a time. */
  readonly most: number;
  /** GPU seconds that it has used lately. */
  readonly recent: number;
}

export interface Situation {
  /** The first one came first. */
  readonly waiting: readonly Waiting[];
  readonly slots: readonly SlotState[];
  /** How many programs of one tenant a host may have. */
  readonly sessions: number;
  standing(tenant: string): TenantStanding;
}

export type Step =
  | { readonly do: 'give'; readonly booking: string; readonly slot: number }
  | { readonly do: 'start'; readonly slot: number; readonly tenant: string }
  | { readonly do: 'end'; readonly slot: number; readonly why: string };

/** By how many GPU seconds, by its weight, a tenant may be ahead and keep a host for its own next program. */
export const LEAD_SECONDS = 10;

/** The steps that are due, in order. */
export function plan(situation: Situation): Step[] {
  const { waiting, slots, standing } = situation;
  const steps: Step[] = [];
  const tenants = tenantsOf(waiting, slots, standing);
  const idle = slots.filter((each) => each.state === 'idle');
  const free = slots.filter(({ state }) => state === 'free').map(({ slot }) => slot);
  const give = (tenant: Tenant, slot: number) => {
    const next = tenant.waiting.shift();
    if (!next) return;
    tenant.hosts += 1;
    steps.push({ do: 'give', booking: next.id, slot });
  };
  for (;;) {
    const next = fairest([...tenants.values()].filter(wantsMore));
    if (!next) break;
    const own = idle.findIndex(({ tenant }) => tenant === next.name);
    const slot = own < 0 ? free.shift() : undefined;
    const other = idle[0];
    if (own >= 0) give(next, (idle.splice(own, 1)[0] as { slot: number }).slot);
    else if (slot !== undefined) {
      steps.push({ do: 'start', slot, tenant: next.name });
      next.hosts += 1;
      next.coming += 1;
    } else if (other) {
      idle.shift();
      const keeper = tenants.get(other.tenant);
      if (keeper && wantsMore(keeper) && mayKeep(keeper, next)) give(keeper, other.slot);
      else {
        steps.push({ do: 'end', slot: other.slot, why: 'another tenant is next' });
        // It gets this slot when its host has ended.
        next.coming += 1;
        next.hosts += 1;
      }
    } else break;
  }
  for (const { slot } of idle) steps.push({ do: 'end', slot, why: 'no program has booked it any more' });
  return [...steps, ...endsOfUnwanted(slots, tenants), ...sharedHosts(situation, tenants)];
}

interface Tenant extends TenantStanding {
  readonly name: string;
  /** Its bookings that have got nothing. */
  readonly waiting: Waiting[];
  /** How many hosts it has, or will have. */
  hosts: number;
  /** How many of them are not ready yet. */
  coming: number;
}

function tenantsOf(
  waiting: readonly Waiting[],
  slots: readonly SlotState[],
  standing: Situation['standing'],
): Map<string, Tenant> {
  const tenants = new Map<string, Tenant>();
  const known = (name: string) => {
    const tenant = tenants.get(name) ?? { ...standing(name), name, waiting: [], hosts: 0, coming: 0 };
    tenants.set(name, tenant);
    return tenant;
  };
  for (const each of waiting) known(each.tenant).waiting.push(each);
  for (const slot of slots) {
    if (slot.state === 'held' || slot.state === 'coming') known(slot.tenant).hosts += 1;
    if (slot.state === 'coming') known(slot.tenant).coming += 1;
  }
  return tenants;
}

/** A host that is coming will serve one booking. */
function wantsMore({ waiting, coming, hosts, most }: Tenant): boolean {
  return waiting.length > coming && hosts < most;
}

/** Among equal tenants, the one whose booking came first: they are in that order. */
function fairest(tenants: readonly Tenant[]): Tenant | undefined {
  return tenants.reduce<Tenant | undefined>(
    (best, each) => (best && !isBefore(each, best) ? best : each),
    undefined,
  );
}

function isBefore(one: Tenant, other: Tenant): boolean {
  const hosts = one.hosts / one.weight - other.hosts / other.weight;
  return hosts === 0 ? one.recent / one.weight < other.recent / other.weight : hosts < 0;
}

function mayKeep(keeper: Tenant, rival: Tenant): boolean {
  const lead = keeper.recent / keeper.weight - rival.recent / rival.weight;
  return keeper.hosts / keeper.weight <= rival.hosts / rival.weight && lead < LEAD_SECONDS;
}

/** Hosts that were started for bookings that are gone. */
function endsOfUnwanted(slots: readonly SlotState[], tenants: ReadonlyMap<string, Tenant>): Step[] {
  const left = new Map([...tenants].map(([name, { waiting }]) => [name, waiting.length]));
  return slots.flatMap((each): Step[] => {
    if (each.state !== 'coming') return [];
    const wanted = left.get(each.tenant) ?? 0;
    left.set(each.tenant, wanted - 1);
    return wanted > 0 ? [] : [{ do: 'end', slot: each.slot, why: 'no program waits for it any more' }];
  });
}

/**
 * Programs of one tenant share its hosts where the pool's file says how many may, as long as no other tenant waits for a
 * host: else its hosts would never be free. A process that waits, and has a host, always shares it: it would wait for
 * itself.
 */
function sharedHosts({ slots, sessions }: Situation, tenants: ReadonlyMap<string, Tenant>): Step[] {
  const steps: Step[] = [];
  const hosts = slots.flatMap((each) =>
    each.state === 'held' ? [{ ...each, users: each.processes.length }] : [],
  );
  for (const tenant of tenants.values()) {
    const hasRival = [...tenants.values()].some((each) => each !== tenant && wantsMore(each));
    const own = hosts.filter((each) => each.tenant === tenant.name);
    // The first ones get the hosts that are coming.
    for (const { id, process } of tenant.waiting.slice(tenant.coming)) {
      const least = own.reduce<(typeof own)[number] | undefined>(
        (best, each) => (best && best.users <= each.users ? best : each),
        undefined,
      );
      const found =
        own.find(({ processes }) => processes.includes(process)) ??
        (hasRival || !least || least.users >= sessions ? undefined : least);
      if (!found) continue;
      found.users += 1;
      steps.push({ do: 'give', booking: id, slot: found.slot });
    }
  }
  return steps;
}
