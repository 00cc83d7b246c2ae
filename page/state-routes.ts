import { LiveEvents, type LiveState } from './live-events.js';
import type { PageServer } from './page-server.js';

/** A server's figures for Prometheus. */
export interface PageMetrics {
  read(): Promise<{ type: string; text: string }>;
}

export interface StateRoutesOptions {
  /** The name of the server's events, and of its state. */
  readonly name: string;
  /** The server's state, as JSON can have it. */
  view(): object;
  /** The state for readers of the events. */
  state(): LiveState;
  readonly metrics: PageMetrics;
  /** As in LiveEventsOptions; also called before each answer. */
  before?(): Promise<void>;
}

/**
 * Adds the routes of a server's state: `/events`, server-sent events that keep its page up to date; `/NAME.json`, the
 * same state once; and `/metrics` for Prometheus.
 */
export function addStateRoutes(
  page: PageServer,
  { name, view, state, metrics, before = async () => {} }: StateRoutesOptions,
): void {
  const live = new LiveEvents({ name, before, onError: page.onError });
  page.on('/events', (_, response) => void live.follow(response, state));
  page.on(`/${name}.json`, async (_, response) => {
    await before();
    response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' });
    response.end(JSON.stringify(view()));
  });
  page.on('/metrics', async (_, response) => {
    await before();
    const { type, text } = await metrics.read();
    response.writeHead(200, { 'content-type': type });
    response.end(text);
  });
}
