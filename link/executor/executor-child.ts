import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { FarlightError, invariant, messageOf, tooManyFiles } from '../../proto/errors.js';
import { harmlessLines } from '../../proto/harmless.js';
import type { Span } from '../../proto/session/activity.js';
import type {
  BoundedFolder,
  CompileAhead,
  ExecutorCommand,
  ExecutorReport,
  Resume,
  SessionDescription,
  SessionEnd,
  SessionOver,
  Traffic,
} from '../../proto/session/handshake.js';
import { inOneLine } from '../../proto/session/listed-adapters.js';
import type { ShareCommand, ShareReport } from '../../proto/session/shares.js';
import type { Work } from '../../proto/session/work.js';
import { setImmediate, setTimeout } from '../machine/clock.js';
import { packageFile } from '../machine/package-files.js';
import { HandedConnections } from './handed-connections.js';

export type ExecutorReady = Extract<ExecutorReport, { type: 'ready' }>;

export interface ExecutorChildOptions {
  /** What openGpu is to open. */
  adapter: string;
  /**
   * Where the GPU's driver keeps the shaders that it compiled; absent: where it does for everything of this user's.
   * What it has of one tenant tells nothing to another, so the process is that tenant's from its start.
   */
  shaders?: BoundedFolder | 'nowhere' | undefined;
  /** Whether this process is the client itself, and carries its session over a pipe to the executor. */
  piped?: boolean | undefined;
  /** The program that the process runs; ours unless a test has another. */
  entry?: URL | undefined;
  /** Whether the process starts when `start` is called; else it does at once. */
  waits?: boolean | undefined;
}

export interface ExecutorChildEvents {
  /** The GPU is open. Comes once at most, first. */
  onReady(ready: ExecutorReady): void;
  /** What the session has carried since the last time, and has done so far. */
  onTraffic?(traffic: Traffic, work: Work | undefined): void;
  /** What it did, while that is watched; `left` more spans were left out. */
  onSpans?(spans: readonly Span[], left: number): void;
  /** The session is over, and its client knows. */
  onOver?(why: SessionOver): void;
  /** The next session may begin. */
  onIdle?(): void;
  /** What the program needed the last time is compiled. */
  onCompiledAhead?(): void;
  /** The session asks for its share of what it has in common with others, or gives some back. */
  onShare?(report: ShareReport): void;
  /** The process has answered a `ping`. */
  onAlive?(): void;
  /** The process is gone. Comes once, last. The reason is undefined where `end` or `kill` was called here. */
  onExit(reason: FarlightError | undefined): void;
}

/** How long the last words of a process that is gone may take to arrive, in milliseconds. */
const LAST_WORDS_MS = 250;
/** How much of the end of the process's stderr is kept, in characters, to explain a crash. */
const LAST_WORDS = 2000;

/**
 * The program of an executor.
 *
 * @throws FarlightError NOT_INSTALLED where a bundle does not find it.
 */
export function executorEntry(): URL {
  return packageFile('server/executor/main.js');
}

/** The variable that every executor has in its environment, and nothing else: an executor must not start another. */
export const EXECUTOR_MARK = 'FARLIGHT_EXECUTOR';

type Attempt = Omit<Resume, 'sessionId'>;

/**
 * An executor process of this process. The client's private host and the daemon both start their executors
 * here; neither may import the other. Frames go past this: over the pipe of a private host, or over the
 * client's own connection, which the daemon hands to the executor.
 *
 * States: *waiting* (for `start`; what it is told is kept), *starting* (a session may begin already; it waits), *ready* (after onReady), *ending* (after `end`
 * or `kill`), *gone* (after onExit; everything is a no-op).
 *
 * The process cannot outlive this one: its IPC channel closes with us, and it ends then.
 */
