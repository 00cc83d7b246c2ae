import type { Socket } from 'node:net';
import type { LiveState } from '../../page/live-events.js';
import { PageServer } from '../../page/page-server.js';
import { addSite, siteFiles } from '../../page/site-files.js';
import { addStateRoutes } from '../../page/state-routes.js';
import type { Metrics } from '../statistics/metrics.js';
import type { Observatory } from '../statistics/observatory.js';
import type { ServerEvent } from '../statistics/server-view.js';

/** Where Triton has its metrics. */
export const DEFAULT_INFER_DASHBOARD = '127.0.0.1:8002';
/** The folder of the page's own files, in dist/. */
export const SITE = 'infer/page/site';

export interface DashboardOptions {
  /** `HOST:PORT` on loopback. */
  readonly address: string;
  readonly observatory: Observatory;
  readonly metrics: Metrics;
  /** As in PageServerOptions. */
  mayLook(socket: Socket): Promise<boolean>;
  onError(error: unknown): void;
}

/**
 * Makes the dashboard's server, which does not listen yet. It serves the page itself; `/events`, server-sent events named
 * `server` that keep the page up to date; `/server.json`, the same state once; and `/metrics` for Prometheus.
 *
 * @throws FarlightError BAD_OPTION where the address is not on loopback.
 */
export function openDashboard({
  address,
  observatory,
  metrics,
  mayLook,
  onError,
}: DashboardOptions): PageServer {
  const page = new PageServer({ address, mayLook, onError });
  addSite(page, siteFiles(SITE));
  addStateRoutes(page, {
    name: 'server',
    view: () => observatory.view(),
    state: () => liveState(observatory),
    metrics,
  });
  return page;
}

/** The state for a reader now: of one tenant, or of all tenants for the owner. */
export function liveState(observatory: Observatory, tenant?: string): LiveState {
  const server = observatory.view(tenant);
  return {
    now: server.now,
    // While a request is open, the current time is news too.
    news: JSON.stringify({ ...server, now: server.open > 0 ? server.now : 0 }),
    event: (second): ServerEvent => ({ server, seconds: observatory.seconds(second, tenant) }),
  };
}
