import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { startReading, stopReading } from '../../link/executor/handed-socket.js';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { FarlightError, invariant } from '../../proto/errors.js';
import type {
  CompileAhead,
  ConnectionMessage,
  ExecutorCommand,
  ExecutorReport,
  ParkedChannel,
  SessionDescription,
} from '../../proto/session/executor-messages.js';
import type { SessionEnd, SessionEnded } from '../../proto/session/session-end.js';
import type { OpenedGpu } from '../gpu/open-gpu.js';
import { limitSpans, type Tracer } from './trace/tracer.js';
import { AtWork, type SessionEndpoint, type SessionPeer, Unparkable } from './wire/endpoint.js';
import { SessionChannel, type SessionEnding } from './wire/session-channel.js';

/** The pipe to the process that started this one, where that is the client. */
const PIPE_FD = 3;
/** How long a session may take to hand over, in milliseconds. After that the process ends. */
const HAND_OVER_MS = 5000;

/** The client went before its connection could be handed over. */
const GONE: SessionEnd = {
  code: 'DISCONNECTED',
  message: 'the client disconnected before the session began',
};

/** The system has dropped the connection, because this process has no descriptor for it. */
const NO_DESCRIPTOR: SessionEnd = {
  code: 'BUSY',
  message:
    "the host's GPU executor cannot take the connection, since too many files are open there; ask the host's owner to allow more with: ulimit -n",
};

/** The process ends, because its session has ended while its objects were made again. */
const RETURNING = {
  code: 'EXECUTOR_LOST',
  message: 'the parked session ended while it was brought back',
} as const;

/** The process ends, because the GPU still works for a session that has ended. */
const BUSY = {
  code: 'EXECUTOR_LOST',
  message: `the GPU was still busy ${HAND_OVER_MS / 1000} seconds after the session's end`,
} as const;

export interface ExecutorParts {
  openGpu(choice: string): Promise<OpenedGpu>;
  /** `inheritance` is what the last session handed over to this one. */
  createSession(
    opened: OpenedGpu,
    peer: SessionPeer,
    about: SessionDescription & { wasParked: boolean },
    inheritance?: unknown,
  ): SessionEndpoint;
  /**
   * Compiles ahead for a program. `inheritance` is for its first session, which may come at once. `compiled` resolves
   * when all is compiled.
   */
  compileAhead?(gpu: GPU, about: CompileAhead): Promise<{ inheritance: unknown; compiled: Promise<unknown> }>;
  /** Tells of what the process does. */
  tracer?: Tracer;
  /** Resolves when the process may end: everything that was to be written is on disk. */
  settled?(): Promise<void> | undefined;
}

/**
 * Makes this process an executor. It opens the GPU that `choice` names, reports to its parent, and runs the sessions that
 * the parent begins, one after another. The process ends when a session breaks the protocol, when the client of a private
 * host closes the pipe, or when the parent is gone.
 */
