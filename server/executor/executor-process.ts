import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { FarlightError, invariant } from '../../proto/errors.js';
import type {
  CompileAhead,
  ExecutorCommand,
  ExecutorReport,
  SessionDescription,
  SessionOver,
} from '../../proto/handshake.js';
import type { OpenedGpu } from '../gpu/open-gpu.js';
import { LimitedSpans } from './trace/limited-spans.js';
import type { Activity } from './trace/tracer.js';
import type { SessionEndpoint, SessionPeer } from './wire/endpoint.js';
import { Carrier, type Ending } from './wire/session-channel.js';

/** The pipe to the process that started this one, where that is the client. */
const PIPE_FD = 3;
/** How long the end of a session may take, in milliseconds: longer, and the process ends with it. */
const RETIRE_MS = 5000;

/** A client whose connection could not be handed over any more. */
const GONE: SessionOver = {
  code: 'DISCONNECTED',
  message: 'the client disconnected before the session began',
};

/** Why a process ends whose session has left it work that goes on. */
const BUSY = {
  code: 'EXECUTOR_LOST',
  message: `the GPU was still busy ${RETIRE_MS / 1000} seconds after the session's end`,
} as const;

export interface ExecutorParts {
  openGpu(choice: string): Promise<OpenedGpu>;
  /** `inheritance` is what the session before has left to this one. */
  createSession(
    gpu: GPU,
    peer: SessionPeer,
    about: SessionDescription,
    inheritance?: unknown,
  ): SessionEndpoint;
  /**
   * Makes ready for a program: `inheritance` is for its first session, which may come at once; `prepared` resolves
   * when all is done.
   */
  compileAhead?(gpu: GPU, about: CompileAhead): Promise<{ inheritance: unknown; compiled: Promise<unknown> }>;
  /** What tells of what the process does; absent where nothing does. */
  activity?: Activity;
  /** Resolves when the process may end after its sessions: what is still being written is on disk. */
  settled?(): Promise<void> | undefined;
}

/**
 * Makes this process an executor: opens the GPU that `choice` names, reports to the parent, and carries the
 * sessions that the parent begins, one after the other. The process ends when a session breaks the protocol,
 * when the client whose private host it is closes the pipe, or when the parent is gone.
 */
export async function runExecutor(choice: string, parts: ExecutorParts): Promise<void> {
  process.title = 'farlight-executor';
  // Ctrl-C in a terminal, and whoever ends a service, reach every process of the group, but the parent decides
  // when this one ends: a program may still be using its GPU while it handles the signal, and a host lets its
  // sessions end. Who wants to end this process alone has SIGKILL, as the parent has.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) process.on(signal, () => {});
  process.on('disconnect', () => leave(parts));
  // A parent that died while this process loaded its code is not told of any more.
  if (!process.connected) leave(parts);
  process.on('uncaughtException', (error) => fail(`the executor failed: ${sentence(error)}`));

  const opening = parts.openGpu(choice);
  /** What obeys the next command: when the GPU is open, and devices are where they are prepared. */
  let executor = opening.then((opened) => new Executor(opened, parts));
  const ignore = () => {};
  process.on('message', (command: ExecutorCommand, socket?: Socket) => {
    // A connection that broke on its way does not arrive, and is done with all the same.
    if (socket || command.type === 'begin' || command.type === 'resume') report({ type: 'taken' });
    if (command.type === 'ping') report({ type: 'alive' });
    else if (command.type === 'compileAhead') executor = executor.then((it) => it.compileAhead(command));
    // An exception ends the process as any that nobody catches, and the parent is told of it. Where the GPU cannot be
    // opened, it is told below.
    else void executor.then((it) => it.obey(command, socket), ignore);
  });
  try {
    const { adapter, wgslLanguageFeatures, choice: found } = await opening;
    report({ type: 'ready', adapter, wgslLanguageFeatures, choice: found });
  } catch (error) {
    if (!(error instanceof FarlightError)) throw error;
    report({ type: 'failed', message: error.message }, 1);
  }
}

/** What of an executor process outlives a session. */
class Executor {
  readonly #opened: OpenedGpu;
  readonly #parts: ExecutorParts;
  #carrier: Carrier | undefined;
  #inheritance: unknown;
  #stopWatching: (() => void) | undefined;

