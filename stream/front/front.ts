import { inspect } from 'node:util';
import { type Trust, urlFor, watchTrust } from '../../infer/door/trust.js';
import { HttpRefusal } from '../../infer/http/body.js';
import type { Exchange } from '../../infer/http/exchange.js';
import { HttpServer } from '../../infer/http/http-server.js';
import { readJson } from '../../infer/http/json.js';
import type { Route } from '../../infer/http/routes.js';
import type { ApplicationStatus } from '../run/status.js';
import type { PostedRecords } from '../sources/posted-records.js';
import { Figures } from './figures.js';

export interface FrontOptions {
  readonly trust: Trust;
  status(): ApplicationStatus;
  /** The source of this name, if records may be posted to it. */
  posted(source: string): PostedRecords | undefined;
  /** The most bytes of a request. */
  readonly limit: number;
  log(message: string): void;
}

/** The most bytes of requests in memory, in requests of the longest kind. */
const BUDGET = 8;

/** The application over HTTP: records are posted here, and its status and figures are read. */
export class Front {
  readonly #options: FrontOptions;
  readonly #server: HttpServer;
  /** Stops following the certificate and the tokens. */
  #unwatch: (() => void) | undefined;
  #port = 0;

  constructor(options: FrontOptions) {
    const { trust, limit, log } = options;
    this.#options = options;
    this.#server = new HttpServer({
      routes: this.#routes(),
      guide: 'docs/streams.md',
      address: trust.http,
      trust,
      limit,
      budget: BUDGET * limit,
      onError: (error) => log(`a request failed by a bug: ${inspect(error)}`),
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
    await this.#server.close(graceMs);
  }

  #routes(): Route[] {
    const { status } = this.#options;
    const figures = new Figures(status);
    return [
      { method: 'POST', path: '/v1/records', handle: (exchange) => this.#take(exchange) },
      { method: 'GET', path: '/v1/status', handle: (exchange) => exchange.json(status()) },
      {
        method: 'GET',
        path: '/metrics',
        async handle(exchange) {
          const { type, text } = await figures.read();
          exchange.text(text, type);
        },
      },
    ];
  }

  async #take(exchange: Exchange): Promise<void> {
    const { searchParams } = new URL(exchange.request.url ?? '/', 'http://any');
    const name = searchParams.get('source') ?? '';
    const posted = this.#options.posted(name);
    if (!posted)
      throw new HttpRefusal(
        404,
        `no records can be posted to a source "${name.slice(0, 100)}"; name one with ?source=NAME`,
      );
    const body = await exchange.body();
    exchange.json({ records: await posted.take(readJson(body, 'the body')) });
  }
}