export async function runExecutor(choice: string, parts: ExecutorParts): Promise<void> {
  process.title = 'farlight-executor';
  // Ctrl-C and the end of a service reach every process of the group. The parent decides when this process ends: its
  // program may use the GPU while it handles the signal, and a host lets sessions end. SIGKILL still ends this process.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) process.on(signal, () => {});
  process.on('disconnect', () => leave(parts));
  // No event comes for a parent that died while this process loaded its code.
  if (!process.connected) leave(parts);
  process.on('uncaughtException', (error) => fail(`the executor failed: ${describe(error)}`));

  const opening = parts.openGpu(choice);
  /** Resolves to the executor that obeys the next command: when the GPU is open, and the devices that compile ahead. */
  let executor = opening.then((opened) => new Executor(opened, parts));
  const ignore = () => {};
  /** The connection of the next command. Its socket is absent if the connection broke on its way. */
  let arrived: { socket: Socket | undefined } | undefined;
  process.on('message', (command: ExecutorCommand | ConnectionMessage, socket?: Socket) => {
    if (command.type === 'connection') {
      // Its bytes stay in the system until the command is obeyed, which may be later: then another object reads them.
      if (socket) stopReading(socket);
      arrived = { socket };
      return;
    }
    const missing = arrived || !command.isConnected ? GONE : NO_DESCRIPTOR;
    const connection = arrived?.socket;
    arrived = undefined;
    if (command.isConnected) {
      const isLost = missing === NO_DESCRIPTOR;
      report({
        type: 'taken',
        ...(isLost && { isLost }),
        ...(isLost && command.type === 'begin' && { end: missing }),
      });
    }
    if (command.type === 'ping') report({ type: 'alive' });
    else if (command.type === 'compileAhead') executor = executor.then((it) => it.compileAhead(command));
    // An exception here is uncaught, which ends the process and tells the parent. A GPU that cannot be opened is
    // reported below.
    else void executor.then((it) => it.obey(command, connection, missing), ignore);
  });
  try {
    const { adapter, wgslLanguageFeatures, choice: found } = await opening;
    report({ type: 'ready', adapter, wgslLanguageFeatures, choice: found });
  } catch (error) {
    if (!(error instanceof FarlightError)) throw error;
    report({ type: 'failed', message: error.message }, 1);
  }
}

/** The part of an executor process that outlives its sessions. */
class Executor {
  readonly #opened: OpenedGpu;
  readonly #parts: ExecutorParts;
  #channel: SessionChannel | undefined;
  /** Whether the session was parked, and is not back. */
  #isReturning = false;
  #inheritance: unknown;
  #stopWatching: (() => void) | undefined;

  constructor(opened: OpenedGpu, parts: ExecutorParts) {
    this.#opened = opened;
    this.#parts = parts;
  }

  /** Resolves when a session may come. Devices may still be compiling then. */
  async compileAhead(about: CompileAhead): Promise<this> {
    const done = () => report({ type: 'compiledAhead' });
    try {
      const { inheritance, compiled } = (await this.#parts.compileAhead?.(this.#opened.gpu, about)) ?? {};
      this.#inheritance = inheritance;
      void Promise.resolve(compiled).then(done);
    } catch (error) {
      // The session does without.
      process.stderr.write(`nothing compiled ahead: ${describe(error)}\n`);
      done();
    }
    return this;
  }

  /** @param missing why the session of a `begin` ends without a socket. */
  obey(
    command: Exclude<ExecutorCommand, { type: 'compileAhead' }>,
    socket: Socket | undefined,
    missing: SessionEnd,
  ): void {
    if (socket) startReading(socket.setNoDelay(true));
    if (command.type === 'begin') {
      const { session, head } = command;
      if (!session.welcome) this.#begin(session, new Socket({ fd: PIPE_FD }), head);
      else if (socket) this.#begin(session, socket, head);
      else void this.#handOver(undefined, missing);
    } else if (command.type === 'resume' && socket) {
      if (this.#channel) this.#channel.resume(socket, command.head, command);
      else socket.destroy();
    } else if (command.type === 'unpark') {
      // Without a socket its client comes back to it.
      this.#unpark(command, socket);
    } else if (command.type === 'park') {
      void this.#park(command);
    } else if (command.type === 'end') {
      this.#channel?.end(command);
    } else if (command.type === 'watch') {
      this.#watch(command.on);
    } else if (command.type === 'line' || command.type === 'noLine' || command.type === 'ticket') {
      // The session may have ended meanwhile.
      if (this.#channel) this.#channel.session.line?.(command, socket);
      else socket?.destroy();
    } else if (command.type !== 'resume' && command.type !== 'ping') {
      this.#channel?.session.share?.(command);
    }
  }

  #begin(description: SessionDescription, socket: Duplex, head: Uint8Array): void {
    this.#open(description).begin(socket, head);
  }

  #unpark(
    { session, place, channel, head }: Extract<ExecutorCommand, { type: 'unpark' }>,
    socket: Socket | undefined,
  ): void {
    this.#isReturning = true;
    void this.#open(session, channel).unpark(socket, head, place);
  }

  async #park(target: Extract<ExecutorCommand, { type: 'park' }>): Promise<void> {
    const channel = this.#channel;
    try {
      if (!channel) throw new AtWork();
      const parked = await channel.park(target);
      this.#channel = undefined;
      this.#watch(false);
      report({ type: 'parked', ...parked });
      channel.session.close();
    } catch (error) {
      // Every other failure is one of this process, and ends it.
      if (!(error instanceof Unparkable)) throw error;
      const { message: reason, wasRead } = error;
      report({ type: 'notParked', reason, isAtWork: error instanceof AtWork, wasRead });
    }
  }

