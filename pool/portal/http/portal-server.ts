import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { TlsOptions } from 'node:tls';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { isForThisMachine, mayRead, PAGE_HEADERS } from '../../../page/page-server.js';
import { HttpClients } from '../../../server/trust/newcomers/http-clients.js';
import { Newcomers } from '../../../server/trust/newcomers/newcomers.js';
import type { Client } from '../portal.js';
import { Exchange, HttpError } from './exchange.js';
import type { PortalTrust } from './portal-trust.js';

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** A path as OpenAPI writes it: `/v1/pools/{pool}`. */
  readonly path: string;
  /** Whether everybody may ask: there is no secret in the answer. */
  readonly isOpen?: boolean;
  handle(exchange: Exchange, names: Readonly<Record<string, string>>, client: Client): void | Promise<void>;
}

export interface PortalServerOptions {
  readonly trust: PortalTrust;
  readonly routes: readonly Route[];
  /** A request failed by a bug, for the log. */
  onError(error: unknown): void;
}

/** How long an unknown client may take for its first request, in milliseconds. */
const FIRST_MS = 10_000;
/** How long a client may take for a request. */
const REQUEST_MS = 30_000;
/** How long a known client's connection may stay open without a request. */
const KEEP_ALIVE_MS = 75_000;
const MOST_HEADER_BYTES = 16 << 10;
/** How long answers that are under way may take when the portal closes, in milliseconds. */
const CLOSE_MS = 500;

const NOBODY: Client = { tenant: '', isOwner: false };

/** The portal's HTTP/1.1 server, for people's browsers and for programs. States: *made* -> *listening* -> *closed*. */
export class PortalServer {
  readonly #options: PortalServerOptions;
  readonly #server: Server;
  readonly #newcomers: Newcomers;
  readonly #routes: readonly { route: Route; pattern: RegExp }[];
  readonly #clients: HttpClients<Client>;

  constructor(options: PortalServerOptions) {
    this.#options = options;
    this.#routes = options.routes.map((route) => ({ route, pattern: patternOf(route.path) }));
    const { tls } = options.trust;
    const settings = {
      maxHeaderSize: MOST_HEADER_BYTES,
      headersTimeout: FIRST_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
    };
    this.#server = tls ? createTlsServer({ ...forHttp(tls.options), ...settings }) : createServer(settings);
    this.#newcomers = new Newcomers(this.#server, FIRST_MS);
    this.#clients = new HttpClients(options.trust, this.#newcomers);
    this.#server.on('request', (request, response) => void this.#receive(request, response));
  }

  /** Resolves to the port. @throws FarlightError PORT_IN_USE, BAD_OPTION (rejects) */
  listen(): Promise<number> {
    return this.#newcomers.listen(this.#options.trust.address, '--listen');
  }

  /** Shows another certificate to new connections. */
  renew(tls: TlsOptions): void {
    if ('setSecureContext' in this.#server)
      (this.#server as unknown as { setSecureContext(tls: TlsOptions): void }).setSecureContext(forHttp(tls));
  }

  /** Ends every connection. Resolves when none is left. */
  async close(): Promise<void> {
    const cutOff = setTimeout(() => this.#newcomers.destroy(), CLOSE_MS);
    const closed = this.#newcomers.close();
    this.#server.closeIdleConnections();
    await closed;
    clearTimeout(cutOff);
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(PAGE_HEADERS)) response.setHeader(name, value);
    let exchange: Exchange;
    try {
      exchange = new Exchange(request, response);
    } catch {
      response.writeHead(400).end();
      return;
    }
    try {
      await this.#answer(exchange);
    } catch (error) {
      exchange.fail(error, this.#options.onError);
    }
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { request, url } = exchange;
    const { trust } = this.#options;
    if (!trust.tokens) notFromElsewhere(request);
    const { route, names } = this.#find(request.method ?? '', url.pathname);
    const client = route.isOpen ? NOBODY : await this.#clients.of(request);
    await route.handle(exchange, names, client);
  }

  /** @throws HttpError */
  #find(method: string, path: string): { route: Route; names: Readonly<Record<string, string>> } {
    const methods = new Set<string>();
    for (const { route, pattern } of this.#routes) {
      const names = namesIn(pattern, path);
      if (!names) continue;
      if (route.method === method || (route.method === 'GET' && method === 'HEAD')) return { route, names };
      methods.add(route.method);
    }
    const allow = [...methods].join(', ');
    if (allow) throw new HttpError(405, `${path.slice(0, 200)} takes ${allow}, and not ${method}`, { allow });
    throw new HttpError(404, `there is no ${path.slice(0, 200)}; /v1/openapi.json says what there is`);
  }
}

/**
 * Every page in a browser on this machine can reach the loopback interface. A portal that asks for no token answers only
 * its own page, and programs, under this machine's own name.
 *
 * @throws HttpError
 */
function notFromElsewhere(request: IncomingMessage): void {
  if (!isForThisMachine(request))
    throw new HttpError(421, 'this portal is for this machine: open it as http://127.0.0.1:PORT');
  if (!mayRead(request)) throw new HttpError(403, 'other web pages may not ask this portal');
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
}

/** Undefined where the path is another one, or an escape in it is none. */
function namesIn(pattern: RegExp, path: string): Record<string, string> | undefined {
  const match = pattern.exec(path);
  if (!match) return undefined;
  try {
    const named = Object.entries(match.groups ?? {});
    return Object.fromEntries(named.map(([name, text]) => [name, decodeURIComponent(text)]));
  } catch {
    return undefined;
  }
}

function forHttp(tls: TlsOptions): TlsOptions {
  return { ...tls, ALPNProtocols: ['http/1.1'] };
}
