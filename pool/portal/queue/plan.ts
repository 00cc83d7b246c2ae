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
 *
 * A booking of several hosts gets all of them, or none. When its tenant's turn has come, it gathers hosts, and the next
 * hosts are all for it. One booking gathers at a time: two would wait for each other's hosts.
 */

/** A booking that waits. */
export interface Waiting {
  readonly id: string;
  readonly tenant: string;
  /** The process that asks: its further bookings may share its host. */
  readonly process: string;
  /** How many hosts it needs at once. */
  readonly hosts: number;
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
  | { readonly do: 'give'; readonly booking: string; readonly slots: readonly number[] }
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
  /** Whose booking of several hosts gathers them. */
  let gatherer = [...tenants.values()].find((each) => gathers(each, countOf(idle, each.name)));
  const wants = (tenant: Tenant) => wantsMore(tenant, gatherer === undefined || gatherer === tenant);
  const give = (tenant: Tenant, slot: number) => {
    tenant.hosts += 1;
    tenant.gathered.push(slot);
    const [next] = tenant.waiting;
    if (!next || tenant.gathered.length < next.hosts) return;
    tenant.waiting.shift();
    tenant.held += next.hosts;
    steps.push({ do: 'give', booking: next.id, slots: tenant.gathered.splice(0) });
    if (next.hosts > 1) gatherer = undefined;
  };
  for (;;) {
    const next = gatherer && wants(gatherer) ? gatherer : fairest([...tenants.values()].filter(wants));
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
      if (keeper && next !== gatherer && wants(keeper) && mayKeep(keeper, next)) give(keeper, other.slot);
      else {
        steps.push({ do: 'end', slot: other.slot, why: 'another tenant is next' });
        // It gets this slot when its host has ended.
        next.coming += 1;
        next.hosts += 1;
      }
    } else break;
    if (!gatherer && gathers(next)) gatherer = next;
  }
  for (const { slot } of idle) steps.push({ do: 'end', slot, why: 'no program has booked it any more' });
  return [...steps, ...endsOfUnwanted(slots, tenants), ...sharedHosts(situation, tenants, wants)];
}

function countOf(slots: readonly { readonly tenant: string }[], name: string): number {
  return slots.filter(({ tenant }) => tenant === name).length;
}

interface Tenant extends TenantStanding {
  readonly name: string;
  /** Its bookings that have got nothing. */
  readonly waiting: Waiting[];
  /** How many hosts it has, or will have. */
  hosts: number;
  /** How many of them are not ready yet. */
  coming: number;
  /** How many of them bookings have. */
  held: number;
  /** The slots of ready hosts that its first booking has got, and that are not all that it needs. */
  readonly gathered: number[];
}

function tenantsOf(
  waiting: readonly Waiting[],
  slots: readonly SlotState[],
  standing: Situation['standing'],
): Map<string, Tenant> {
  const tenants = new Map<string, Tenant>();
  const known = (name: string) => {
    const tenant = tenants.get(name) ?? {
      ...standing(name),
      name,
      waiting: [],
      hosts: 0,
      coming: 0,
      held: 0,
      gathered: [],
    };
    tenants.set(name, tenant);
    return tenant;
  };
  for (const each of waiting) known(each.tenant).waiting.push(each);
  for (const slot of slots) {
    if (slot.state === 'held' || slot.state === 'coming') known(slot.tenant).hosts += 1;
    if (slot.state === 'coming') known(slot.tenant).coming += 1;
    if (slot.state === 'held') known(slot.tenant).held += 1;
  }
  return tenants;
}

/** Whether its bookings need more hosts than those that are coming or gathered for them. */
function wantsMore(tenant: Tenant, mayGather: boolean): boolean {
  const { coming, gathered, hosts, most } = tenant;
  return wanted(tenant, mayGather) > coming + gathered.length && hosts < most;
}

/** How many hosts its bookings need, up to the first of several hosts, and with that if it may gather them. */
function wanted({ waiting, held, most }: Tenant, mayGather: boolean): number {
  const at = waiting.findIndex(({ hosts }) => hosts > 1);
  const several = waiting[at];
  if (!several) return waiting.length;
  // It would wait for hosts that its tenant's other programs have, and keep others idle meanwhile.
  return at + (mayGather && held + several.hosts <= most ? several.hosts : 0);
}

/** Whether it has more hosts that are coming or idle than the bookings before its first one of several hosts need. */
function gathers(tenant: Tenant, idle = tenant.gathered.length): boolean {
  return wanted(tenant, true) > wanted(tenant, false) && tenant.coming + idle > wanted(tenant, false);
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

function needOf(waiting: readonly Waiting[]): number {
  return waiting.reduce((sum, { hosts }) => sum + hosts, 0);
}

/** Hosts that were started for bookings that are gone. */
function endsOfUnwanted(slots: readonly SlotState[], tenants: ReadonlyMap<string, Tenant>): Step[] {
  const left = new Map(
    [...tenants].map(([name, { waiting, gathered }]) => [name, needOf(waiting) - gathered.length]),
  );
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
function sharedHosts(
  { slots, sessions }: Situation,
  tenants: ReadonlyMap<string, Tenant>,
  wants: (tenant: Tenant) => boolean,
): Step[] {
  const steps: Step[] = [];
  const hosts = slots.flatMap((each) =>
    each.state === 'held' ? [{ ...each, users: each.processes.length }] : [],
  );
  for (const tenant of tenants.values()) {
    const hasRival = [...tenants.values()].some((each) => each !== tenant && wants(each));
    const own = hosts.filter((each) => each.tenant === tenant.name);
    /** The least used ones are the first. */
    const open = () =>
      hasRival
        ? []
        : own.filter(({ users }) => users < sessions).sort((one, other) => one.users - other.users);
    // The first ones get the hosts that are coming.
    let left = tenant.coming + tenant.gathered.length;
    for (const [at, { id, process, hosts: number }] of tenant.waiting.entries()) {
      const isComing = left >= number || (number > 1 && tenant.coming > 0);
      left = Math.max(0, left - number);
      if (isComing) continue;
      const gathered = at === 0 ? tenant.gathered : [];
      const same = number === 1 ? own.filter(({ processes }) => processes.includes(process)) : [];
      const found = [...same, ...open()].slice(0, number - gathered.length);
      if (found.length + gathered.length < number) continue;
      for (const each of found) each.users += 1;
      steps.push({ do: 'give', booking: id, slots: [...gathered, ...found.map(({ slot }) => slot)] });
    }
  }
  return steps;
}