  constructor(opened: OpenedGpu, parts: ExecutorParts) {
    this.#opened = opened;
    this.#parts = parts;
  }

  /** Resolves when a session may come, which is before all is prepared. */
  async compileAhead(about: CompileAhead): Promise<this> {
    const done = () => report({ type: 'compiledAhead' });
    try {
      const { inheritance, compiled } = (await this.#parts.compileAhead?.(this.#opened.gpu, about)) ?? {};
      this.#inheritance = inheritance;
      void Promise.resolve(compiled).then(done);
    } catch (error) {
      // A session that comes has nothing compiled ahead, and does without.
      process.stderr.write(`nothing compiled ahead: ${sentence(error)}\n`);
      done();
    }
    return this;
  }

  obey(command: Exclude<ExecutorCommand, { type: 'compileAhead' }>, socket: Socket | undefined): void {
    socket?.setNoDelay(true);
    if (command.type === 'begin') {
      const { session, head } = command;
      if (!session.welcome) this.#begin(session, new Socket({ fd: PIPE_FD }), head);
      else if (socket) this.#begin(session, socket, head);
      else void this.#retire(undefined, GONE);
    } else if (command.type === 'resume' && socket) {
      if (this.#carrier) this.#carrier.resume(socket, command.head, command);
      else socket.destroy();
    } else if (command.type === 'end') {
      this.#carrier?.end(command);
    } else if (command.type === 'watch') {
      this.#watch(command.on);
    } else if (command.type !== 'resume' && command.type !== 'ping') {
      this.#carrier?.session.share?.(command);
    }
  }

  #begin(description: SessionDescription, socket: Duplex, head: Uint8Array): void {
    invariant(!this.#carrier, 'an executor has one session at a time');
    const { gpu, adapter, wgslLanguageFeatures } = this.#opened;
    this.#carrier = new Carrier({
      description,
      opened: { adapter, wgslLanguageFeatures, activity: true, sharedFile: true },
      createSession: (peer) =>
        this.#parts.createSession(gpu, { ...peer, ask: report }, description, this.#inheritance),
      onTraffic: (traffic, work) => report({ type: 'traffic', ...traffic, work }),
      onOver: (ending) => this.#over(ending, description),
    });
    this.#carrier.begin(socket, head);
  }

  /** Tells of what is done, or no longer. */
  #watch(on: boolean): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    if (!on || !this.#carrier) return;
    const limited = new LimitedSpans((spans, left) => report({ type: 'spans', spans, left }));
    this.#stopWatching = this.#parts.activity?.watch((spans) => limited.take(spans));
  }

  #over(ending: Ending, { welcome }: SessionDescription): void {
    const session = this.#carrier?.session;
    this.#carrier = undefined;
    this.#watch(false);
    if (ending.by === 'fault') {
      session?.close();
      report({ type: 'ended', code: ending.code, message: ending.message }, 0);
    } else if (welcome) {
      const { code, message } = ending;
      void this.#retire(session, { code, message });
    } else {
      session?.close();
      leave(this.#parts);
    }
  }

  async #retire(session: SessionEndpoint | undefined, why: SessionOver): Promise<void> {
    report({ type: 'over', ...why });
    const timer = setTimeout(() => report({ type: 'ended', ...BUSY }, 0), RETIRE_MS);
    this.#inheritance = await session?.retire?.();
    clearTimeout(timer);
    report({ type: 'idle' });
  }
}

/** Ends the process when what is being written is on disk. */
function leave(parts: ExecutorParts): void {
  setTimeout(() => process.exit(0), RETIRE_MS);
  void Promise.resolve(parts.settled?.()).then(() => process.exit(0));
}

/** Tells the parent, and ends the process once it is told where an exit code is given. */
function report(message: ExecutorReport, exitCode?: number): void {
  const done = () => {
    if (exitCode !== undefined) process.exit(exitCode);
  };
  if (process.connected) process.send?.(message, undefined, {}, done);
  else done();
}

function fail(message: string): void {
  process.exitCode = 1;
  report({ type: 'ended', code: 'EXECUTOR_LOST', message }, 1);
}

function sentence(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
