import { hasNear } from '../link/address/near-address.js';
import { monotonicNow, steadyTime } from '../link/machine/clock.js';
import { deferred } from '../link/machine/deferred.js';
import { packageProgram } from '../link/machine/package-files.js';
import { packageVersion } from '../link/machine/package-version.js';
import { FarlightError, invariant, messageOf } from '../proto/errors.js';
import type { AdapterDescription, HostDescription, VersionRange } from '../proto/session/handshake.js';
import type { SessionEnd } from '../proto/session/session-end.js';
import { PROTOCOL } from '../proto/session/version.js';
import { openLine } from './daemon/door/grpc-lines.js';
import { openMove } from './daemon/door/grpc-moves.js';
import { GrpcServer } from './daemon/door/grpc-server.js';
import { Listeners } from './daemon/door/listeners.js';
import { ExecutorGroup } from './daemon/executors/executor-group.js';
import { ExecutorPool } from './daemon/executors/executor-pool.js';
import { type MemoryBounds, memoryBounds } from './daemon/executors/memory-bounds.js';
import { processMemory } from './daemon/executors/process-memory.js';
import { Arrivals } from './daemon/sessions/arrivals.js';
import { Departures, parseMoveHosts } from './daemon/sessions/departures.js';
import { type LineEnd, Lines, parsePeers } from './daemon/sessions/lines.js';
import { ParkedStore } from './daemon/sessions/parked-store.js';
import { Sessions } from './daemon/sessions/sessions.js';
import { GpuCapacity } from './daemon/tenants/gpu-capacity.js';
import { Quotas } from './daemon/tenants/quotas.js';
import { Shares } from './daemon/tenants/shares.js';
import { TenantContents } from './daemon/tenants/tenant-contents.js';
import type { DaemonOptions } from './daemon-options.js';
import { type Counters, newCounters } from './observatory/counters.js';
import { type Log, SILENT } from './observatory/log.js';
import { Observatory } from './observatory/observatory.js';
import { RefusalLog } from './observatory/session-log.js';
import { openDashboard } from './page/dashboard.js';
import { type HostTrust, hostTrust } from './trust/host-trust.js';
import { DEFAULT_LISTEN } from './trust/listen-address.js';
import { DEFAULT_TENANT, type TokenStore } from './trust/token-store.js';

/** When the host stops: how long clients may take to receive the reason, in milliseconds. */
const SHUTDOWN_GRACE_MS = 1000;

/** How long a session that its host's owner wants to park or to move may take to be at rest, in milliseconds. */
const CONTROL_MS = 10_000;

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * A GPU host. It gives each session its own executor process, and gives the client's connection to that process. No
 * session can take the daemon down: the daemon runs none of its commands, and does not see them. On the same port it
 * answers gRPC calls outside of sessions.
 *
 * This class connects the rooms of `daemon/` with each other, with the observatory and with the page.
 */
export class Daemon {
  readonly counters: Counters = newCounters();
  readonly #options: DaemonOptions;
  readonly #log: Log;
  readonly #versions: VersionRange;
  readonly #trust: HostTrust;
  readonly #pool: ExecutorPool;
  readonly #contents: TenantContents | undefined;
  readonly #capacity: GpuCapacity;
  readonly #shares: Shares;
  /** Undefined where sessions are never parked. */
  readonly #parked: ParkedStore | undefined;
  readonly #sessions: Sessions;
  readonly #grpc: GrpcServer;
  readonly #listeners: Listeners;
  readonly #firstGpu = deferred<void>();
  #adapter: AdapterDescription | undefined;
  #problem: FarlightError | undefined;
  /** How the host enforces the bound of all executors' memory; undefined where there is no bound. */
  #memory: string | undefined;
  #started = false;
  /** The host accepts no more sessions. */
  #stopping = false;
  #closing: Promise<void> | undefined;

