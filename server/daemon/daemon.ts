import { totalmem } from 'node:os';
import { join } from 'node:path';
import { deferred } from '../../link/deferred.js';
import { packageVersion } from '../../link/package-version.js';
import { FarlightError, invariant } from '../../proto/errors.js';
import type {
  AdapterDescription,
  HostDescription,
  SessionEnd,
  Silence,
  VersionRange,
} from '../../proto/handshake.js';
import { PROTOCOL } from '../../proto/version.js';
import { openDashboard } from '../page/dashboard.js';
import { Observatory } from '../page/observatory.js';
import type { PageServer } from '../page/page-server.js';
import type { TenantLimits } from '../trust/tenant-limits.js';
import { TokenStore } from '../trust/token-store.js';
import { OPEN, TokenAdmission } from './admission.js';
import { Bridges } from './bridges.js';
import { type Counters, newCounters } from './counters.js';
import { ExecutorPool } from './executor-pool.js';
import { FrontDoor } from './front-door.js';
import { GrpcServer } from './grpc-server.js';
import { HostTls, type TlsFiles } from './host-tls.js';
import { type KeptContentsOptions, TenantContents } from './kept-contents.js';
import { DEFAULT_LISTEN, type ListenAddress, parseListenAddress } from './listen-address.js';
import { type Log, SILENT } from './log.js';
import { Quotas } from './quotas.js';
import { RefusalLog } from './session-log.js';
import { Sessions } from './sessions.js';
import { Shares } from './shares.js';
import { SESSION_PATH, webSessions } from './web-sessions.js';

export interface DaemonOptions {
  /**
   * `HOST:PORT`, where port 0 is any free one: plaintext on loopback, TLS with tokens elsewhere; `grpcs://HOST:PORT`
   * for those on loopback too; or `unix:/PATH`. Default 127.0.0.1:7070.
   */
  listen?: string | undefined;
  /** Ask for a token, and so speak TLS, on loopback too. Default false. */
  requireToken?: boolean | undefined;
  /** What is shown in TLS. Default: a certificate that the host makes. */
  tlsFiles?: TlsFiles | undefined;
  /** Where the host's own certificate and its tokens are. Default: the user's private folder for them. */
  trustFolder?: string | undefined;
  /** How often the certificate is looked at, in milliseconds. Default: once a day. */
  certificateCheckMs?: number | undefined;
  /** What the executors open: `auto` (default), `software`, `null`, or a part of an adapter's name. */
  adapter?: string | undefined;
  /** How many executors are kept warm. Default 1. */
  spares?: number | undefined;
  /** How many executors are kept for the next session of the program that they served last. Default 4. */
  kept?: number | undefined;
  /** How many sessions may be open at a time. Default 64. */
  maxSessions?: number | undefined;
  /** How long a session outlives its connection, in milliseconds. Default 30 s. */
  resumeMs?: number | undefined;
  /** When a client that says nothing is taken for gone. Default: after 60 s, asked every 20 s. */
  silence?: Silence | undefined;
  /** How long an executor may be busy without a pause, in milliseconds, before it is ended. Default 120 s. */
  busyMs?: number | undefined;
  /** Bytes of the machine's memory that an executor may have; 0: all. Default: half of what the machine has. */
  executorBytes?: number | undefined;
  /** How long the GPU may take for what a session submitted, in milliseconds; 0: as long as it likes. Default 120 s. */
  gpuMs?: number | undefined;
  /** What each tenant may have, unless one of its tokens says otherwise. Default: what the host has. */
  tenantLimits?: TenantLimits | undefined;
  /** Where what happens is noted. Default: nowhere. */
  log?: Log | undefined;
  /** Where contents are kept for later sessions. Default: nowhere. */
  blobs?: KeptContentsOptions | undefined;
  /** Where its owner sees what it does: `HOST:PORT` on loopback, where port 0 is any free one. Default: nowhere. */
  dashboard?: string | undefined;
  /**
   * The pages that may open sessions at the dashboard's address, beside its own: `https://app.example`, as a browser
   * sends it. Default: none.
   */
  allowOrigins?: readonly string[] | undefined;
  /** Serve (and say so) although no GPU can be opened, and keep trying. Default false. */
  withoutGpu?: boolean | undefined;
  /** The executor's program; ours unless a test has another. */
  executorEntry?: URL | undefined;
  /** The protocol versions to speak; a test's way to be an older host. */
  versions?: VersionRange | undefined;
}

/** How long clients may take to read why their sessions ended, in milliseconds, when the host stops. */
const SHUTDOWN_GRACE_MS = 1000;

const DAY_MS = 24 * 60 * 60 * 1000;

/** Connections that may be without a first word at a time. */
const MAX_WAITING = 256;

/**
 * A GPU host: gives each session an executor process of its own, and that the client's connection. No session
 * can take the daemon down: it runs nothing of theirs, and does not see what travels. What is asked outside of
 * sessions is answered over gRPC on the same port.
 */