  #open(description: SessionDescription, parked?: ParkedChannel): SessionChannel {
    invariant(!this.#channel, 'an executor has one session at a time');
    const { adapter, wgslLanguageFeatures } = this.#opened;
    this.#channel = new SessionChannel({
      description,
      parked,
      opened: { adapter, wgslLanguageFeatures, activity: true, memory: true, sharedFile: true },
      createSession: (peer) =>
        this.#parts.createSession(
          this.#opened,
          { ...peer, ask: report },
          { ...description, wasParked: parked !== undefined },
          this.#inheritance,
        ),
      onUnparked: (isBack) => {
        this.#isReturning = false;
        report({ type: 'unparked', isBack });
      },
      onTraffic: (traffic, work) => report({ type: 'traffic', ...traffic, work }),
      onEnded: (ending) => this.#ended(ending, description),
    });
    return this.#channel;
  }

  /** Begins to report spans, or stops. */
  #watch(on: boolean): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    if (!on || !this.#channel) return;
    const listener = limitSpans((spans, left) => report({ type: 'spans', spans, left }));
    this.#stopWatching = this.#parts.tracer?.watch(listener);
  }

  #ended(ending: SessionEnding, { welcome }: SessionDescription): void {
    const session = this.#channel?.session;
    this.#channel = undefined;
    this.#watch(false);
    if (ending.by === 'fault') {
      session?.close();
      report({ type: 'exiting', code: ending.code, message: ending.message }, 0);
    } else if (this.#isReturning) {
      // The making of objects goes on. It must not reach a device of the next session.
      session?.close();
      report({ type: 'sessionEnded', code: ending.code, message: ending.message });
      report({ type: 'exiting', ...RETURNING }, 0);
    } else if (welcome) {
      const { code, message } = ending;
      void this.#handOver(session, { code, message });
    } else {
      session?.close();
      leave(this.#parts);
    }
  }

  async #handOver(session: SessionEndpoint | undefined, why: SessionEnded): Promise<void> {
    report({ type: 'sessionEnded', ...why });
    const timer = setTimeout(() => report({ type: 'exiting', ...BUSY }, 0), HAND_OVER_MS);
    this.#inheritance = await session?.handOver?.();
    clearTimeout(timer);
    report({ type: 'idle' });
  }
}

/** Ends the process when everything is on disk that was to be written. */
function leave(parts: ExecutorParts): void {
  setTimeout(() => process.exit(0), HAND_OVER_MS);
  void Promise.resolve(parts.settled?.()).then(() => process.exit(0));
}

/** Sends a report to the parent. With an exit code, ends the process when the report is sent. */
function report(message: ExecutorReport, exitCode?: number): void {
  const done = () => {
    if (exitCode !== undefined) process.exit(exitCode);
  };
  if (process.connected) process.send?.(message, undefined, {}, done);
  else done();
}

function fail(message: string): void {
  process.exitCode = 1;
  report({ type: 'exiting', code: 'EXECUTOR_LOST', message }, 1);
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