  /**
   * Listens, and opens the GPU in the first executor.
   *
   * @throws FarlightError BAD_OPTION, PORT_IN_USE, TRUST_UNUSABLE, or (unless `withoutGpu`) NO_ADAPTER or
   *   EXECUTOR_LOST; then no process, socket or timer is left.
   */
  static async start(options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = new Daemon(options);
    try {
      await daemon.#listeners.listen();
      await daemon.#openGpu();
      daemon.#noteStart();
      void daemon.#compileAhead();
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
    this.#trust = hostTrust(options, (why) => this.#log.warn({ why }, 'certificate or tokens unusable'));
    const { admission, users } = this.#trust;
    const observatory = new Observatory({
      now: steadyTime,
      host: () => ({
        version: this.#versions.version,
        url: this.url,
        adapter: this.#adapter,
        adapterProblem: this.#problem?.message ?? '',
        gpuMemory: this.#capacity.view,
        counters: this.counters,
        executors: this.#pool.census(),
      }),
    });
    const refusals = new RefusalLog(this.#log);
    const onRefused = refusals.refused.bind(refusals);
    const { tenantLimits = {} } = options;
    const quotas = new Quotas(tenantLimits, (tenant) => this.tokens?.limitsOf(tenant) ?? {});
    this.#contents =
      options.contents && new TenantContents(options.contents, (tenant) => quotas.of(tenant).contents);
    const peers = parsePeers(options.peers ?? []);
    const bridges = () => this.#listeners.bridges;
    const lines =
      peers.length > 0
        ? new Lines({ peers, bridges, mostBytes: (tenant) => quotas.of(tenant).inFlight, open: openLine })
        : undefined;
    const { parking, moveTo = [], moveFrom } = options;
    if (!parking && (moveTo.length > 0 || moveFrom !== undefined))
      throw new FarlightError(
        'BAD_OPTION',
        'a host that moves sessions parks them first; give it a folder for them (parking)',
      );
    this.#parked = parking && new ParkedStore(parking.root, parking.maxBytes);
    const hosts = parseMoveHosts(moveTo, this.#trust.tls !== undefined);
    const arrivals =
      this.#parked && moveFrom !== undefined
        ? new Arrivals({
            from: moveFrom,
            admission,
            store: this.#parked,
            refusal: (offer) => this.#sessions.refuseArrival(offer),
            begin: (offer, host, place) => this.#sessions.arrive(offer, host, place),
            give: (id, client, packets) => this.#sessions.give(id, client, packets),
          })
        : undefined;
    this.#grpc = new GrpcServer({
      version: this.#versions.version,
      describe: () => this.describe(),
      renew: (request) => {
        const { lease } = options;
        const reply = lease?.renew(request) ?? { challenge: 0, leaseMs: 0, valid: true, sessions: 0 };
        return { ...reply, sessions: Math.max(reply.sessions, this.#sessions.size) };
      },
      admission,
      onRefused: (end, remote, asked) => {
        if (asked === 'session') this.counters.sessionsRefused++;
        onRefused(end, remote);
      },
      onSession: (connection, remote, user) => this.#listeners.take(connection, remote, user),
      lines: lines && {
        claim: (ticket, peer) => {
          // In plaintext the user of the other process decides, as for sessions.
          if (!this.#trust.tokens) admission.admit(undefined, peer);
          return lines.claim(ticket);
        },
        onLine: (line, end) => lines.accept(line, end as LineEnd),
      },
      moves: arrivals && {
        admit: (token, peer) => arrivals.admit(token, peer),
        onMove: (stream, host) => void arrivals.receive(stream, host),
        isSession: (token) => this.#sessions.isMoved(token),
      },
    });
    const { dashboard: address, allowOrigins = [], certificateCheckMs = DAY_MS } = options;
    const dashboard =
      address === undefined
        ? undefined
        : openDashboard({
            address,
            observatory,
            contents: this.#contents,
            log: this.#log,
            control: {
              park: (session) => this.parkOne(session),
              move: (session, to) => this.moveOne(session, to),
            },
            mayAct: async (socket) => users.owns(await users.of(socket)),
            mayLook: users.mayLook,
          });
    this.#listeners = new Listeners({
      listen: options.listen ?? DEFAULT_LISTEN,
      trust: this.#trust,
      certificateCheckMs,
      dashboard,
      allowOrigins,
      log: this.#log,
      onGrpc: (socket, user, known) => this.#grpc.take(socket, user, known),
      onSessionRequest: (request) => this.#sessions.receive(request),
      onRefused,
      onRevoked: (tokenId) => this.#sessions.revoke(tokenId),
    });
    const bounds = memoryBounds(options, (tenant) => quotas.of(tenant).memory);
    // Last, since it starts timers, which would stay if a constructor above threw.
    this.#pool = new ExecutorPool({
      adapter: options.adapter ?? 'auto',
      spares: options.spares ?? 1,
      warm: options.warm ?? 4,
      entry: options.executorEntry ?? packageProgram('server/executor/main.js'),
      busyMs: options.busyMs ?? 120_000,
      startMs: options.startMs,
      shadersOf: (tenant) => {
        if (this.#contents) return this.#contents.shadersOf(tenant);
        return this.#manyTenants ? 'nowhere' : undefined;
      },
      memory: bounds,
      makeGroup: () => this.#makeGroup(bounds),
      log: this.#log,
      onGpu: ({ adapter }) => this.#gpuKnown(adapter, undefined),
      onWarm: () => {
        this.counters.executorsWarmed++;
      },
      onReuse: () => {
        this.counters.executorsReused++;
      },
      onRoom: () => this.#sessions.makeRoom(),
      onNoGpu: (problem) => this.#gpuKnown(undefined, problem),
    });
    this.#capacity = new GpuCapacity({
      stated: options.gpuCapacity,
      bounds,
      quotas,
      onFound: () => this.#shares.look(),
    });
    this.#shares = new Shares(quotas, this.#capacity);
    this.#sessions = new Sessions({
      versions: this.#versions,
      pool: this.#pool,
      contents: this.#contents,
      counters: this.counters,
      admission,
      bridges,
      lines,
      resumeMs: options.resumeMs ?? 30_000,
      parking: this.#parked && {
        store: this.#parked,
        idleMs: options.parking?.idleMs ?? 0,
        keepMs: options.parking?.keepMs ?? DAY_MS,
      },
      departures:
        this.#parked &&
        new Departures({
          hosts,
          open: openMove,
          store: this.#parked,
          keepsContents: this.#contents !== undefined,
          hasLines: lines !== undefined,
        }),
      silence: options.silence,
      gpuMs: options.gpuMs ?? 120_000,
      manyTenants: this.#manyTenants,
      mostSessions: this.#mostSessions,
      quotas,
      shares: this.#shares,
      log: this.#log,
      observatory,
      refusals,
      knowsTenant: (tenant) => this.tokens?.tenants().includes(tenant) ?? tenant === DEFAULT_TENANT,
      refusal: () => this.#refusal(),
    });
  }

  /** The dashboard's URL, or why it could not be opened; undefined where the owner wants none. */
  get dashboard(): { url: string } | { problem: string } | undefined {
    return this.#listeners.dashboard;
  }

  /** The address for clients. Where the host requires tokens, clients put theirs in front of the host name. */
  get url(): string {
    return this.#listeners.url;
  }

  /** The tokens of the host; undefined where it requires none. */
  get tokens(): TokenStore | undefined {
    return this.#trust.tokens;
  }

  /** The adapter of the newest executor; undefined where that could not open one. */
  get adapter(): AdapterDescription | undefined {
    return this.#adapter;
  }

  get #mostSessions(): number {
    return this.#options.maxSessions ?? 64;
  }

  get #manyTenants(): boolean {
    return this.tokens !== undefined || this.#trust.users.allowsOthers;
  }

  describe(): HostDescription {
    const adapterProblem = this.#problem?.message ?? '';
    const { capacity: gpuCapacity = 0 } = this.#capacity.view;
    const sessions = this.#sessions.size;
    return { ...this.#versions, adapter: this.#adapter, adapterProblem, sessions, gpuCapacity };
  }

  /** Parks the sessions that are at rest, or do so soon. @returns how many were asked. */
  park(): number {
    return this.#sessions.park();
  }

  /**
   * Moves the sessions to the hosts that the owner has named. Resolves when each has moved, or stays.
   *
   * @param withinMs how long a session may take to be at rest.
   * @param until when no further host is asked, by the steady clock.
   */
  move(withinMs: number, until?: number): Promise<void> {
    return this.#sessions.moveAll(withinMs, until);
  }

  /**
   * Parks a session. Rejects with the reason; then the session stays at work.
   *
   * @param session the beginning of its id, as the log has it.
   * @param withinMs how long the session may take to be at rest.
   */
  async parkOne(session: string, withinMs: number = CONTROL_MS): Promise<void> {
    await this.#sessions.parkOne(this.#sessions.find(session), withinMs);
  }

  /**
   * Moves a session to another host. Rejects with the reason; then the session stays.
   *
   * @param session the beginning of its id, as the log has it.
   * @param to one of the hosts that the owner has named. Default: the first that takes it.
   * @param withinMs how long the session may take to be at rest.
   */
  async moveOne(session: string, to?: string, withinMs: number = CONTROL_MS): Promise<void> {
    await this.#sessions.moveOne(this.#sessions.find(session), to, withinMs);
  }

  /** Ends every session, tells its client why, and leaves no process, socket or timer behind. */
  close(): Promise<void> {
    if (!this.#stopping) this.#stop(0);
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /**
   * Accepts no more sessions, moves the open ones to the hosts that the owner has named, lets the others continue for at
   * most so many milliseconds, and closes.
   */
  async drain(ms: number): Promise<void> {
    if (!this.#stopping) this.#stop(ms);
    const until = monotonicNow() + ms;
    const left = () => Math.max(0, until - monotonicNow());
    if (ms > 0 && this.#options.moveTo?.length) await this.move(ms, until);
    await this.#sessions.none(left());
    await this.#sessions.told(left());
    return this.close();
  }

  /** Has the system enforce the bound of all executors' memory, where it can. */
  #makeGroup({ all }: MemoryBounds): ExecutorGroup | undefined {
    if (!Number.isFinite(all)) return undefined;
    try {
      const group = new ExecutorGroup(all);
      this.#memory = 'enforced by the system';
      return group;
    } catch (error) {
      this.#memory = `checked each second: ${messageOf(error)}`;
      return undefined;
    }
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
    const memory = this.#memory;
    const listens = this.#trust.proxy && this.#listeners.name;
    const adapter = this.#adapter?.name;
    const gpuMemory = this.#capacity.view;
    this.#log.info({ url: this.url, listens, adapter, why, gpuMemory, memory, version }, 'host started');
    for (const missing of missingSupport()) this.#log.warn({ platform: process.platform }, missing);
  }

  async #openGpu(): Promise<void> {
    this.#pool.fill(Math.max(1, this.#options.spares ?? 1));
    await this.#firstGpu.promise;
    if (this.#problem && !this.#options.withoutGpu) throw this.#problem;
    await this.#capacity.found;
  }

  /** Compiles ahead for the programs that ran last: their executors ended with the host that ran before. */
  async #compileAhead(): Promise<void> {
    if (!this.#contents || !this.#adapter) return;
    try {
      const tenants = this.tokens?.tenants() ?? [];
      await this.#pool.compileAhead(this.#contents.programs([DEFAULT_TENANT, ...tenants]));
    } catch (error) {
      // The tokens or a folder cannot be read. Clients that need them get an error of their own.
      this.#log.warn({ why: messageOf(error) }, 'nothing compiled ahead');
    }
  }

  #gpuKnown(adapter: AdapterDescription | undefined, problem: FarlightError | undefined): void {
    // While the host starts, `start` throws the problem instead.
    if (this.#started && problem && !this.#problem) this.#log.error({ why: problem.message }, 'no GPU');
    if (this.#started && adapter && this.#problem) this.#log.info({ adapter: adapter.name }, 'GPU is back');
    if (adapter && adapter.name !== this.#adapter?.name) this.#capacity.find(adapter);
    this.#adapter = adapter;
    this.#problem = problem;
    this.#grpc.health.set(adapter !== undefined && !this.#stopping);
    this.#firstGpu.resolve();
  }

  #refusal(): SessionEnd | undefined {
    const isOver = this.#stopping || this.#options.lease?.isValid() === false;
    if (isOver) return { code: 'SHUTTING_DOWN', message: this.#goodbye() };
    const most = this.#mostSessions;
    if (this.#sessions.size < most) return undefined;
    return {
      code: 'BUSY',
      message: `the host at ${this.#listeners.name} accepts at most ${most} sessions at a time; try again later`,
    };
  }

  #goodbye(): string {
    return `the host at ${this.#listeners.name} is stopping; start the program again when it is back`;
  }

  async #shutDown(): Promise<void> {
    this.#listeners.endWatches();
    this.#grpc.health.close();
    await this.#sessions.end({ code: 'SHUTTING_DOWN', message: this.#goodbye() }, SHUTDOWN_GRACE_MS);
    await this.#pool.close();
    this.#shares.close();
    this.#parked?.close();
    await Promise.all([this.#listeners.close(SHUTDOWN_GRACE_MS), this.#grpc.close(SHUTDOWN_GRACE_MS)]);
    invariant(this.#sessions.size === 0, 'a closed daemon has no sessions');
  }
}

/** Warnings about what the host cannot do on this system, a sentence each; none on Linux. */
export function missingSupport(
  system = {
    tellsProcessMemory: processMemory(process.pid) !== undefined,
    hasSharedMemory: hasNear(),
  },
): string[] {
  const missing: string[] = [];
  if (!system.tellsProcessMemory)
    missing.push(
      '--executor-memory has no effect: this system has no /proc that tells how much memory a process has',
    );
  if (!system.hasSharedMemory)
    missing.push(
      'programs on this machine reach the host at its port and not through shared memory: there is no /dev/shm',
    );
  return missing;
}
