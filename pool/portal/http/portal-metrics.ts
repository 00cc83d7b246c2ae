import { buildInfo, type Figure, FigureReader } from '../../../page/figures.js';
import type { Portal } from '../portal.js';
import type { ServedPool } from '../served-pool.js';

/** The state that the figures are read from. */
interface Facts {
  readonly portal: Portal;
  readonly version: string;
}

type Kind = 'counter' | 'gauge';

const PHASES = ['queued', 'starting', 'ready', 'releasing'] as const;

/** A figure that has one value for each pool. */
function ofPools(type: Kind, name: string, help: string, read: (pool: ServedPool) => number): Figure<Facts> {
  return {
    name,
    help,
    type,
    values: ({ portal }) =>
      portal.pools.map((served) => ({ value: read(served), labels: { pool: served.pool.name } })),
  };
}

/** A figure that has a value for each pool and each value of a label. */
function byLabel(
  type: Kind,
  name: string,
  label: string,
  help: string,
  read: (pool: ServedPool, portal: Portal) => Readonly<Record<string, number>>,
): Figure<Facts> {
  return {
    name,
    help,
    type,
    values: ({ portal }) =>
      portal.pools.flatMap((served) =>
        Object.entries(read(served, portal)).map(([each, value]) => ({
          value,
          labels: { pool: served.pool.name, [label]: each },
        })),
      ),
  };
}

const FIGURES: readonly Figure<Facts>[] = [
  ofPools('gauge', 'farlight_pool_max', 'Hosts that a pool may have.', ({ pool }) => pool.max),
  byLabel('gauge', 'farlight_pool_hosts', 'phase', 'Hosts that a pool has, by phase.', ({ view }) =>
    Object.fromEntries(
      PHASES.map((phase) => [
        phase,
        view.slots.filter((slot) => view.allocation(slot).phase === phase).length,
      ]),
    ),
  ),
  byLabel('gauge', 'farlight_pool_bookings', 'phase', 'Bookings, by phase.', ({ bookings, waiting }) => ({
    waiting: waiting.length,
    ready: bookings.filter(({ phase }) => phase === 'ready').length,
  })),
  ofPools('gauge', 'farlight_pool_engine_up', '1 while the engine answers, else 0.', ({ view }) =>
    view.silence === undefined ? 1 : 0,
  ),
  ofPools(
    'counter',
    'farlight_pool_bookings_total',
    'Bookings that were asked for.',
    ({ costs }) => costs.sum.bookings,
  ),
  byLabel(
    'counter',
    'farlight_pool_booking_ends_total',
    'result',
    'Bookings that ended since the portal started: served ones had a host.',
    ({ pool }, { endsOf }) => ({ ...(endsOf.get(pool.name) ?? { served: 0, unserved: 0 }) }),
  ),
  ofPools(
    'counter',
    'farlight_pool_hosts_total',
    'Hosts that were asked for.',
    ({ costs }) => costs.sum.hosts,
  ),
  byLabel(
    'counter',
    'farlight_pool_gpu_seconds_total',
    'use',
    'GPU seconds of running hosts: used with a session, idle without one.',
    ({ costs }) => ({ used: costs.sum.used, idle: costs.sum.idle }),
  ),
  buildInfo(({ version }) => version),
];

/** The portal's figures for Prometheus. Labels have few values: the pools, and never a tenant or a program. */
export class PortalMetrics extends FigureReader<Facts> {
  constructor(portal: Portal, version: string) {
    super(FIGURES, () => ({ portal, version }));
  }
}
