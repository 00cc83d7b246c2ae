import { clearInterval, setInterval, wallClock } from '../../link/machine/clock.js';
import { FarlightError } from '../../proto/errors.js';
import { startKeeper } from '../attach/keeper.js';
import type { Pool } from '../definition/pool-file.js';
import type { Booking } from './booking.js';
import { Seconds } from './seconds.js';
import { type PortalLog, ServedPool } from './served-pool.js';
import { StateFile } from './state-file.js';
import type { BookingView, HostInfo, PoolInfo, PortalView } from './view.js';

/** A person or program that asks the portal. */
export interface Client {
  readonly tenant: string;
  /** Whether it sees, and may end, the bookings and hosts of all tenants. */
  readonly isOwner: boolean;
  /** Undefined where the portal asks for no token. */
  readonly tokenId?: string | undefined;
}

export interface PortalOptions {
  readonly pools: readonly Pool[];
  readonly version: string;
  readonly log: PortalLog;
  /** A tenant's weight, and the most hosts that it may have at a time. */
  standing(tenant: string): { readonly weight: number; readonly most: number };
}

/** How many bookings that have ended are remembered. */
const ENDS = 50;
/** How many bookings of a pool are shown. */
const MOST_SHOWN = 500;

/** Serves pools to the programs of several tenants. */
export class Portal {
  readonly #options: PortalOptions;
  readonly #pools: ReadonlyMap<string, ServedPool>;
  readonly #startedAt = wallClock();
  readonly seconds = new Seconds();
  #timer: NodeJS.Timeout | undefined;
  /** The newest first. */
  readonly #ends: { pool: ServedPool; booking: Booking }[] = [];
  /** By pool: how many bookings have ended with a host, and how many without. */
  readonly endsOf = new Map<string, { served: number; unserved: number }>();

  /** @throws FarlightError TRUST_UNUSABLE where others may read its state. */
  constructor(options: PortalOptions) {
    this.#options = options;
    const pools = options.pools.map((pool): [string, ServedPool] => {
      const served: ServedPool = new ServedPool({
        pool,
        state: new StateFile(pool.key),
        log: options.log,
        standing: options.standing,
        onEnd: (booking) => this.#remember(served, booking),
      });
      return [pool.name, served];
    });
    this.#pools = new Map(pools);
  }

  run(): void {
    startKeeper();
    this.#timer ??= setInterval(() => this.seconds.note(this.pools), 1000).unref();
    for (const pool of this.#pools.values()) pool.run();
  }

  /** Leaves the hosts: a portal that starts soon goes on with them. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }

  get pools(): ServedPool[] {
    return [...this.#pools.values()];
  }

  /** @throws FarlightError BAD_OPTION where the portal has no such pool. */
  pool(name: string): ServedPool {
    const pool = this.#pools.get(name);
    if (pool) return pool;
    const names = [...this.#pools.keys()].join(', ');
    throw new FarlightError('BAD_OPTION', `the portal has no pool ${name}; name one of: ${names}`);
  }

  /** A booking that this client may see, also one that has ended lately. */
  find(id: string, client: Client): { pool: ServedPool; booking: Booking } | undefined {
    const found = this.#open(id) ?? this.#ends.find(({ booking }) => booking.id === id);
    return found && maySee(client, found.booking.wish.tenant) ? found : undefined;
  }

  view(client: Client): PortalView {
    const { tenant, isOwner } = client;
    const ends = this.#ends.filter(({ booking }) => maySee(client, booking.wish.tenant));
    return {
      version: this.#options.version,
      now: wallClock(),
      startedAt: this.#startedAt,
      you: { tenant, isOwner },
      pools: this.pools.map((pool) => poolInfo(pool, client)),
      ends: ends.map(({ pool, booking }) => bookingView(pool, booking)),
    };
  }

  #open(id: string): { pool: ServedPool; booking: Booking } | undefined {
    for (const pool of this.#pools.values()) {
      const booking = pool.booking(id);
      if (booking) return { pool, booking };
    }
    return undefined;
  }

  #remember(pool: ServedPool, booking: Booking): void {
    this.#ends.unshift({ pool, booking });
    this.#ends.length = Math.min(this.#ends.length, ENDS);
    const counts = this.endsOf.get(pool.pool.name) ?? { served: 0, unserved: 0 };
    counts[booking.ready === undefined ? 'unserved' : 'served'] += 1;
    this.endsOf.set(pool.pool.name, counts);
  }
}

export function maySee({ tenant, isOwner }: Client, whose: string): boolean {
  return isOwner || tenant === whose;
}

export function poolInfo(served: ServedPool, client: Client): PoolInfo {
  const { pool, view, costs } = served;
  const bookings = served.bookings.filter(({ wish }) => maySee(client, wish.tenant)).slice(0, MOST_SHOWN);
  const before = new Map<string, number>();
  const seen = Object.entries(costs.all).filter(([tenant]) => maySee(client, tenant));
  return {
    name: pool.name,
    engine: pool.engine.name,
    max: pool.max,
    idle: pool.idle / 1000,
    wait: pool.wait / 1000,
    lease: pool.terms.lease / 1000,
    gpus: costs.gpus,
    files: pool.files?.mount,
    silence: view.silence,
    hosts: view.slots.map((slot) => hostInfo(served, slot, client)),
    waiting: served.waiting.length,
    bookings: bookings.map((booking) => {
      const { tenant } = booking.wish;
      const ahead = before.get(tenant) ?? 0;
      if (booking.phase === 'waiting') before.set(tenant, ahead + 1);
      return bookingView(served, booking, ahead);
    }),
    costs: seen.map(([tenant, cost]) => ({ tenant, ...cost })),
  };
}

function hostInfo(served: ServedPool, slot: number, client: Client): HostInfo {
  const { facts, why, phase } = served.view.allocation(slot);
  const host = served.hosts.at(slot);
  const isOver = phase === 'wanted' || phase === 'ended' || phase === 'failed';
  const { status } = facts;
  return {
    slot,
    term: facts.term,
    phase: host ? served.hosts.phaseOf(host) : phase,
    why: host ? served.hosts.whyOf(host) : why,
    job: facts.job,
    node: status?.phase === 'running' && !isOver ? status.node : undefined,
    sessions: host?.joined && host.sessions,
    tenant: host && maySee(client, host.tenant) ? host.tenant : undefined,
    isOutside: !host && !isOver && phase !== 'releasing',
  };
}

/** @param ahead how many bookings of its tenant wait before it; absent where nobody has counted them. */
export function bookingView(served: ServedPool, booking: Booking, ahead?: number): BookingView {
  const { id, wish, phase, why, version, asked, ready, ended, places } = booking;
  return {
    id,
    pool: served.pool.name,
    tenant: wish.tenant,
    program: wish.program,
    phase,
    why,
    version,
    asked,
    ready,
    ended,
    hosts: wish.hosts,
    places,
    ahead: phase === 'waiting' ? ahead : undefined,
    until: wish.seconds !== undefined && ready !== undefined ? ready + wish.seconds * 1000 : undefined,
  };
}
