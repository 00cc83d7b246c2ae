import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import { type Trust, urlFor, watchTrust } from '../../infer/door/trust.js';
import { HttpRefusal } from '../../infer/http/body.js';
import type { Exchange } from '../../infer/http/exchange.js';
import { HttpServer } from '../../infer/http/http-server.js';
import { readJson } from '../../infer/http/json.js';
import { pageRoutes } from '../../infer/http/page-routes.js';
import type { Route } from '../../infer/http/routes.js';
import { traceparentOf } from '../../infer/protocol/request.js';
import { LiveEvents } from '../../page/live-events.js';
import { liveState, SITE } from '../page/dashboard.js';
import type { PostedRecords, TakenRecord } from '../sources/posted-records.js';
import type { Metrics } from '../statistics/figures.js';
import type { Observatory } from '../statistics/observatory.js';
import { RecordSockets } from './record-sockets.js';

export interface FrontOptions {
  readonly trust: Trust;
  readonly observatory: Observatory;
  readonly metrics: Metrics;
  /** The source of this name, if records may be posted to it. */
  posted(source: string): PostedRecords | undefined;
  /** The most bytes of a request. */
  readonly limit: number;
  log(message: string): void;
}

const RECORDS = '/v1/records';
/** The most bytes of requests in memory, in requests of the longest kind. */
const BUDGET = 8;

/** The application over HTTP: records are posted here, and each client sees its own. */
export class Front {
  readonly #options: FrontOptions;
  readonly #server: HttpServer;
  /** Keeps the pages of tenants up to date. */
  readonly #live: LiveEvents;
  readonly #sockets: RecordSockets;
  /** Stops following the certificate and the tokens. */
  #unwatch: (() => void) | undefined;
  #port = 0;

  constructor(options: FrontOptions) {
    const { trust, limit, log } = options;
    this.#options = options;
    const onError = (error: unknown) => log(`a request failed by a bug: ${inspect(error)}`);
    this.#live = new LiveEvents({ name: 'application', onError });
    this.#sockets = new RecordSockets({ limit, onError });
    this.#server = new HttpServer({
      routes: this.#routes(),
      guide: 'docs/streams.md',
      address: trust.http,
      trust,
      limit,
      budget: BUDGET * limit,
      upgrade: (request, socket, head, { tenant }) => this.#connect(request, socket, head, tenant),
      onError,
      onAnswer: () => {},
    });
  }

  /** @throws FarlightError PORT_IN_USE, BAD_OPTION (rejects). Call `close` even then. */
  async listen(): Promise<void> {
    this.#port = await this.#server.listen();
    this.#unwatch = watchTrust(this.#options.trust, (renewed) => this.#server.renew(renewed));
  }

  /** For clients: `http://` or `https://`. */
  get url(): string {
    const { trust } = this.#options;
    return urlFor(trust, 'http', trust.http, this.#port);
  }

  async close(graceMs: number): Promise<void> {
    this.#unwatch?.();
    this.#live.close();
    this.#sockets.close();
    await this.#server.close(graceMs);
  }

  #routes(): Route[] {
    const { trust, observatory, metrics } = this.#options;
    // Without tokens there is the owner alone.
    const shown = (tenant: string) => (trust.tokens ? tenant : undefined);
    return [
      {
        method: 'POST',
        path: RECORDS,
        handle: (exchange, _, { tenant }) => this.#take(exchange, tenant),
      },
      ...pageRoutes({
        path: '/v1/status',
        view: (tenant) => observatory.view(shown(tenant)),
        state: (tenant) => liveState(observatory, shown(tenant)),
        live: this.#live,
        site: trust.tokens && SITE,
      }),
      {
        method: 'GET',
        path: '/metrics',
        async handle(exchange) {
          const { type, text } = await metrics.read();
          exchange.text(text, type);
        },
      },
    ];
  }

  async #take(exchange: Exchange, tenant: string): Promise<void> {
    const { take } = this.#taker(exchange.request, tenant);
    exchange.json(await take(await exchange.body(), 'the body'));
  }

  #connect(request: IncomingMessage, socket: Duplex, head: Buffer, tenant: string): void {
    if (urlOf(request).pathname !== RECORDS)
      throw new HttpRefusal(404, `a WebSocket for records is at ${RECORDS}?source=NAME`);
    this.#sockets.accept(request, socket, head, this.#taker(request, tenant));
  }

  /** Takes records of a tenant for the source that a request names, and counts them. @throws HttpRefusal */
  #taker(request: IncomingMessage, tenant: string) {
    const source = urlOf(request).searchParams.get('source') ?? '';
    const posted = this.#options.posted(source);
    if (!posted)
      throw new HttpRefusal(
        404,
        `no records can be posted to a source "${source.slice(0, 100)}"; name one with ?source=NAME`,
      );
    const counts = this.#options.observatory.posted;
    const traceparent = traceparentOf(request.headers.traceparent);
    return {
      room: (signal: AbortSignal) => posted.room(signal),
      take(bytes: Uint8Array, what: string) {
        let taken: Promise<readonly TakenRecord[]>;
        try {
          taken = posted.take(readJson(bytes, what), traceparent);
        } catch (error) {
          counts.add({ tenant, source }, { refused: 1 });
          throw error;
        }
        return taken.then((records) => {
          const repeated = records.filter(({ isRepeated }) => isRepeated).length;
          counts.add({ tenant, source }, { records: records.length - repeated, repeated });
          return { records };
        });
      },
    };
  }
}

function urlOf({ url = '/' }: IncomingMessage): URL {
  return URL.canParse(url, 'http://any') ? new URL(url, 'http://any') : new URL('http://any');
}
