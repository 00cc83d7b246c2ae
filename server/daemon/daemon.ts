import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { deferred } from '../../link/deferred.js';
import {
  ECHO_LIMIT,
  ECHO_MESSAGE_LIMIT,
  type EchoReply,
  type EchoRequest,
  hostService,
} from '../../link/host-service.js';
import { packageVersion } from '../../link/package-version.js';
import { FarlightError, invariant } from '../../proto/errors.js';
import type { AdapterDescription, HostDescription, SessionEnd, VersionRange } from '../../proto/handshake.js';
import { PROTOCOL } from '../../proto/version.js';
import { type Counters, newCounters } from './counters.js';
import { ExecutorPool } from './executor-pool.js';
import { FrontDoor } from './front-door.js';
import { Health } from './health.js';
import { KeptContents, type KeptContentsOptions } from './kept-contents.js';
import { DEFAULT_LISTEN, parseListenAddress } from './listen-address.js';
import { type Log, SILENT } from './log.js';
import { RefusalLog } from './session-log.js';
import { Sessions } from './sessions.js';

export interface DaemonOptions {
  /** `HOST:PORT` on loopback, where port 0 is any free one, or `unix:/PATH`. Default 127.0.0.1:7070. */
  listen?: string | undefined;
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
  /** How long an executor may be busy without a pause, in milliseconds, before it is ended. Default 120 s. */
  busyMs?: number | undefined;
  /** How long the GPU may take for what a session submitted, in milliseconds; 0: as long as it likes. Default 120 s. */
  gpuMs?: number | undefined;
  /** Bytes of GPU memory that a session's buffers and textures may take. Default: as many as there are. */
  gpuBytes?: number | undefined;
  /** Where what happens is noted. Default: nowhere. */
  log?: Log | undefined;
  /** Where contents are kept for later sessions. Default: nowhere. */
  blobs?: KeptContentsOptions | undefined;
  /** Serve (and say so) although no GPU can be opened, and keep trying. Default false. */
  withoutGpu?: boolean | undefined;
  /** The executor's program; ours unless a test has another. */
  executorEntry?: URL | undefined;
  /** The protocol versions to speak; a test's way to be an older host. */
  versions?: VersionRange | undefined;
}

/** How long clients may take to read why their sessions ended, in milliseconds, when the host stops. */
const SHUTDOWN_GRACE_MS = 1000;

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
  readonly #health = new Health();
  readonly #pool: ExecutorPool;
  readonly #contents: KeptContents | undefined;
  readonly #sessions: Sessions;
  readonly #server: Server;
  readonly #door: FrontDoor;
  readonly #firstGpu = deferred<void>();
  #url = '';
  #adapter: AdapterDescription | undefined;
  #problem: FarlightError | undefined;
  #started = false;
  /** No more sessions are taken. */
  #stopping = false;
  #closing: Promise<void> | undefined;

  /**
   * Listens, and opens the GPU in the first executor.
   *
   * @throws FarlightError BAD_OPTION, PORT_IN_USE, or (unless `withoutGpu`) NO_ADAPTER or
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
    this.#contents = options.blobs && new KeptContents(options.blobs);
    this.#pool = new ExecutorPool({
      adapter: options.adapter ?? 'auto',
      spares: options.spares ?? 1,
      kept: options.kept ?? 4,
      blobs: this.#contents?.folder,
      entry: options.executorEntry,
      busyMs: options.busyMs ?? 120_000,
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
    const refusals = new RefusalLog(this.#log);
    this.#sessions = new Sessions({
      versions: this.#versions,
      pool: this.#pool,
      contents: this.#contents,
      counters: this.counters,
      resumeMs: options.resumeMs ?? 30_000,
      limits: { gpuMs: options.gpuMs ?? 120_000, gpuBytes: options.gpuBytes ?? 0 },
      log: this.#log,
      refusals,
      refusal: () => this.#refusal(),
    });
    this.#server = new Server({
      'grpc.max_receive_message_length': ECHO_MESSAGE_LIMIT,
      'grpc.max_send_message_length': ECHO_MESSAGE_LIMIT,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 15_000,
    });
    this.#server.addService(hostService(), {
      Describe: (_call: unknown, reply: sendUnaryData<HostDescription>) => reply(null, this.describe()),
      Echo: echo,
    });
    this.#health.addTo(this.#server);
    const grpc = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#door = new FrontDoor({
      maxWaiting: MAX_WAITING,
      onGrpc: (socket) => grpc.injectConnection(socket),
      onCaller: (caller) => this.#sessions.receive(caller),
      onRefused: (end, remote) => refusals.refused(end, remote),
    });
  }

  /** The address that clients use. */
  get url(): string {
    return this.#url;
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
    this.#health.set(false);
    const sessions = this.#sessions.size;
    if (this.#started) this.#log.info({ sessions, drainSeconds: drainMs / 1000 }, 'host stopping');
  }

  #noteStart(): void {
    this.#started = true;
    const { version } = this.#versions;
    const why = this.#problem?.message;
    this.#log.info({ url: this.#url, adapter: this.#adapter?.name, why, version }, 'host started');
  }

  async #listen(): Promise<void> {
    const text = this.#options.listen ?? DEFAULT_LISTEN;
    const address = parseListenAddress(text);
    const port = await this.#door.listen(address).catch((cause: Error) => {
      throw bindError(text, cause);
    });
    this.#url = address.url(port);
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
    this.#health.set(adapter !== undefined && !this.#stopping);
    this.#firstGpu.resolve();
  }

  #refusal(): SessionEnd | undefined {
    if (this.#stopping) return { code: 'SHUTTING_DOWN', message: this.#goodbye() };
    const most = this.#options.maxSessions ?? 64;
    if (this.#sessions.size < most) return undefined;
    return {
      code: 'BUSY',
      message: `the host at ${this.#url} takes no more than ${most} sessions at a time; try again later`,
    };
  }

  #goodbye(): string {
    return `the host at ${this.#url} is stopping; start the program again when it is back`;
  }

  async #shutDown(): Promise<void> {
    this.#health.close();
    await this.#sessions.end({ code: 'SHUTTING_DOWN', message: this.#goodbye() }, SHUTDOWN_GRACE_MS);
    await this.#pool.close();
    this.#door.close();
    const cutOff = setTimeout(() => this.#server.forceShutdown(), SHUTDOWN_GRACE_MS);
    await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    clearTimeout(cutOff);
    this.#server.forceShutdown();
    invariant(this.#sessions.size === 0, 'a closed daemon has no sessions');
  }
}

function echo(call: ServerUnaryCall<EchoRequest, EchoReply>, reply: sendUnaryData<EchoReply>): void {
  const { replyBytes } = call.request;
  if (replyBytes <= ECHO_LIMIT) {
    reply(null, { payload: Buffer.alloc(replyBytes) });
    return;
  }
  reply({ code: status.INVALID_ARGUMENT, details: `reply_bytes is over the limit of ${ECHO_LIMIT}` });
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
