import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TlsOptions } from 'node:tls';
import { isLoopback } from '../../link/address/loopback.js';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { HttpClients } from '../../server/trust/newcomers/http-clients.js';
import { type Address, Newcomers } from '../../server/trust/newcomers/newcomers.js';
import type { Trust } from '../door/trust.js';
import { failureOf } from '../protocol/failures.js';
import { type Client, NOBODY } from '../protocol/repository.js';
import { SharedBudget } from '../service/shared-budget.js';
import { HttpRefusal } from './body.js';
import { Exchange, type ExchangeOptions } from './exchange.js';
import { type Route, Router } from './routes.js';

export interface HttpServerOptions {
  readonly routes: readonly Route[];
  /** Why the server lacks a path that clients may expect; undefined for any other path. */
  notServed?(path: string): string | undefined;
  /** The path that describes all others. */
  readonly guide: string;
  readonly address: Address;
  readonly trust: Trust;
  /** The most bytes of a request. */
  readonly limit: number;
  /** The most bytes of all requests and answers that are in memory. */
  readonly budget: number;
  /** How long a client may send nothing of its request, or read nothing of its answer, in milliseconds. Default 10 s. */
  readonly idleMs?: number | undefined;
  /** How long a client may take for a whole request, in milliseconds. Default 5 minutes. */
  readonly requestMs?: number | undefined;
  /** Takes over a connection of a client that asks for another protocol. Left out: there is HTTP alone. */
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer, client: Client): void;
  onError(error: unknown): void;
  onAnswer(status: number): void;
}

const IDLE_MS = 10_000;
const REQUEST_MS = 300_000;
/** How long a known client's connection may stay open without a request, in milliseconds. */
const KEEP_ALIVE_MS = 75_000;
const MOST_HEADER_BYTES = 16 << 10;
/** The most requests that a client may send on one connection before the first is answered. */
const MOST_PIPELINED = 16;

/** How long a client that was refused may take to disconnect, in milliseconds. */
const REFUSED_MS = 2000;

/** Routes over HTTP/1.1, for clients that may come in. */
export class HttpServer {
  readonly budget: SharedBudget;
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #newcomers: Newcomers;
  readonly #router: Router;
  readonly #exchange: ExchangeOptions;
  readonly #clients: HttpClients<Client>;
  readonly #open = new WeakMap<Socket, number>();
  #closing = false;