export class Daemon {
  readonly counters: Counters = newCounters();
  readonly #options: DaemonOptions;
  readonly #log: Log;
  readonly #versions: VersionRange;
  readonly #address: ListenAddress;
  /** Where TLS is spoken, and so tokens are asked for: the host's certificate, its tokens, and its bridges. */
  readonly #tls: HostTls | undefined;
  readonly #tokens: TokenStore | undefined;
  #bridges: Bridges | undefined;
  readonly #pool: ExecutorPool;
  readonly #shares: Shares;
  readonly #sessions: Sessions;
  readonly #grpc: GrpcServer;
  readonly #door: FrontDoor;
  readonly #observatory: Observatory;
  readonly #page: PageServer | undefined;
  #pageProblem: FarlightError | undefined;
  readonly #firstGpu = deferred<void>();
  /** What ends the looking at certificate and tokens. */
  readonly #watches: (() => void)[] = [];
  #port = 0;
  #adapter: AdapterDescription | undefined;
  #problem: FarlightError | undefined;
  #started = false;
  /** No more sessions are taken. */
  #stopping = false;
  #closing: Promise<void> | undefined;

  /**
   * Listens, and opens the GPU in the first executor.
   *
   * @throws FarlightError BAD_OPTION, PORT_IN_USE, TRUST_UNUSABLE, or (unless `withoutGpu`) NO_ADAPTER or
   *   EXECUTOR_LOST; nothing is left behind then.
   */
  static async start(options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = new Daemon(options);
    try {
      await daemon.#listen();
      await daemon.#openGpu();
      daemon.#noteStart();
    } catch (error) {
      await daemon.close();
      throw error;
    }
    return daemon;
  }