export class ExecutorChild {
  readonly #options: ExecutorChildOptions;
  readonly #events: ExecutorChildEvents;
  /** Undefined until it is started. */
  #child: ChildProcess | undefined;
  #pipe: Socket | undefined;
  /** What it was told before that. */
  readonly #untold: ExecutorCommand[] = [];
  /** The connections that the process has not said to have yet. */
  readonly #handed = new HandedConnections<Socket, { about: Attempt; head: Uint8Array }>(
    (socket, { about, head }) => this.#resume(about, socket, head),
  );
  #ending = false;
  #gone = false;
  /** The IPC channel, and stderr. */
  #channelsOpen = 2;
  #reported: FarlightError | undefined;
  #lastWords = '';

  constructor(options: ExecutorChildOptions, events: ExecutorChildEvents) {
    this.#options = options;
    this.#events = events;
    if (!options.waits) this.start();
  }

  /** Starts the process, unless it was started before or is not wanted any more. */
  start(): void {
    if (this.#child || this.#gone) return;
    try {
      const child = this.#spawn();
      this.#child = child;
      this.#listen(child);
      for (const command of this.#untold.splice(0)) this.#tell(command);
    } catch (cause) {
      // Who has it wait is not there to catch it.
      if (!this.#options.waits) throw cause;
      this.#reported = notStarted(cause);
      setImmediate(() => this.#finish());
    }
  }

  #spawn(): ChildProcess {
    const { adapter, shaders, piped, entry = executorEntry() } = this.#options;
    const more = shaders === undefined ? [] : [JSON.stringify(shaders)];
    const child = spawn(process.execPath, [fileURLToPath(entry), adapter, ...more], {
      // Its stdout goes nowhere: Dawn prints there, and this process's stdout belongs to the program.
      stdio: ['ignore', 'ignore', 'pipe', piped ? 'pipe' : 'ignore', 'ipc'],
      env: childEnvironment(),
      // Carries bytes as they are.
      serialization: 'advanced',
    });
    // Its types leave out that there is none of it where no more files may be open.
    const pipe = (child.stdio as ChildProcess['stdio'] | undefined)?.[3];
    this.#pipe = piped ? ((pipe ?? undefined) as Socket | undefined) : undefined;
    return child;
  }

  /** Undefined before it is started. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Where a private host's session is carried; absent where the process could not be started, as onExit says. */
  get pipe(): Socket | undefined {
    return this.#pipe;
  }

  /** Whether somebody has asked the process to end who did not ask this one: who ends a whole service, most likely. */
  get wasAskedToEnd(): boolean {
    return this.#child?.signalCode === 'SIGTERM';
  }

  /** Compiles ahead for a program. Its session may begin at once; `onCompiledAhead` says when all is compiled. */
  compileAhead(about: CompileAhead): void {
    this.#tell({ type: 'compileAhead', ...about });
  }

  /** Begins a session on a client's connection, of which `head` was read already, or on the pipe. */
  begin(session: SessionDescription, socket?: Socket, head: Uint8Array = new Uint8Array(0)): void {
    const read = socket ? Buffer.concat([head, stopReading(socket)]) : head;
    this.#tell({ type: 'begin', session, head: read }, socket);
  }

  /**
   * Hands over another connection of the session's client, when the process has taken the one before. Of those that
   * wait for a busy process only the newest attempt is of any use: the others are closed.
   */
  resume(about: Attempt, socket: Socket, head: Uint8Array): void {
    this.#handed.offer(socket, about.attempt, { about, head });
  }

  #resume({ taken, attempt }: Attempt, socket: Socket, head: Uint8Array): void {
    const read = Buffer.concat([head, stopReading(socket)]);
    this.#tell({ type: 'resume', taken, attempt, head: read }, socket);
  }

  /** Ends the session, and tells its client why. */
  endSession(end: SessionEnd): void {
    this.#tell({ type: 'end', ...end });
  }

  /** Begins or ends to ask for onSpans. */
  watch(on: boolean): void {
    this.#tell({ type: 'watch', on });
  }

  /** Answers what the session asked for, or wants something back. */
  share(command: ShareCommand): void {
    this.#tell(command);
  }

  /** Asks for onAlive, which comes when the process is not busy. */
  ping(): void {
    this.#tell({ type: 'ping' });
  }

  /** Ends the process when it has done what it is doing. */
  end(): void {
    if (this.#ending || this.#gone) return;
    this.#ending = true;
    if (!this.#child) this.#giveUp();
    else if (this.#child.connected) this.#child.disconnect();
  }

  /** Ends the process now, by force: it may be in a driver that does not come back, and heeds no other signal. */
  kill(): void {
    if (this.#gone) return;
    this.#ending = true;
    if (this.#child) this.#child.kill('SIGKILL');
    else this.#giveUp();
  }

  /** Lets this process end although the executor has not; at first it does not. */
  unref(): void {
    this.#child?.unref();
    this.#child?.channel?.unref();
    this.#pipe?.unref?.();
    (this.#child?.stderr as Socket | null | undefined)?.unref();
  }

  #tell(command: ExecutorCommand, socket?: Socket): void {
    const child = this.#child;
    if (!child && !this.#ending) {
      invariant(!socket, 'a connection is handed to a process that is ready');
      this.#untold.push(command);
      return;
    }
    if (this.#ending || this.#gone || !child?.connected) {
      socket?.destroy();
      return;
    }
    if (socket) {
      // net.Server would keep a record of this process, for as long as it listens, to ask it for its connections.
      (socket as { server?: unknown }).server = undefined;
      this.#handed.add(socket);
    }
    // A process that is going cannot be told; its exit says why. The connection stays ours too until the process has
    // it: what is on its way to a process that dies would stay open, and its client would wait for nobody.
    child.send(command, socket, { keepOpen: true }, () => {});
  }

  /** It is not wanted any more, and was never started. */
  #giveUp(): void {
    this.#gone = true;
    setImmediate(() => this.#events.onExit(undefined));
  }

  #listen(child: ChildProcess): void {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-LAST_WORDS);
      if (process.env.FARLIGHT_DEBUG) process.stderr.write(harmlessLines(text));
    });
    child.on('message', (report) => this.#receive(report as ExecutorReport));
    child.on('error', (cause) => {
      if (child.pid !== undefined) return;
      this.#reported = notStarted(cause);
      this.#finish();
    });
    // The process's last report and its last words come over channels of their own, which may close after it.
    child.on('disconnect', () => this.#channelClosed());
    child.stderr?.on('close', () => this.#channelClosed());
    child.on('exit', () => {
      // Not every channel says that it is closed: none does of which a descendant of the process has the other end.
      if (this.#channelsOpen === 0) this.#finish();
      else setTimeout(() => this.#finish(), LAST_WORDS_MS);
    });
  }

  #channelClosed(): void {
    this.#channelsOpen -= 1;
    const { exitCode = null, signalCode = null } = this.#child ?? {};
    if (this.#channelsOpen === 0 && (exitCode !== null || signalCode !== null)) this.#finish();
  }

  #receive(report: ExecutorReport): void {
    if (report.type === 'failed') {
      // A private host's program may read the list of adapters; anybody else is told one sentence.
      const { message } = report;
      this.#reported = new FarlightError('NO_ADAPTER', this.pipe ? message : inOneLine(message));
    } else if (report.type === 'ended') {
      this.#reported = new FarlightError(report.code, report.message);
    } else if (report.type === 'taken') {
      this.#handed.taken();
    } else if (this.#ending) {
      // Nobody waits for the rest.
    } else if (report.type === 'ready') {
      this.#events.onReady(report);
    } else if (report.type === 'traffic') {
      const { type: _, work, ...traffic } = report;
      this.#events.onTraffic?.(traffic, work);
    } else if (report.type === 'spans') {
      this.#events.onSpans?.(report.spans, report.left);
    } else if (report.type === 'over') {
      this.#events.onOver?.(report);
    } else if (report.type === 'idle') {
      this.#events.onIdle?.();
    } else if (report.type === 'compiledAhead') {
      this.#events.onCompiledAhead?.();
    } else if (report.type === 'alive') {
      this.#events.onAlive?.();
    } else {
      this.#events.onShare?.(report);
    }
  }

  #finish(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#handed.close();
    this.#events.onExit(this.#reported ?? (this.#ending ? undefined : this.#crash()));
  }

  #crash(): FarlightError {
    const { signalCode, exitCode } = this.#child ?? {};
    const how = signalCode ? `was ended by signal ${signalCode}` : `exited with code ${exitCode}`;
    const words = this.#lastWords.trim().split('\n').at(-1);
    return new FarlightError(
      'EXECUTOR_LOST',
      `the GPU executor process ${how}${words ? ` (its last words: ${words})` : ''}; start the program again`,
    );
  }
}

/**
 * Reads nothing more from a paused connection, so that what comes is there for the process that gets it, and
 * returns what was read already: a paused socket reads on until its buffer is full, and net has nothing public
 * to stop it. The connection has to be given away in the same turn of the event loop.
 */
function stopReading(socket: Socket): Uint8Array {
  const read: Buffer | null = socket.read();
  const { _handle: handle } = socket as unknown as { _handle?: { reading: boolean; readStop(): number } };
  // Without a handle it is closed already.
  if (handle) {
    invariant(typeof handle.readStop === 'function', "net keeps a socket's handle elsewhere than expected");
    handle.reading = false;
    handle.readStop();
  }
  return read ?? new Uint8Array(0);
}

function notStarted(cause: unknown): FarlightError {
  const why = `the GPU executor could not be started: ${messageOf(cause)}`;
  return tooManyFiles(cause) ?? new FarlightError('EXECUTOR_LOST', why, { cause });
}

/** The executor is no program of the user's: what shapes those (a preloaded shim above all) is not for it. */
function childEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, FARLIGHT_HOST: __, FARLIGHT_STATS: ___, ...environment } = process.env;
  return { ...environment, [EXECUTOR_MARK]: '1' };
}
