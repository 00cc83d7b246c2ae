import type { Cost } from './state-file.js';

/** A host whose job runs. */
export interface RunningHost {
  readonly tenant: string;
  readonly sessions: number;
}

/** The costs of one pool, by tenant. A host costs while its job runs, also before it is ready and after its release. */
export class Costs {
  /** GPUs of each host. */
  readonly gpus: number;
  readonly #costs = new Map<string, Cost>();

  constructor(gpus: number, costs: Readonly<Record<string, Cost>> = {}) {
    this.gpus = gpus;
    for (const [tenant, cost] of Object.entries(costs)) this.#costs.set(tenant, { ...cost });
  }

  /** Some time has passed. @returns the GPU seconds of each tenant in it. */
  advance(ms: number, running: readonly RunningHost[]): Map<string, number> {
    const seconds = (ms / 1000) * this.gpus;
    const now = new Map<string, number>();
    for (const { tenant, sessions } of running) {
      this.#of(tenant)[sessions > 0 ? 'used' : 'idle'] += seconds;
      now.set(tenant, (now.get(tenant) ?? 0) + seconds);
    }
    return now;
  }

  count(tenant: string, what: 'hosts' | 'bookings'): void {
    this.#of(tenant)[what] += 1;
  }

  get all(): Record<string, Cost> {
    return Object.fromEntries(this.#costs);
  }

  /** Of all tenants together. */
  get sum(): Cost {
    const sum: Cost = { used: 0, idle: 0, hosts: 0, bookings: 0 };
    for (const cost of this.#costs.values())
      for (const name of ['used', 'idle', 'hosts', 'bookings'] as const) sum[name] += cost[name];
    return sum;
  }

  #of(tenant: string): Cost {
    const cost = this.#costs.get(tenant) ?? { used: 0, idle: 0, hosts: 0, bookings: 0 };
    this.#costs.set(tenant, cost);
    return cost;
  }
}

/** How many GPUs a limit such as `2` or `a100:2` names. */
export function gpusIn(limit: string | undefined): number {
  return Number(/(\d+)$/.exec(limit ?? '1')?.[1] ?? 1);
}
