import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { FarlightError } from '../../../proto/errors.js';
import type { Log } from '../../observatory/log.js';
import type { Refusal } from '../../observatory/session-log.js';
import type { HostTrust } from '../../trust/host-trust.js';
import { type LocalUser, OWNER } from '../../trust/local-users.js';
import { Bridges } from './bridges.js';
import { FrontDoor, type SessionRequest } from './front-door.js';
import type { WebSessions, WebSessionsOptions } from './web-sessions.js';

/** The HTTP server of the dashboard, which web pages' sessions share. */
export interface DashboardServer {
  readonly url: string;
  onUpgrade(path: string, route: WebSessions): void;
  /** @throws FarlightError PORT_IN_USE or BAD_OPTION (rejects). */
  listen(): Promise<void>;
  close(): Promise<void>;
}

export interface ListenersOptions {
  /** The address as the owner wrote it, for error messages. */
  listen: string;
  trust: HostTrust;
  /** How often to read the certificate again, in milliseconds. */
  certificateCheckMs: number;
  /** Undefined where the owner wants no dashboard. */
  dashboard: DashboardServer | undefined;
  /** The origins of pages that may open sessions at the dashboard's address, besides its own. */
  allowOrigins: readonly string[];
  log: Log;
  /** A gRPC client's connection, from which nothing was read. Call `known` once the client is known. */
  onGrpc(socket: Socket, user: LocalUser, known: () => void): void;
  onSessionRequest(request: SessionRequest): void;
  onRefused(refusal: Refusal, remote: string | undefined): void;
  onRevoked(tokenId: string): void;
}

/** The most unknown connections. From one network, as many as there may be sessions. */
const WAITING = { most: 256, mostOfNetwork: 64 };

/** Everything a host listens on: its one port, the dashboard's port, and the bridges for both. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #door: FrontDoor;
  readonly #pages: WebSessionsOptions;
  #dashboardProblem: FarlightError | undefined;
  #bridges: Bridges | undefined;
  /** Functions that stop watching the certificate and the tokens. */
  readonly #watches: (() => void)[] = [];
  #port = 0;

  /** @throws FarlightError BAD_OPTION where one of the origins is not an origin. */
  constructor(options: ListenersOptions) {
    this.#options = options;
    const { trust, dashboard, allowOrigins, onGrpc, onSessionRequest, onRefused } = options;
    // Where the host requires tokens, they decide, and it does not look up the user.
    const userOf = async (socket: Socket) => (trust.tokens ? undefined : trust.users.of(socket));
    this.#door = new FrontDoor({
      waiting: WAITING,
      tls: trust.tls?.options,
      near: trust.tokens === undefined,
      userOf,
      // A proxy usually runs as another user; its clients show tokens.
      socketMode: trust.users.allowsOthers || trust.tokens ? 0o666 : 0o600,
      onGrpc,
      onSessionRequest,
      onRefused,
    });
    const allowed = new Set(dashboard ? allowOrigins.map(parseOrigin) : []);
    this.#pages = { allowed, userOf, take: this.#door.take.bind(this.#door), onRefused };
  }

  /** The dashboard's URL, or why it could not be opened; undefined where the owner wants none. */
  get dashboard(): { url: string } | { problem: string } | undefined {
    if (this.#dashboardProblem) return { problem: this.#dashboardProblem.message };
    const { dashboard } = this.#options;
    return dashboard && { url: dashboard.url };
  }

  /** The address for clients. Where the host requires tokens, clients put theirs in front of the host name. */
  get url(): string {
    const { address, tls, tokens, proxy, users } = this.#options.trust;
    if (proxy !== undefined) return `grpcs://${proxy}`;
    const url = address.url(this.#port, tls?.pin, tls?.name);
    // A client trusts another user's host only if the address names that user.
    return tokens || !users.allowsOthers || OWNER === 0 ? url : `${url}?uid=${OWNER}`;
  }

  /** The address for messages. */
  get name(): string {
    const { address, tls } = this.#options.trust;
    return address.url(this.#port, undefined, tls?.name);
  }

  /** The bridges for connections that no other process can take over; undefined before `listen`. */
  get bridges(): Bridges | undefined {
    return this.#bridges;
  }

  /** @throws FarlightError BAD_OPTION, PORT_IN_USE (rejects) */
  async listen(): Promise<void> {
    const { listen, trust, dashboard, certificateCheckMs, log, onRevoked } = this.#options;
    if (dashboard) {
      // Loaded where pages may come: a host of a pool has no dashboard, and its program waits for its start.
      const { SESSION_PATH, webSessions } = await import('./web-sessions.js');
      dashboard.onUpgrade(SESSION_PATH, webSessions(this.#pages));
    }
    this.#bridges = await Bridges.open();
    this.#port = await this.#door.listen(trust.address).catch((cause: Error) => {
      throw bindError(listen, cause);
    });
    // Serve clients even without the dashboard.
    await dashboard?.listen().catch((problem: FarlightError) => {
      this.#dashboardProblem = problem;
      log.warn({ why: problem.message }, 'no dashboard');
    });
    const { tls, tokens } = trust;
    if (tls) this.#watches.push(tls.watch(certificateCheckMs, (renewed) => this.#door.renew(renewed)));
    if (tokens) this.#watches.push(tokens.onRevoked(onRevoked), tokens.watch());
  }

  /** Takes a session's connection from a gRPC call, as the stream of bytes that a socket would carry. */
  take(connection: Duplex, remote: string | undefined, user: LocalUser): void {
    this.#door.take(connection, remote, Promise.resolve(user));
  }

  /** Stops watching the certificate and the tokens. */
  endWatches(): void {
    for (const end of this.#watches) end();
  }

  /** Accepts no more connections. Those on bridges may finish within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#door.close();
    await this.#bridges?.close(graceMs);
    // Last, since some bridges carry the dashboard server's WebSockets.
    await this.#options.dashboard?.close();
  }
}

function bindError(listen: string, cause: Error): FarlightError {
  if (cause.message.includes('EADDRINUSE')) {
    return new FarlightError(
      'PORT_IN_USE',
      `${listen} is in use already; stop the program that listens there, or choose another port with --listen 127.0.0.1:PORT (0: any free one)`,
      { cause },
    );
  }
  const remedy = listen.startsWith('unix:')
    ? 'name a socket in a folder that exists and that this user may write, with --listen unix:/PATH'
    : 'name an address of this machine with --listen HOST:PORT, or 0.0.0.0:PORT for all of them';
  return new FarlightError(
    'BAD_OPTION',
    `farlight cannot listen on ${listen} (${cause.message}); ${remedy}`,
    { cause },
  );
}

/** An origin in the form that browsers send. */
function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url && isWeb && url.href === `${url.origin}/`) return url.origin;
  throw new FarlightError(
    'BAD_OPTION',
    `"${text}" is not the origin of a page; write only its scheme, host and port, for example https://app.example or http://localhost:5173`,
  );
}