  constructor(options: HttpServerOptions) {
    const { trust, limit, idleMs = IDLE_MS, requestMs = REQUEST_MS, onError, onAnswer } = options;
    this.#options = options;
    this.budget = new SharedBudget(options.budget);
    this.#exchange = { limit, idleMs, budget: this.budget, onError, onAnswer };
    this.#router = new Router(options.routes);
    const settings = {
      maxHeaderSize: MOST_HEADER_BYTES,
      headersTimeout: idleMs,
      requestTimeout: requestMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(5000, idleMs),
      noDelay: true,
      // Node itself answers an older client without a Host header, and every client has one.
      requireHostHeader: false,
    };
    this.#server = trust.tls
      ? createTlsServer({ ...tlsOptions(trust.tls.options), ...settings })
      : createServer(settings);
    this.#newcomers = new Newcomers(this.#server, idleMs);
    this.#clients = new HttpClients(trust, this.#newcomers);
    const receive = (request: IncomingMessage, response: ServerResponse) =>
      void this.#receive(new Exchange(request, response, this.#exchange));
    this.#server.on('request', receive);
    // A client that waits for "100 Continue" gets it when its body is read.
    this.#server.on('checkContinue', receive);
    if (options.upgrade) {
      const { upgrade } = options;
      this.#server.on(
        'upgrade',
        (request, socket, head) => void this.#upgrade(request, socket, head, upgrade),
      );
    }
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      refuseRaw(error, socket as Socket),
    );
  }

  /** Resolves to the port. @throws FarlightError PORT_IN_USE, BAD_OPTION (rejects) */
  listen(): Promise<number> {
    return this.#newcomers.listen(this.#options.address, '--listen');
  }

  /** Shows another certificate to new connections. */
  renew(tls: TlsOptions): void {
    if ('setSecureContext' in this.#server) {
      (this.#server as unknown as { setSecureContext(options: TlsOptions): void }).setSecureContext(
        tlsOptions(tls),
      );
    }
  }

  /** Answers the requests that are there, for at most `graceMs`, and closes the connections. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    const cutOff = setTimeout(() => this.#newcomers.destroy(), graceMs).unref();
    const closed = this.#newcomers.close();
    this.#server.closeIdleConnections();
    await closed;
    clearTimeout(cutOff);
  }

  async #receive(exchange: Exchange): Promise<void> {
    try {
      await this.#answer(exchange);
    } catch (error) {
      exchange.fail(error);
    }
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { request } = exchange;
    const { trust } = this.#options;
    this.#countPipelined(exchange);
    // From now on each answer ends its connection.
    if (this.#closing) exchange.closeAfter();
    if (!trust.tokens) notFromPages(request);
    const path = pathOf(request.url);
    const method = request.method ?? '';
    const found = this.#router.find(method, path);
    if (!('route' in found)) {
      await this.#clients.of(request);
      throw this.#noRoute(method, path, found.methods);
    }
    const { route, names } = found;
    const client = route.open ? NOBODY : await this.#clients.of(request);
    // It has gone while it was looked up. Nothing that begins now would hear of its end.
    if (exchange.signal.aborted) return;
    exchange.belongsTo(client.tenant);
    await route.handle(exchange, names, client);
  }

  async #upgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    act: NonNullable<HttpServerOptions['upgrade']>,
  ): Promise<void> {
    // Node removes its error listener from such a connection.
    socket.on('error', () => socket.destroy());
    const { trust, onError, onAnswer } = this.#options;
    try {
      if (this.#closing) throw new HttpRefusal(503, 'the server ends; connect again later');
      if (!trust.tokens) notFromPages(request);
      act(request, socket, head, await this.#clients.of(request));
      onAnswer(101);
    } catch (error) {
      const { http, sentence } =
        error instanceof HttpRefusal
          ? { http: error.status, sentence: error.message }
          : failureOf(error, onError);
      onAnswer(http);
      endRaw(socket, http, sentence);
    }
  }

  #noRoute(method: string, path: string, methods: readonly string[]): HttpRefusal {
    const { guide, notServed } = this.#options;
    if (methods.length > 0) {
      return new HttpRefusal(405, `${path.slice(0, 200)} has no ${method}; use ${methods[0]}`, {
        allow: [...new Set(methods)].join(', '),
      });
    }
    const reason = notServed?.(path);
    return reason === undefined
      ? new HttpRefusal(404, `there is no ${path.slice(0, 200)}; ${guide} says what there is`)
      : new HttpRefusal(501, reason);
  }

  /** @throws HttpRefusal */
  #countPipelined(exchange: Exchange): void {
    const { socket } = exchange.request;
    const open = (this.#open.get(socket) ?? 0) + 1;
    this.#open.set(socket, open);
    exchange.onDone(() => {
      this.#open.set(socket, (this.#open.get(socket) ?? 1) - 1);
      if (this.#closing) this.#server.closeIdleConnections();
    });
    if (open <= MOST_PIPELINED) return;
    exchange.closeAfter();
    const message = `more than ${MOST_PIPELINED} requests wait on one connection; open another one, or wait for answers`;
    throw new HttpRefusal(429, message, { 'retry-after': '1' });
  }
}

/**
 * Every page in a browser on this machine can reach the loopback interface. A server that asks for no token takes no
 * request from a page, nor one under a name that an attacker may have led to 127.0.0.1.
 *
 * @throws HttpRefusal
 */
function notFromPages({ headers }: IncomingMessage): void {
  const { host, origin, 'sec-fetch-site': site } = headers;
  if (host !== undefined && !isLoopback(host.replace(/:\d{1,5}$/, ''))) {
    throw new HttpRefusal(421, 'this server is for this machine: ask it as http://127.0.0.1:PORT');
  }
  if (origin !== undefined || (site !== undefined && site !== 'none')) {
    throw new HttpRefusal(403, 'pages in a browser may not ask this server; start it with --require-token');
  }
}

/** The path of a request's target, without its query. */
function pathOf(target = ''): string {
  const [path = ''] = target.split('?', 1);
  return path;
}

function tlsOptions(tls: TlsOptions): TlsOptions {
  return { ...tls, ALPNProtocols: ['http/1.1'] };
}

/** The answers to bytes that are no request, by the codes of Node's parser. */
const PARSER_STATUSES: Readonly<Record<string, readonly [status: number, sentence: string]>> = {
  HPE_HEADER_OVERFLOW: [431, `the headers are longer than ${MOST_HEADER_BYTES} bytes`],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request took too long; send it again'],
};

/** Answers bytes that are no request. */
function refuseRaw({ code = '' }: NodeJS.ErrnoException, socket: Socket): void {
  const known = PARSER_STATUSES[code];
  if (!socket.writable || (!known && !code.startsWith('HPE_'))) {
    socket.destroy();
    return;
  }
  endRaw(socket, ...(known ?? ([400, 'this is no request of HTTP/1.1'] as const)));
}

function endRaw(socket: Duplex, status: number, sentence: string): void {
  const body = JSON.stringify({ error: sentence });
  const headers = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers}\r\n\r\n${body}`);
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}
