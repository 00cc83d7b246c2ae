import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parseHostPort, shownHost } from '../link/address/host-port.js';
import { isLoopback } from '../link/address/loopback.js';
import { FarlightError } from '../proto/errors.js';

export const DEFAULT_DASHBOARD = '127.0.0.1:7071';

/** Answers a GET or HEAD. An exception or a rejection becomes status 500, without details for the reader. */
export type PageHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
) => void | Promise<void>;

/**
 * Takes over a connection; its first bytes, `head`, were read already. From then on the handler must answer and end it.
 */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer, url: URL) => void;

export interface UpgradeRoute {
  handler: UpgradeHandler;
  /**
   * Whether a page of an origin such as `http://localhost:5173` may connect. Default: only pages of this server. A
   * program that is not a browser sends no origin, and may always connect.
   */
  allowsOrigin?: ((origin: string) => boolean) | undefined;
}

export interface PageServerOptions {
  /** `HOST:PORT` on loopback; port 0: any free one. */
  address: string;
  /** Whether the user at the other end of a connection may read the pages. Never rejects. */
  mayLook(socket: Socket): Promise<boolean>;
  /** Whether that user may change something, too. Default: nobody may. Never rejects. */
  mayAct?(socket: Socket): Promise<boolean>;
  /** A handler failed. That is a bug, for the log. */
  onError(error: unknown): void;
}

/** The most connections; an open page takes one or two. */
const MAX_CONNECTIONS = 128;

const NOT_OWNER = 'Only the user who runs this server may do this.';

const OTHERS =
  'This page is only for the user who runs this server. Run farlight top as that user, or start the server with --allow-local-users.';

/** The browser loads only files from this server, and never treats text as markup or code. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** Headers of all answers of a server with a page. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

/**
 * An HTTP server for a server's owner: on loopback alone, and for its own pages alone. A web page from elsewhere can
 * make the owner's browser send requests here. So each request must name this machine as its host: otherwise an
 * attacker's name that resolves to 127.0.0.1 would work. And it must come from a page of this server, or from no page.
 *
 * Routes are exact paths. Add them before `listen`. States: *made* -> *listening* -> *closed*.
 */
export class PageServer {
  readonly #host: string;
  readonly #port: number;
  readonly onError: (error: unknown) => void;
  readonly #mayLook: (socket: Socket) => Promise<boolean>;
  readonly #server: Server;
  readonly #routes = new Map<string, PageHandler>();
  /** Routes of requests that change something. */
  readonly #actions = new Map<string, PageHandler>();
  readonly #mayAct: ((socket: Socket) => Promise<boolean>) | undefined;
  readonly #upgrades = new Map<string, UpgradeRoute>();
  /** All connections, upgraded ones included. */
  readonly #sockets = new Set<Duplex>();
  /** By connection: whether its user may read. A connection belongs to one process as long as it is open. */
  readonly #readers = new WeakMap<Socket, Promise<boolean>>();

