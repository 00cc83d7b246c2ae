import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import type { LiveEvents } from '../../page/live-events.js';
import { siteFiles } from '../../page/site-files.js';
import { liveState, SITE } from '../page/dashboard.js';
import { InferenceError } from '../service/service.js';
import type { Observatory } from '../statistics/observatory.js';
import type { Route } from './routes.js';

/** The most pages that are kept up to date at a time. */
const MOST_STREAMS = 64;
/** How long one stream lasts, in milliseconds. Its page comes back at once, and its token is looked at again. */
const STREAM_MS = 60_000;

export interface PageRoutesOptions {
  readonly observatory: Observatory;
  readonly live: LiveEvents;
  /** Whether the page itself is served: it needs a token to show anything. */
  readonly site: boolean;
}

/** The state of the server as far as it is the client's own: as JSON, as events, and as a page that shows these. */
export function pageRoutes({ observatory, live, site }: PageRoutesOptions): Route[] {
  return [
    {
      method: 'GET',
      path: '/v2/farlight',
      handle: (exchange, _, { tenant }) => exchange.json(observatory.view(tenant)),
    },
    {
      method: 'GET',
      path: '/v2/farlight/events',
      handle(exchange, _, { tenant }) {
        if (live.readers >= MOST_STREAMS) {
          throw new InferenceError('overloaded', 'too many pages are open; try again later', {
            retryAfter: 10,
          });
        }
        const response = exchange.stream();
        live.follow(response, () => liveState(observatory, tenant));
        const timer = setTimeout(() => response.end(), STREAM_MS).unref();
        response.once('close', () => clearTimeout(timer));
      },
    },
    ...(site ? siteRoutes() : []),
  ];
}

/** The page's files hold nothing, and a browser cannot send a token with them. */
function siteRoutes(): Route[] {
  return [...siteFiles(SITE)].map(([path, { type, bytes }]) => ({
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
