import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { FarlightError, invariant, messageOf, tooManyFiles } from '../../proto/errors.js';
import { harmlessLines } from '../../proto/harmless.js';
import type {
  BoundedFolder,
  ConnectionMessage,
  ExecutorCommand,
  ExecutorReport,
  SessionReport,
} from '../../proto/session/executor-messages.js';
import type { Resume } from '../../proto/session/handshake.js';
import { inOneLine } from '../../proto/session/listed-adapters.js';
import type { SessionEnd, SessionEnded } from '../../proto/session/session-end.js';
import { setImmediate, setTimeout } from '../machine/clock.js';
import { type Alarm, alarm } from '../machine/timer.js';
import { HandedConnections } from './handed-connections.js';
import { startReading, stopReading } from './handed-socket.js';

export type ExecutorReady = Extract<ExecutorReport, { type: 'ready' }>;

export interface ExecutorChildOptions {
  /** The adapter that openGpu opens. */
  adapter: string;
  /**
   * The folder in which the GPU's driver keeps compiled shaders. Absent for the driver's own folder of this user. No
   * tenant may learn of another one's shaders, so the process belongs to one tenant from its start.
   */
  shaders?: BoundedFolder | 'nowhere' | undefined;
  /** Whether this process is the client itself, which carries its session over a pipe to the executor. */
  piped?: boolean | undefined;
  /** The program of the process. */
  entry: URL;
  /** Whether the process starts only when `start` is called. Default at once. */
  waits?: boolean | undefined;
  /** How long the process may take to open its GPU, in milliseconds, before it is killed. Default 90 s. */
  startMs?: number | undefined;
}

export interface ExecutorChildEvents {
  /** The GPU is open. Called once at most, first. */
  onReady(ready: ExecutorReady): void;
  /** The GPU is not open in time, and the process is killed. A driver may hold it for ever, so do not wait for `onExit`. */
  onStuck(reason: FarlightError): void;
  /** The process reports of its session. */
  onReport?(report: SessionReport): void;
  /** The process cannot have the connection of a session that was to begin. The caller tells its client why. */
  onNotTaken?(connection: Socket, end: SessionEnd): void;
  /** The session has ended, and its client knows. */
  onSessionEnded?(why: SessionEnded): void;
  /** The next session may begin. */
  onIdle?(): void;
  /** Everything that the program's profile names is compiled. */
  onCompiledAhead?(): void;
  /** The process has answered a `ping`. */
  onAlive?(): void;
  /** The process is gone. Called once, last. The reason is undefined if this side called `end` or `kill`. */
  onExit(reason: FarlightError | undefined): void;
}

const START_MS = 90_000;
/** How long the last words of an ended process may take to arrive, in milliseconds. */
const LAST_WORDS_MS = 250;
/** How much of the end of the process's stderr is kept, in characters, to explain a crash. */
const LAST_WORDS = 2000;

/** A variable in the environment of executors alone: by it an executor knows that it must not start another. */
export const EXECUTOR_MARK = 'FARLIGHT_EXECUTOR';

type Attempt = Omit<Resume, 'sessionId'>;

/**
 * An executor process, seen from the process that starts it: a daemon, or a client with a private host. Frames do not
 * pass here. They take the pipe of a private host, or the client's connection, which the daemon hands to the executor.
 *
 * States: *waiting* (for `start`; commands are kept until then), *starting* (a session that begins waits), *ready*
 * (after onReady), *ending* (after `end` or `kill`), *gone* (after onExit; every call does nothing).
 *
 * The process cannot outlive its parent: it ends when the IPC channel closes.
 */
export class ExecutorChild {
  readonly #options: ExecutorChildOptions;
  readonly #events: ExecutorChildEvents;
  /** Undefined until the process is started. */
  #child: ChildProcess | undefined;
  #pipe: Socket | undefined;
  /** The commands for the process before it is started. */
  readonly #untold: ExecutorCommand[] = [];
  /** The connections whose arrival the process has not confirmed yet. */
  readonly #handed = new HandedConnections<Socket>();
  /** Near connections that stay open here when the process has taken them, and the newest that it has. */
  readonly #keeping = new WeakSet<Socket>();
  #near: Socket | undefined;
  #opening: Alarm | undefined;
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
      this.#opening = alarm(this.#options.startMs ?? START_MS, () => this.#stuck());
      for (const command of this.#untold.splice(0)) this.#send(command);
    } catch (cause) {
      // With `waits` the caller of `start` expects no exception.
      if (!this.#options.waits) throw cause;
      this.#reported = notStarted(cause);
      setImmediate(() => this.#finish());
    }
  }

  #spawn(): ChildProcess {
    const { adapter, shaders, piped, entry } = this.#options;
    const more = shaders === undefined ? [] : [JSON.stringify(shaders)];
    const child = spawn(process.execPath, [fileURLToPath(entry), adapter, ...more], {
      // Its stdout goes nowhere: Dawn prints there, and this process's stdout belongs to the program.
      stdio: ['ignore', 'ignore', 'pipe', piped ? 'pipe' : 'ignore', 'ipc'],
      env: childEnvironment(),
      // Carries bytes as they are.
      serialization: 'advanced',
    });
    // The types do not say so, but `stdio` is missing if no more files may be open.
    const pipe = (child.stdio as ChildProcess['stdio'] | undefined)?.[3];
    this.#pipe = piped ? ((pipe ?? undefined) as Socket | undefined) : undefined;
    return child;
  }

  /** Undefined before the process is started. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The pipe of a private host's session. Absent if the process could not be started; then onExit says why. */
  get pipe(): Socket | undefined {
    return this.#pipe;
  }