  private constructor(options: DaemonOptions) {
    this.#options = options;
    this.#log = options.log ?? SILENT;
    this.#versions = options.versions ?? {
      protocolMin: PROTOCOL.min,
      protocolMax: PROTOCOL.max,
      version: packageVersion(),
    };
    const { requireToken, trustFolder } = options;
    const warn = (why: string) => this.#log.warn({ why }, 'certificate or tokens unusable');
    this.#address = parseListenAddress(options.listen ?? DEFAULT_LISTEN, { tls: true, requireToken });
    const files = options.tlsFiles ?? {};
    if (this.#address.tls) {
      this.#tls = new HostTls({ listen: this.#address.host, files, folder: trustFolder, warn });
      this.#tokens = new TokenStore(trustFolder && join(trustFolder, 'tokens'));
    } else if (files.cert ?? files.key ?? files.clientCa) {
      throw new FarlightError(
        'BAD_OPTION',
        `a certificate is of no use at ${this.#address.url(this.#address.port)}, which is plaintext; listen on grpcs://HOST:PORT`,
      );
    }
    const now = () => performance.now();
    const admission = this.#tokens ? new TokenAdmission({ tokens: this.#tokens, now, warn }) : OPEN;
    this.#pool = new ExecutorPool({
      adapter: options.adapter ?? 'auto',
      spares: options.spares ?? 1,
      kept: options.kept ?? 4,
      entry: options.executorEntry,
      busyMs: options.busyMs ?? 120_000,
      memoryBytes: options.executorBytes ?? Math.floor(totalmem() / 2),
      log: this.#log,
      onGpu: ({ adapter }) => this.#gpuKnown(adapter, undefined),
      onKept: () => {
        this.counters.executorsKept++;
      },
      onReuse: () => {
        this.counters.executorsReused++;
      },
      onNoGpu: (problem) => this.#gpuKnown(undefined, problem),
    });
    this.#observatory = new Observatory({
      now: Date.now,
      host: () => ({
        version: this.#versions.version,
        url: this.url,
        adapter: this.#adapter,
        adapterProblem: this.#problem?.message ?? '',
        counters: this.counters,
        executors: this.#pool.census(),
      }),
    });
    const refusals = new RefusalLog(this.#log);
    const { tenantLimits = {} } = options;
    const quotas = new Quotas(tenantLimits, (tenant) => this.#tokens?.limitsOf(tenant) ?? {});
    this.#shares = new Shares(quotas);
    const contents = options.blobs && new TenantContents(options.blobs, (tenant) => quotas.of(tenant).blobs);
    this.#sessions = new Sessions({
      versions: this.#versions,
      pool: this.#pool,
      contents,
      counters: this.counters,
      admission,
      bridges: () => this.#bridges,
      resumeMs: options.resumeMs ?? 30_000,
      silence: options.silence,
      gpuMs: options.gpuMs ?? 120_000,
      manyTenants: this.#tokens !== undefined,
      quotas,
      shares: this.#shares,
      log: this.#log,
      observatory: this.#observatory,
      refusals,
      refusal: () => this.#refusal(),
    });
    this.#grpc = new GrpcServer({
      describe: () => this.describe(),
      admission,
      onRefused: (end, remote) => refusals.refused(end, remote),
    });
    this.#door = new FrontDoor({
      maxWaiting: MAX_WAITING,
      tls: this.#tls?.options,
      onGrpc: (socket) => this.#grpc.take(socket),
      onCaller: (caller) => this.#sessions.receive(caller),
      onRefused: (end, remote) => refusals.refused(end, remote),
    });
    const { dashboard: address } = options;
    if (address === undefined) return;
    this.#page = openDashboard({ address, observatory: this.#observatory, contents, log: this.#log });
    this.#page.onUpgrade(
      SESSION_PATH,
      webSessions({
        allowOrigins: options.allowOrigins ?? [],
        take: (connection, remote) => this.#door.take(connection, remote),
        onRefused: (end, remote) => refusals.refused(end, remote),
      }),
    );
  }

  /** Where the dashboard is; or why there is none at the address that was wanted. Undefined where none was. */
  get dashboard(): { url: string } | { problem: string } | undefined {
    if (this.#pageProblem) return { problem: this.#pageProblem.message };
    return this.#page && { url: this.#page.url };
  }

  /** The address that clients use; where tokens are asked for they put theirs before the host. */
  get url(): string {
    return this.#address.url(this.#port, this.#tls?.pin, this.#tls?.name);
  }

  /** Who may use the host; undefined where no token is asked for. */
  get tokens(): TokenStore | undefined {
    return this.#tokens;
  }

  /** The adapter that the newest executor opened; undefined where it could open none. */
  get adapter(): AdapterDescription | undefined {
    return this.#adapter;
  }

  describe(): HostDescription {
    const adapterProblem = this.#problem?.message ?? '';
    return { ...this.#versions, adapter: this.#adapter, adapterProblem, sessions: this.#sessions.size };
  }

  /** Ends every session, tells each why, and leaves no process, socket or timer behind. */
  close(): Promise<void> {
    if (!this.#stopping) this.#stop(0);
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /** Takes no more sessions, lets those that are open go on for at most so many milliseconds, and closes. */
  async drain(ms: number): Promise<void> {
    if (!this.#stopping) this.#stop(ms);
    await this.#sessions.none(ms);
    return this.close();
  }

  #stop(drainMs: number): void {
    this.#stopping = true;
    this.#grpc.health.set(false);
    const sessions = this.#sessions.size;
    if (this.#started) this.#log.info({ sessions, drainSeconds: drainMs / 1000 }, 'host stopping');
  }

  #noteStart(): void {
    this.#started = true;
    const { version } = this.#versions;
    const why = this.#problem?.message;
    this.#log.info({ url: this.url, adapter: this.#adapter?.name, why, version }, 'host started');
  }

  async #listen(): Promise<void> {
    if (this.#tls || this.#page) this.#bridges = await Bridges.open();
    this.#port = await this.#door.listen(this.#address).catch((cause: Error) => {
      throw bindError(this.#options.listen ?? DEFAULT_LISTEN, cause);
    });
    // A host is there for its clients, who do without the page.
    await this.#page?.listen().catch((problem: FarlightError) => {
      this.#pageProblem = problem;
      this.#log.warn({ why: problem.message }, 'no dashboard');
    });
    if (!this.#tls || !this.#tokens) return;
    this.#watches.push(
      this.#tls.watch(this.#options.certificateCheckMs ?? DAY_MS, (tls) => this.#door.renew(tls)),
      this.#tokens.onRevoked((id) => this.#sessions.revoke(id)),
      this.#tokens.watch(),
    );
  }

  async #openGpu(): Promise<void> {
    this.#pool.fill(Math.max(1, this.#options.spares ?? 1));
    await this.#firstGpu.promise;
    if (this.#problem && !this.#options.withoutGpu) throw this.#problem;
  }

  #gpuKnown(adapter: AdapterDescription | undefined, problem: FarlightError | undefined): void {
    // A host that does not start says so itself.
    if (this.#started && problem && !this.#problem) this.#log.error({ why: problem.message }, 'no GPU');
    if (this.#started && adapter && this.#problem) this.#log.info({ adapter: adapter.name }, 'GPU is back');
    this.#adapter = adapter;
    this.#problem = problem;
    this.#grpc.health.set(adapter !== undefined && !this.#stopping);
    this.#firstGpu.resolve();
  }

  #refusal(): SessionEnd | undefined {
    if (this.#stopping) return { code: 'SHUTTING_DOWN', message: this.#goodbye() };
    const most = this.#options.maxSessions ?? 64;
    if (this.#sessions.size < most) return undefined;
    return {
      code: 'BUSY',
      message: `the host at ${this.#name()} takes no more than ${most} sessions at a time; try again later`,
    };
  }

  #goodbye(): string {
    return `the host at ${this.#name()} is stopping; start the program again when it is back`;
  }

  /** The address for messages. */
  #name(): string {
    return this.#address.url(this.#port, undefined, this.#tls?.name);
  }

  async #shutDown(): Promise<void> {
    for (const end of this.#watches) end();
    this.#grpc.health.close();
    await this.#sessions.end({ code: 'SHUTTING_DOWN', message: this.#goodbye() }, SHUTDOWN_GRACE_MS);
    await this.#pool.close();
    this.#shares.close();
    this.#door.close();
    await Promise.all([this.#grpc.close(SHUTDOWN_GRACE_MS), this.#bridges?.close(SHUTDOWN_GRACE_MS)]);
    // Last, since what its bridges carry is the page's too.
    await this.#page?.close();
    invariant(this.#sessions.size === 0, 'a closed daemon has no sessions');
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
