import type { HostState, ServiceState } from '../service/state.js';
import { BySecond } from './by-second.js';

/** How many seconds the history covers. */
const SECONDS = 300;
/** A rate is the mean of the last whole seconds. */
const RATE_SECONDS = 5;

/** The counts of one second. */
export interface SecondView {
  /** Since 1970. */
  readonly second: number;
  /** Requests that ended, and how many of them ended without a result. */
  requests: number;
  failed: number;
  /** Runs, their items, and the largest batch. */
  runs: number;
  items: number;
  largest: number;
  /** Requests that waited or ran, when it was looked. */
  open?: number;
  /** Of each GPU host, when it was looked. */
  memory?: readonly MemorySecond[];
}

export interface MemorySecond {
  readonly host: string;
  readonly used: number;
  readonly reserved: number;
  readonly others: number;
  readonly limit: number;
}

/** Per second. */
export interface Rates {
  readonly requests: number;
  readonly failed: number;
  readonly runs: number;
  readonly items: number;
}

/** The last minutes of a server, second by second, of all tenants and of each. A second without anything takes no memory. */
export class History {
  readonly #seconds = new BySecond(SECONDS, (second) => ({
    all: emptySecond(second),
    tenants: new Map<string, SecondView>(),
  }));

  /** A request has ended. @param now milliseconds since 1970 */
  ended(now: number, tenant: string, well: boolean): void {
    const { all, tenants } = this.#seconds.at(now);
    let own = tenants.get(tenant);
    if (!own) {
      own = emptySecond(all.second);
      tenants.set(tenant, own);
    }
    for (const each of [all, own]) {
      each.requests += 1;
      if (!well) each.failed += 1;
    }
  }

  ran(now: number, items: number): void {
    const { all } = this.#seconds.at(now);
    all.runs += 1;
    all.items += items;
    all.largest = Math.max(all.largest, items);
  }

  /** Whether this second has a state already. */
  hasState(now: number): boolean {
    return this.#seconds.known(now)?.all.memory !== undefined;
  }

  state(now: number, { requests, hosts }: ServiceState): void {
    const { all } = this.#seconds.at(now);
    all.open = Math.max(all.open ?? 0, requests);
    all.memory = hosts.flatMap(memoryOf);
  }

  /** The seconds from this one on, of all tenants or of one. */
  from(second: number, tenant?: string): SecondView[] {
    const found: SecondView[] = [];
    for (const [, { all, tenants }] of this.#seconds) {
      if (all.second < second) continue;
      const view = tenant === undefined ? all : tenants.get(tenant);
      if (view) found.push(view);
    }
    return found;
  }

  rates(now: number, tenant?: string): Rates {
    const until = Math.floor(now / 1000);
    const sum = { requests: 0, failed: 0, runs: 0, items: 0 };
    for (const view of this.from(until - RATE_SECONDS, tenant)) {
      if (view.second >= until) continue;
      for (const key of Object.keys(sum) as (keyof Rates)[]) sum[key] += view[key] / RATE_SECONDS;
    }
    return sum;
  }
}

function emptySecond(second: number): SecondView {
  return { second, requests: 0, failed: 0, runs: 0, items: 0, largest: 0 };
}

function memoryOf({ name: host, memory }: HostState): MemorySecond[] {
  if (!memory) return [];
  const { used, reserved, others, limit } = memory;
  return [{ host, used, reserved, others, limit }];
}