  /** Whether the process got a SIGTERM that this process did not send, most likely because a whole service ends. */
  get wasAskedToEnd(): boolean {
    return this.#child?.signalCode === 'SIGTERM';
  }

  /**
   * The near connection of a session that was parked, which belongs to the caller from now on. It is open until its client
   * closes it or ends.
   */
  takeNear(): Socket | undefined {
    const near = this.#near;
    this.#near = undefined;
    if (near) startReading(near);
    return near;
  }

  /**
   * Tells a command with its connection, of which `head` has the bytes that were already read here. With `isNear` the
   * connection stays open here too, see `takeNear`.
   */
  hand(command: Extract<ExecutorCommand, { head: Uint8Array }>, socket: Socket, isNear = false): void {
    if (isNear) this.#keeping.add(socket);
    const head = Buffer.concat([command.head, stopReading(socket)]);
    this.#send({ ...command, head, isConnected: true } as ExecutorCommand, socket);
  }

  /**
   * Hands over another connection of the session's client, when the process has taken the one before. If several
   * attempts wait for a busy process, only the newest is of use, and the others are closed.
   */
  resume(about: Attempt, socket: Socket, head: Uint8Array, isNear = false): void {
    this.#handed.offer(socket, about.attempt, () =>
      this.hand({ type: 'resume', ...about, head }, socket, isNear),
    );
  }

  /** Tells a command that has no connection. */
  tell(command: ExecutorCommand): void {
    this.#send(command);
  }

  /** Ends the process when it has finished its current work. */
  end(): void {
    if (this.#ending || this.#gone) return;
    this.#ending = true;
    if (!this.#child) this.#giveUp();
    else if (this.#child.connected) this.#child.disconnect();
  }

  /** Ends the process now, by force. A process inside a driver that does not return reacts to no other signal. */
  kill(): void {
    if (this.#gone) return;
    this.#ending = true;
    if (this.#child) this.#child.kill('SIGKILL');
    else this.#giveUp();
  }

  /** Lets this process end before the executor. At first the executor keeps it alive. */
  unref(): void {
    this.#child?.unref();
    this.#child?.channel?.unref();
    this.#pipe?.unref?.();
    (this.#child?.stderr as Socket | null | undefined)?.unref();
  }

  #send(command: ExecutorCommand, socket?: Socket): void {
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
      // Otherwise net.Server keeps a record of the executor while it listens, to ask it for its connections.
      (socket as { server?: unknown }).server = undefined;
      this.#handed.add(socket);
      // The connection stays open here too until the process has it. If the process dies before, this side closes the
      // connection, so that its client does not wait in vain.
      child.send({ type: 'connection' } satisfies ConnectionMessage, socket, { keepOpen: true }, () => {});
    }
    // An ending process gets no message; its exit says why.
    child.send(command, () => {});
  }

  /** The process is not needed any more, and was never started. */
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
    // The process's last report and last words come over channels, which may close after the exit.
    child.on('disconnect', () => this.#channelClosed());
    child.stderr?.on('close', () => this.#channelClosed());
    child.on('exit', () => {
      // A channel does not close while a descendant of the process has its other end.
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
      // The program of a private host may read the list of adapters. Other clients get one sentence.
      const { message } = report;
      this.#reported = new FarlightError('NO_ADAPTER', this.pipe ? message : inOneLine(message));
    } else if (report.type === 'exiting') {
      this.#reported = new FarlightError(report.code, report.message);
    } else if (report.type === 'taken') {
      this.#taken(this.#handed.taken(), report);
    } else if (this.#ending) {
      // No other report matters now.
    } else if (report.type === 'ready') {
      this.#opening?.cancel();
      this.#events.onReady(report);
    } else if (report.type === 'sessionEnded') {
      this.takeNear()?.destroy();
      this.#events.onSessionEnded?.(report);
    } else if (report.type === 'idle') {
      this.#events.onIdle?.();
    } else if (report.type === 'compiledAhead') {
      this.#events.onCompiledAhead?.();
    } else if (report.type === 'alive') {
      this.#events.onAlive?.();
    } else {
      this.#events.onReport?.(report);
    }
  }

  /**
   * The process has a connection, and a near one stays open here too. Nobody reads one that is lost, so it is closed, and
   * its client tries again; or `end` says why the session cannot begin.
   */
  #taken(socket: Socket | undefined, { isLost, end }: Extract<ExecutorReport, { type: 'taken' }>): void {
    if (socket && end && this.#events.onNotTaken) {
      startReading(socket);
      this.#events.onNotTaken(socket, end);
    } else if (socket && !isLost && this.#keeping.has(socket)) {
      this.#near?.destroy();
      this.#near = socket;
    } else {
      socket?.destroy();
    }
  }

  /** Its session, or the one who tries an adapter, would wait for ever. */
  #stuck(): void {
    if (this.#ending || this.#gone) return;
    this.kill();
    const seconds = (this.#options.startMs ?? START_MS) / 1000;
    const why = `the GPU executor has not opened its GPU within ${seconds} seconds, and was ended; see on its machine whether the GPU's driver answers`;
    this.#events.onStuck(this.#reported ?? new FarlightError('NO_ADAPTER', why));
  }

  #finish(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#opening?.cancel();
    this.#handed.close();
    this.takeNear()?.destroy();
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

function notStarted(cause: unknown): FarlightError {
  const why = `the GPU executor could not be started: ${messageOf(cause)}`;
  return tooManyFiles(cause) ?? new FarlightError('EXECUTOR_LOST', why, { cause });
}

/** The executor is not the user's program, so it must not get the program's settings, such as a preloaded module. */
function childEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, FARLIGHT_HOST: __, FARLIGHT_STATS: ___, ...environment } = process.env;
  return { ...environment, [EXECUTOR_MARK]: '1' };
}
