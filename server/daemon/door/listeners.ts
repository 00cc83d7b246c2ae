import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { FarlightError } from '../../../proto/errors.js';
import type { Log } from '../../observatory/log.js';
import type { Refusal } from '../../observatory/session-log.js';
import { type OpenDashboardOptions, openDashboard } from '../../page/dashboard.js';
import type { PageServer } from '../../page/page-server.js';
import { type LocalUser, OWNER } from '../../trust/local-users.js';
import { Bridges } from './bridges.js';
import { type Caller, FrontDoor } from './front-door.js';
import type { HostTrust } from './host-trust.js';
import { SESSION_PATH, webSessions } from './web-sessions.js';

export interface ListenersOptions {
  /** The address as the host's owner wrote it, for messages. */
  listen: string;
  trust: HostTrust;
  /** How often the certificate is looked at, in milliseconds. */
  certificateCheckMs: number;
  /** Absent where there is to be none. */
  dashboard: OpenDashboardOptions | undefined;
  /** The pages that may open sessions at the dashboard's address, beside its own. */
  allowOrigins: readonly string[];
  log: Log;
  /** A gRPC client's connection, of which nothing was read; `known` is to be called when it is known whose it is. */
  onGrpc(socket: Socket, user: LocalUser, known: () => void): void;
  /** A client wants to open a session, or to go on with one. */
  onCaller(caller: Caller): void;
  onRefused(refusal: Refusal, remote: string | undefined): void;
  /** A token counts no more. */
  onRevoked(tokenId: string): void;
}

/** Connections of which it may be unknown whose they are. Of one network as many as there may be sessions. */
const WAITING = { most: 256, mostOfNetwork: 64 };

/** What a host listens on: its one port, the dashboard's beside it, and the bridges that both need. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #door: FrontDoor;
  readonly #page: PageServer | undefined;
  #pageProblem: FarlightError | undefined;
  #bridges: Bridges | undefined;
  /** What ends the looking at certificate and tokens. */
  readonly #watches: (() => void)[] = [];
  #port = 0;

  /** @throws FarlightError BAD_OPTION where the dashboard's address, or an origin, is none. */
  constructor(options: ListenersOptions) {
    this.#options = options;
    const { trust, dashboard, allowOrigins, onGrpc, onCaller, onRefused } = options;
    const userOf = trust.users.of.bind(trust.users);
    // Where tokens are asked for they decide, and nobody has to look whose process it is.
    const callerOf: typeof userOf = trust.tokens ? async () => undefined : userOf;
    this.#door = new FrontDoor({
      waiting: WAITING,
      tls: trust.tls?.options,
      near: trust.tokens === undefined,
      userOf: callerOf,
      // A proxy is another user, mostly; its clients show tokens.
      socketMode: trust.users.allowsOthers || trust.tokens ? 0o666 : 0o600,
      onGrpc,
      onCaller,
      onRefused,
    });
    if (!dashboard) return;
    this.#page = openDashboard(dashboard, async (socket) => trust.users.admits(await userOf(socket)));
    const take = this.#door.take.bind(this.#door);
    this.#page.onUpgrade(SESSION_PATH, webSessions({ allowOrigins, userOf: callerOf, take, onRefused }));
  }

  /** Where the dashboard is; or why there is none at the address that was wanted. Undefined where none was. */
  get dashboard(): { url: string } | { problem: string } | undefined {
    if (this.#pageProblem) return { problem: this.#pageProblem.message };
    return this.#page && { url: this.#page.url };
  }

  /** The address that clients use; where tokens are asked for they put theirs before the host. */
  get url(): string {
    const { address, tls, tokens, proxy, users } = this.#options.trust;
    if (proxy !== undefined) return `grpcs://${proxy}`;
    const url = address.url(this.#port, tls?.pin, tls?.name);
    // Others than root's and their own programs' hosts clients trust where the address says so.
    return tokens || !users.allowsOthers || OWNER === 0 ? url : `${url}?uid=${OWNER}`;
  }

  /** The address for messages. */
  get name(): string {
    const { address, tls } = this.#options.trust;
    return address.url(this.#port, undefined, tls?.name);
  }

  /** What carries connections that no other process can be given; undefined where there are none such. */
  get bridges(): Bridges | undefined {
    return this.#bridges;
  }

  /** @throws FarlightError BAD_OPTION, PORT_IN_USE (rejects) */
  async listen(): Promise<void> {
    const { listen, trust, certificateCheckMs, log, onRevoked } = this.#options;
    this.#bridges = await Bridges.open();
    this.#port = await this.#door.listen(trust.address).catch((cause: Error) => {
      throw bindError(listen, cause);
    });
    // A host is there for its clients, who do without the page.
    await this.#page?.listen().catch((problem: FarlightError) => {
      this.#pageProblem = problem;
      log.warn({ why: problem.message }, 'no dashboard');
    });
    const { tls, tokens } = trust;
    if (tls) this.#watches.push(tls.watch(certificateCheckMs, (renewed) => this.#door.renew(renewed)));
    if (tokens) this.#watches.push(tokens.onRevoked(onRevoked), tokens.watch());
  }

  /** Hears a session's client that came by another door, on a stream of the bytes that a socket would carry. */
  hear(connection: Duplex, remote: string | undefined, user: LocalUser): void {
    this.#door.take(connection, remote, Promise.resolve(user));
  }

  /** Looks at certificate and tokens no more. */
  endWatches(): void {
    for (const end of this.#watches) end();
  }

  /** Takes no more connections. What the bridges carry may arrive within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#door.close();
    await this.#bridges?.close(graceMs);
    // Last, since what its bridges carry is the page's too.
    await this.#page?.close();
  }
}

function bindError(listen: string, cause: Error): FarlightError {
  if (cause.message.includes('EADDRINUSE')) {
    return new FarlightError(
      'PORT_IN_USE',
      `${listen} is in use already; stop what listens there, or choose another port with --listen 127.0.0.1:PORT (0: any free one)`,
      { cause },
    );
  }
  return new FarlightError('BAD_OPTION', `farlight cannot listen on ${listen}: ${cause.message}`, { cause });
}
