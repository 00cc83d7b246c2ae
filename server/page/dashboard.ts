import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { monotonicNow } from '../../link/machine/clock.js';
import { EventStream } from '../../page/event-stream.js';
import type { LiveState } from '../../page/live-events.js';
import { PageServer } from '../../page/page-server.js';
import { addSite, siteFiles } from '../../page/site-files.js';
import { addStateRoutes } from '../../page/state-routes.js';
import { messageOf } from '../../proto/errors.js';
import type { HostView, SecondView, SpansView } from '../observatory/host-view.js';
import { brief, type Log } from '../observatory/log.js';
import type { Observatory } from '../observatory/observatory.js';
import { ContentCensus } from './content-census.js';
import { Metrics } from './metrics.js';

export interface DashboardOptions {
  page: PageServer;
  observatory: Observatory;
  /** Undefined where the host keeps no contents. */
  contents: ContentCensus | undefined;
  control: SessionControl;
  /** Tells the host's owner that the contents cannot be counted. */
  warn(error: unknown): void;
}

/** The owner's actions on a session, which is named by the beginning of its id. Each rejects with the reason. */
export interface SessionControl {
  park(session: string): Promise<void>;
  /** @param to the address of a host that the owner has named; absent for any. */
  move(session: string, to: string | undefined): Promise<void>;
}

export interface OpenDashboardOptions {
  /** `HOST:PORT` on loopback. */
  address: string;
  observatory: Observatory;
  /** The contents that the host keeps: the folder above the tenants' folders, and the tenants that have had sessions. */
  contents: { readonly root: string; readonly tenants: Iterable<string> } | undefined;
  log: Log;
  control: SessionControl;
  /** As in PageServerOptions. */
  mayLook(socket: Socket): Promise<boolean>;
  mayAct(socket: Socket): Promise<boolean>;
}

/**
 * Makes the dashboard's server, which does not listen yet.
 *
 * @throws FarlightError BAD_OPTION where the address is not on loopback.
 */
export function openDashboard({
  address,
  observatory,
  contents,
  log,
  control,
  mayLook,
  mayAct,
}: OpenDashboardOptions): PageServer {
  const warn = (error: unknown) => log.error({ why: brief(messageOf(error)) }, 'dashboard failed');
  const page = new PageServer({ address, mayLook, mayAct, onError: warn });
  const census =
    contents &&
    new ContentCensus({
      root: contents.root,
      tenants: () => contents.tenants,
      now: monotonicNow,
    });
  new Dashboard({ page, observatory, contents: census, control, warn });
  return page;
}

/** Files that the page imports from elsewhere, by their path in dist/, which is also their path on the server. */
const BESIDE = ['proto/session/spans.js'];

/** An event of `/events`: the host's current state, and the seconds that are new or have changed. */
export interface HostEvent {
  host: HostView;
  seconds: SecondView[];
}

/**
 * Adds the dashboard's routes to a page server: the page itself; `/events`, server-sent events named `host` that keep
 * the page up to date; `/host.json`, the same state once; `/watch?session=ID`, one session's events named `spans`; and
 * `/metrics` for Prometheus. `farlight session` posts to `/session/park?session=ID` and `/session/move?session=ID`.
 */
export class Dashboard {
  readonly #options: DashboardOptions;

  constructor(options: DashboardOptions) {
    this.#options = options;
    const { page, observatory, control } = options;
    addSite(page, siteFiles('server/page/site', BESIDE));
    addStateRoutes(page, {
      name: 'host',
      view: () => observatory.view(),
      state: () => this.#state(),
      metrics: new Metrics(observatory),
      before: () => this.#countContents(),
    });
    page.on('/watch', (_, response, { searchParams }) => {
      this.#watch(response, searchParams.get('session') ?? '');
    });
    page.onPost('/session/park', (_, response, { searchParams }) =>
      obey(response, control.park(searchParams.get('session') ?? '')),
    );
    page.onPost('/session/move', (_, response, { searchParams }) =>
      obey(response, control.move(searchParams.get('session') ?? '', searchParams.get('to') ?? undefined)),
    );
  }

  /** The state for readers of the events. */
  #state(): LiveState {
    const { observatory } = this.#options;
    const host = observatory.view();
    return {
      now: host.now,
      // While a session is open, the current time is news too.
      news: JSON.stringify({ ...host, now: host.sessions.length > 0 ? host.now : 0 }),
      event: (second): HostEvent => ({ host, seconds: observatory.seconds(second) }),
    };
  }

  #watch(response: ServerResponse, session: string): void {
    let stream: EventStream | undefined;
    let missed = 0;
    const stop = this.#options.observatory.watch(session, ({ spans, left }) => {
      const event: SpansView = { spans, left: left + missed };
      missed = stream?.send('spans', JSON.stringify(event)) ? 0 : event.left + spans.length;
    });
    if (!stop) {
      response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
      response.end('There is no such session; it has ended.\n');
      return;
    }
    stream = new EventStream(response);
    stream.onClose(stop);
  }

  async #countContents(): Promise<void> {
    const { contents, observatory, warn } = this.#options;
    try {
      observatory.contents = await contents?.counts();
    } catch (error) {
      warn(error);
    }
  }
}

/** Answers when it is done: 204, or 409 with the reason. */
async function obey(response: ServerResponse, done: Promise<void>): Promise<void> {
  try {
    await done;
    response.writeHead(204);
    response.end();
  } catch (error) {
    response.writeHead(409, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(messageOf(error));
  }
}