  /** @throws FarlightError BAD_OPTION where the address is not on loopback. */
  constructor({ address, mayLook, mayAct, onError }: PageServerOptions) {
    const { host, port } = parsePageAddress(address);
    this.#host = host;
    this.#port = port;
    this.onError = onError;
    this.#mayLook = mayLook;
    this.#mayAct = mayAct;
    this.#server = createServer((request, response) => this.#receive(request, response));
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** The server's URL, for example `http://127.0.0.1:7071`. */
  get url(): string {
    const { port } = (this.#server.address() ?? { port: this.#port }) as AddressInfo;
    return `http://${shownHost(this.#host)}:${port}`;
  }

  /** @param path for example `/metrics`. */
  on(path: string, handler: PageHandler): void {
    this.#routes.set(path, handler);
  }

  /** Adds a route for POST. Its parameters are in the URL, and no body is read. */
  onPost(path: string, handler: PageHandler): void {
    this.#actions.set(path, handler);
  }

  /** Adds a route for connections that ask for another protocol, such as WebSocket. */
  onUpgrade(path: string, route: UpgradeRoute | UpgradeHandler): void {
    this.#upgrades.set(path, typeof route === 'function' ? { handler: route } : route);
  }

  /** @throws FarlightError PORT_IN_USE or BAD_OPTION (rejects). Call `close` even then. */
  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (cause: NodeJS.ErrnoException) => reject(this.#bindError(cause));
      this.#server.once('error', failed);
      this.#server.listen(this.#port, this.#host, () => {
        this.#server.off('error', failed);
        this.#server.on('error', this.onError);
        resolve();
      });
    });
  }

  /** Ends every connection, upgraded ones included; resolves when none is left. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (this.#server.listening) this.#server.close(() => resolve());
      else resolve();
    });
    const gone = [...this.#sockets].map(
      (socket) => new Promise<void>((resolve) => void socket.once('close', () => resolve())),
    );
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([closed, ...gone]);
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(PAGE_HEADERS)) response.setHeader(name, value);
    const url = parseTarget(request.url);
    const page = url && this.#routes.get(url.pathname);
    const action = url && this.#actions.get(url.pathname);
    const { method } = request;
    if (!isForThisMachine(request)) {
      answer(response, 421, 'This page is only for this machine: open it as http://127.0.0.1:PORT.');
    } else if (!mayRead(request)) {
      answer(response, 403, 'Other web pages may not read this one.');
    } else if (!url || !(page || action)) {
      answer(response, 404, 'There is no page here.');
    } else if (action && method === 'POST') {
      void this.#handle(async () => {
        if (await this.#mayAct?.(request.socket)) await action(request, response, url);
        else answer(response, 403, NOT_OWNER);
      }, response);
    } else if (page && (method === 'GET' || method === 'HEAD')) {
      void this.#handle(async () => {
        if (await this.#isReader(request.socket)) await page(request, response, url);
        else answer(response, 403, OTHERS);
      }, response);
    } else {
      response.setHeader('allow', page ? 'GET, HEAD' : 'POST');
      answer(response, 405, `This page accepts only ${page ? 'GET and HEAD' : 'POST'}.`);
    }
  }

  #isReader(socket: Socket): Promise<boolean> {
    const known = this.#readers.get(socket) ?? this.#mayLook(socket);
    this.#readers.set(socket, known);
    return known;
  }

  async #handle(act: () => void | Promise<void>, response: ServerResponse): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.onError(error);
      if (response.headersSent) response.destroy();
      else answer(response, 500, 'The server could not answer; its log says why.');
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Node removes its error listener from an upgraded connection.
    socket.on('error', () => socket.destroy());
    const url = parseTarget(request.url);
    const route = url && this.#upgrades.get(url.pathname);
    const { origin } = request.headers;
    const allowed =
      origin === undefined || isOwnOrigin(origin, request.headers.host) || route?.allowsOrigin?.(origin);
    if (!isForThisMachine(request)) refuse(socket, '421 Misdirected Request');
    else if (!route) refuse(socket, '404 Not Found');
    else if (!allowed) refuse(socket, '403 Forbidden');
    else route.handler(request, socket, head, url);
  }

  #bindError(cause: NodeJS.ErrnoException): FarlightError {
    const where = `${this.#host}:${this.#port}`;
    if (cause.code === 'EADDRINUSE') {
      return new FarlightError(
        'PORT_IN_USE',
        `${where} is in use already; choose another with --dashboard 127.0.0.1:PORT (0: any free one)`,
        { cause },
      );
    }
    return new FarlightError(
      'BAD_OPTION',
      `farlight cannot listen on ${where} (${cause.message}); name another address with --dashboard 127.0.0.1:PORT`,
      { cause },
    );
  }
}

/**
 * Parses --dashboard: `HOST:PORT` on loopback.
 *
 * @throws FarlightError BAD_OPTION for anything else.
 */
export function parsePageAddress(text: string): { host: string; port: number } {
  const address = parseHostPort(text);
  if (address?.scheme !== '') {
    throw new FarlightError(
      'BAD_OPTION',
      `"${text}" is not an address for the dashboard; write HOST:PORT, for example ${DEFAULT_DASHBOARD}`,
    );
  }
  const { named, host, port } = address;
  if (!isLoopback(named)) {
    throw new FarlightError(
      'BAD_OPTION',
      `the dashboard shows every tenant, so it listens on loopback alone, and ${named} is not loopback; write --dashboard 127.0.0.1:${port}, and reach it from another machine with ssh -L ${port}:127.0.0.1:${port} HOST`,
    );
  }
  return { host, port };
}

/** Whether a request names this machine as its host. Accepts any port: the end of a tunnel has its own. */
export function isForThisMachine({ headers }: IncomingMessage): boolean {
  const { host = '' } = headers;
  return isLoopback(host.replace(/:\d{1,5}$/, ''));
}

/** Refuses requests from another site's page, except when a person follows a link to here. */
export function mayRead({ headers }: IncomingMessage): boolean {
  const { origin, host, 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest } = headers;
  if (origin !== undefined && !isOwnOrigin(origin, host)) return false;
  if (site === undefined || site === 'same-origin' || site === 'none') return true;
  return mode === 'navigate' && dest === 'document';
}

function isOwnOrigin(origin: string, host: string | undefined): boolean {
  return host !== undefined && origin.toLowerCase() === `http://${host.toLowerCase()}`;
}

/** Undefined for a target that is not a path, such as a whole URL or `*`. */
function parseTarget(target = ''): URL | undefined {
  if (!target.startsWith('/') || target.startsWith('//')) return undefined;
  return URL.canParse(target, 'http://localhost') ? new URL(target, 'http://localhost') : undefined;
}

function answer(response: ServerResponse, status: number, sentence: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${sentence}\n`);
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}
