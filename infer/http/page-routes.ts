import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import type { LiveEvents, LiveState } from '../../page/live-events.js';
import { siteFiles } from '../../page/site-files.js';
import { InferenceError } from '../service/service.js';
import { SharedBudget } from '../service/shared-budget.js';
import type { Route } from './routes.js';

/** The most pages that are kept up to date at a time. One tenant's leave some for others. */
const MOST_STREAMS = 64;
/** How long one stream lasts, in milliseconds. Its page comes back at once, and its token is looked at again. */
const STREAM_MS = 60_000;

export interface PageRoutesOptions {
  /** The path of the state as JSON. Its events are below it. */
  readonly path: string;
  /** The state as far as it is the client's own. */
  view(tenant: string): object;
  state(tenant: string): LiveState;
  readonly live: LiveEvents;
  /** The folder of the page's files, in dist/; undefined where none is served. It needs a token to show anything. */
  readonly site: string | undefined;
}

/** The state of the server as far as it is the client's own: as JSON, as events, and as a page that shows these. */
export function pageRoutes({ path, view, state, live, site }: PageRoutesOptions): Route[] {
  const streams = new SharedBudget(MOST_STREAMS);
  return [
    { method: 'GET', path, handle: (exchange, _, { tenant }) => exchange.json(view(tenant)) },
    {
      method: 'GET',
      path: `${path}/events`,
      handle(exchange, _, { tenant }) {
        if (!streams.take(tenant, 1)) {
          throw new InferenceError('overloaded', 'too many pages are open; try again later', {
            retryAfter: 10,
          });
        }
        exchange.onDone(() => streams.add(tenant, -1));
        const stream = live.follow(exchange.stream(), () => state(tenant));
        const timer = setTimeout(() => stream.end(), STREAM_MS).unref();
        stream.onClose(() => clearTimeout(timer));
      },
    },
    ...(site === undefined ? [] : siteRoutes(site)),
  ];
}

/** The page's files hold nothing, and a browser cannot send a token with them. */
function siteRoutes(folder: string): Route[] {
  return [...siteFiles(folder)].map(([path, { type, bytes }]) => ({
    method: 'GET' as const,
    path: `/farlight${path === '/' ? '' : path}`,
    open: true,
    handle(exchange) {
      // Its other files are beside it.
      if (path === '/' && !exchange.request.url?.startsWith('/farlight/')) exchange.redirect('/farlight/');
      else exchange.file(bytes(), type);
    },
  }));
}
