import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { clearInterval, monotonicNow, setInterval } from '../../link/machine/clock.js';
import { messageOf } from '../../proto/errors.js';
import type { TenantContents } from '../daemon/tenants/tenant-contents.js';
import { brief, type Log } from '../observatory/log.js';
import type { Observatory } from '../observatory/observatory.js';
import type { HostView, SecondView, SpansView } from '../observatory/view.js';
import { BlobCensus } from './blob-census.js';
import { EventStream } from './event-stream.js';
import { Metrics } from './metrics.js';
import { PageServer } from './page-server.js';
import { siteFiles } from './site-files.js';

export interface DashboardOptions {
  page: PageServer;
  observatory: Observatory;
  /** Absent where nothing is kept. */
  blobs: BlobCensus | undefined;
  /** Tells the host's owner that what is kept cannot be looked at. */
  warn(error: unknown): void;
}

export interface OpenDashboardOptions {
  /** `HOST:PORT` on loopback. */
  address: string;
  observatory: Observatory;
  contents: TenantContents | undefined;
  log: Log;
}

/**
 * The server of the dashboard, which is yet to listen. `mayLook` is a PageServer's.
 *
 * @throws FarlightError BAD_OPTION where the address is not on loopback.
 */
export function openDashboard(
  { address, observatory, contents, log }: OpenDashboardOptions,
  mayLook: (socket: Socket) => Promise<boolean>,
): PageServer {
  const warn = (error: unknown) => log.error({ why: brief(messageOf(error)) }, 'dashboard failed');
  const page = new PageServer({ address, mayLook, onError: warn });
  const blobs =
    contents &&
    new BlobCensus({
      root: contents.root,
      tenants: () => contents.tenants,
      now: monotonicNow,
    });
  new Dashboard({ page, observatory, blobs, warn });
  return page;
}

/** How often those who look are told what is new, in milliseconds. */
const TELL_MS = 1000;
/** They are told at least once in so many times: that is how they know that the host is there. */
const QUIET_TIMES = 10;

/** An event of `/events`: the host as it is, and the seconds that are new or have changed. */
export interface HostEvent {
  host: HostView;
  seconds: SecondView[];
}

/**
 * Puts on a page server what shows the host: the page itself, `/events` that keeps it up to date (server-sent events
 * named `host`), `/host.json` with the same once, `/watch?session=ID` with what one session does (events named
 * `spans`), and `/metrics` for Prometheus.
 *
 * While nobody looks, nothing runs: the timer is there for streams that are open.
 */
export class Dashboard {
  readonly #options: DashboardOptions;
  readonly #metrics: Metrics;
  readonly #streams = new Map<EventStream, Reader>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DashboardOptions) {
    this.#options = options;
    const { page, observatory } = options;
    this.#metrics = new Metrics(observatory);
    for (const [path, { type, bytes }] of siteFiles()) {
      page.on(path, (_, response) => {
        response.writeHead(200, { 'content-type': type });
        response.end(bytes());
      });
    }
    page.on('/events', (_, response) => this.#follow(response));
    page.on('/watch', (_, response, { searchParams }) => {
      this.#watch(response, searchParams.get('session') ?? '');
    });
    page.on('/host.json', async (_, response) => {
      await this.#lookAtBlobs();
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' });
      response.end(JSON.stringify(observatory.view()));
    });
    page.on('/metrics', async (_, response) => {
      await this.#lookAtBlobs();
      const { type, text } = await this.#metrics.read();
      response.writeHead(200, { 'content-type': type });
      response.end(text);
    });
  }

  #follow(response: ServerResponse): void {
    const stream = new EventStream(response);
    this.#streams.set(stream, { second: 0, told: '', quiet: 0 });
    stream.onClose(() => {
      this.#streams.delete(stream);
      if (this.#streams.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    this.#timer ??= setInterval(() => this.#tell(), TELL_MS).unref();
    // What is told first is complete, or at hand.
    void this.#lookAtBlobs().then(() => this.#tell(stream));
  }

  #tell(...some: EventStream[]): void {
    const host = this.#options.observatory.view();
    // With a session open, time itself is news.
    const state = JSON.stringify({ ...host, now: host.sessions.length > 0 ? host.now : 0 });
    for (const stream of some.length > 0 ? some : this.#streams.keys()) {
      const reader = this.#streams.get(stream);
      if (!reader) continue;
      reader.quiet += 1;
      if (reader.told === state && reader.quiet < QUIET_TIMES) continue;
      const seconds = this.#options.observatory.seconds(reader.second);
      const event: HostEvent = { host, seconds };
      if (!stream.send('host', JSON.stringify(event))) continue;
      // A second is told again while it may still grow.
      Object.assign(reader, { told: state, quiet: 0, second: Math.floor(host.now / 1000) - 1 });
    }
    if (some.length === 0) void this.#lookAtBlobs();
  }

  #watch(response: ServerResponse, session: string): void {
    let stream: EventStream | undefined;
    let missed = 0;
    const stop = this.#options.observatory.watch(session, ({ spans, left }) => {
      const did: SpansView = { spans, left: left + missed };
      missed = stream?.send('spans', JSON.stringify(did)) ? 0 : did.left + spans.length;
    });
    if (!stop) {
      response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
      response.end('There is no such session; it has ended.\n');
      return;
    }
    stream = new EventStream(response);
    stream.onClose(stop);
  }

  async #lookAtBlobs(): Promise<void> {
    const { blobs, observatory, warn } = this.#options;
    try {
      observatory.blobs = await blobs?.look();
    } catch (error) {
      warn(error);
    }
  }
}

/** What somebody who looks was told. */
interface Reader {
  /** The seconds before this one are known to it. */
  second: number;
  /** The state of the host that it knows. */
  told: string;
  /** How many times nothing was told. */
  quiet: number;
}
