import type { Gauge, Registry } from 'prom-client';
import type { Portal } from '../portal.js';
import type { ServedPool } from '../served-pool.js';

/** Reads one figure of a pool: a number, or one for each value of the figure's label. */
type Read = (pool: ServedPool, portal: Portal) => Readonly<Record<string, number>> | number;

interface Figure {
  readonly help: string;
  readonly label?: string;
  readonly read: Read;
}

const PHASES = ['queued', 'starting', 'ready', 'releasing'] as const;

const GAUGES: Readonly<Record<string, Figure>> = {
  farlight_pool_max: { help: 'Hosts that a pool may have.', read: ({ pool }) => pool.max },
  farlight_pool_hosts: {
    help: 'Hosts that a pool has, by phase.',
    label: 'phase',
    read: ({ view }) => {
      const counts = PHASES.map((phase) => [
        phase,
        view.slots.filter((slot) => view.allocation(slot).phase === phase).length,
      ]);
      return Object.fromEntries(counts);
    },
  },
  farlight_pool_bookings: {
    help: 'Bookings, by phase.',
    label: 'phase',
    read: ({ bookings, waiting }) => ({
      waiting: waiting.length,
      ready: bookings.filter(({ phase }) => phase === 'ready').length,
    }),
  },
  farlight_pool_engine_up: {
    help: '1 while the engine answers, else 0.',
    read: ({ view }) => (view.silence === undefined ? 1 : 0),
  },
};

const COUNTERS: Readonly<Record<string, Figure>> = {
  farlight_pool_bookings_total: {
    help: 'Bookings that were asked for.',
    read: ({ costs }) => costs.sum.bookings,
  },
  farlight_pool_booking_ends_total: {
    help: 'Bookings that ended since the portal started: served ones had a host.',
    label: 'result',
    read: ({ pool }, { endsOf }) => ({ ...(endsOf.get(pool.name) ?? { served: 0, unserved: 0 }) }),
  },
  farlight_pool_hosts_total: { help: 'Hosts that were asked for.', read: ({ costs }) => costs.sum.hosts },
  farlight_pool_gpu_seconds_total: {
    help: 'GPU seconds of running hosts: used with a session, idle without one.',
    label: 'use',
    read: ({ costs }) => ({ used: costs.sum.used, idle: costs.sum.idle }),
  },
};

/** The portal's figures for Prometheus. Labels have few values: the pools, and never a tenant or a program. */
export class PortalMetrics {
  readonly #portal: Portal;
  readonly #version: string;
  #registry: Promise<Registry> | undefined;

  constructor(portal: Portal, version: string) {
    this.#portal = portal;
    this.#version = version;
  }

  async read(): Promise<{ type: string; text: string }> {
    this.#registry ??= this.#register();
    const registry = await this.#registry;
    return { type: registry.contentType, text: await registry.metrics() };
  }

  /** Runs at the first request: from then on, measuring the process costs a little. */
  async #register(): Promise<Registry> {
    const { Counter, Gauge, Registry, collectDefaultMetrics } = await import('prom-client');
    const registry = new Registry();
    const registers = [registry];
    const portal = this.#portal;
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
    for (const [name, figure] of Object.entries(GAUGES)) {
      new Gauge({
        ...described(name, figure),
        registers,
        collect() {
          this.reset();
          for (const [labels, value] of values(portal, figure)) this.set(labels, value);
        },
      });
    }
    for (const [name, figure] of Object.entries(COUNTERS)) {
      new Counter({
        ...described(name, figure),
        registers,
        collect() {
          this.reset();
          for (const [labels, value] of values(portal, figure)) this.inc(labels, value);
        },
      });
    }
    const build: Gauge = new Gauge({
      name: 'farlight_build_info',
      help: 'The version of farlight; always 1.',
      labelNames: ['version'],
      registers,
    });
    build.set({ version: this.#version }, 1);
    return registry;
  }
}

function described(name: string, { help, label }: Figure) {
  return { name, help, labelNames: ['pool', ...(label ? [label] : [])] };
}

function values(portal: Portal, { label, read }: Figure): [Record<string, string>, number][] {
  return portal.pools.flatMap((pool): [Record<string, string>, number][] => {
    const { name } = pool.pool;
    const value = read(pool, portal);
    if (typeof value === 'number') return [[{ pool: name }, value]];
    return Object.entries(value).map(([each, number]) => [{ pool: name, [label ?? 'of']: each }, number]);
  });
}
