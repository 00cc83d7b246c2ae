import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { FarlightError, invariant } from '../proto/errors.js';
import type { ExecutorReport, SessionDescription } from '../proto/handshake.js';
import { FrameDecoder, frameHeader } from '../proto/wire/framing.js';
import { writeFrame } from './write-frame.js';

export type ExecutorReady = Extract<ExecutorReport, { type: 'ready' }>;

/** Where an executor keeps contents, and what they may take. */
export interface BlobFolder {
  path: string;
  maxBytes: number;
}

export interface ExecutorChildOptions {
  /** What openGpu is to open. */
  adapter: string;
  /** Absent where it keeps none. */
  blobs?: BlobFolder | undefined;
  /** The program that the process runs; ours unless a test has another. */
  entry?: URL | undefined;
}

export interface ExecutorChildEvents {
  /** The GPU is open. Comes once at most, before the first frame. */
  onReady(ready: ExecutorReady): void;
  /** A frame of replies, which the receiver owns. */
  onFrame(frame: Uint8Array): void;
  /** The session that `retire` ended is over, and the next may begin. */
  onIdle?(): void;
  /** The pipe is empty again after `send` returned false. */
  onDrain(): void;
  /**
   * The process is gone, and everything it had written has been handed on. Comes once, last. The
   * reason is undefined where `end` or `kill` was called here.
   */
  onExit(reason: FarlightError | undefined): void;
}

/** The bytes that may wait in this process for the pipe before `send` asks its caller to wait. */
const SEND_WATERMARK = 1024 * 1024;
/** How long a process may take to end after SIGTERM, in milliseconds, before it gets SIGKILL. */
const KILL_GRACE_MS = 2000;
/** How much of the end of the process's stderr is kept, in characters, to explain a crash. */
const LAST_WORDS = 2000;

const ENTRY = new URL('../server/executor/main.js', import.meta.url);

/**
 * An executor process of this process, and the pipe to it. The client's private host and the daemon
 * both start their executors here; neither may import the other.
 *
 * States: *starting* (frames may be sent already; they wait in the pipe), *ready* (after onReady),
 * *retiring* (between `retire` and onIdle), *ending* (after `end` or `kill`), *gone* (after onExit;
 * everything is a no-op).
 * starting -> ready -> ending -> gone, ready -> retiring -> ready, and from each of them to ending by `end`
 * or `kill`, and to gone when the process dies.
 *
 * The process cannot outlive this one: its pipe and its IPC channel close with us, and it ends then.
 */
export class ExecutorChild {
  readonly #events: ExecutorChildEvents;
  readonly #child: ChildProcess;
  readonly #pipe: Socket;
  #ending = false;
  #retiring = false;
  #gone = false;
  #closed = false;
  #disconnected = false;
  #reported: FarlightError | undefined;
  #lastWords = '';
  #killTimer: NodeJS.Timeout | undefined;

  constructor(options: ExecutorChildOptions, events: ExecutorChildEvents) {
    this.#events = events;
    const { adapter, blobs, entry = ENTRY } = options;
    const folder = blobs ? [blobs.path, String(blobs.maxBytes)] : [];
    this.#child = spawn(process.execPath, [fileURLToPath(entry), adapter, ...folder], {
      // Its stdout goes nowhere: Dawn prints there, and this process's stdout belongs to the program.
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'ipc'],
      env: childEnvironment(),
    });
    const pipe = this.#child.stdio[3];
    invariant(pipe, 'an executor has a pipe on descriptor 3');
    this.#pipe = pipe as Socket;
    this.#listen();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Begins a session: comes before its first frame. */
  begin(description: SessionDescription): void {
    this.send(new TextEncoder().encode(JSON.stringify(description)));
  }

  /** Sends a frame, whose bytes the pipe owns from now on. Returns false where the caller should wait for onDrain. */
  send(frame: Uint8Array): boolean {
    if (this.#ending || this.#gone || !this.#pipe.writable) return true;
    writeFrame(this.#pipe, frame);
    return this.#pipe.writableLength < SEND_WATERMARK;
  }

  /** Stops and restarts the frames from the executor; what is already in this process still comes. */
  pause(): void {
    this.#pipe.pause();
  }

  resume(): void {
    this.#pipe.resume();
  }

  /**
   * Ends the session in good order, and keeps the process for another one: until onIdle, what the executor
   * still sends is dropped, and nothing may be sent.
   */
  retire(): void {
    if (this.#ending || this.#gone) return;
    this.#retiring = true;
    this.#pipe.write(frameHeader(0));
    this.#pipe.resume();
  }

  /** Ends the session in good order: the executor takes what was sent before, then its process ends. */
  end(): void {
    if (this.#ending || this.#gone) return;
    this.#ending = true;
    this.#pipe.end();
    // Replies still to come have no reader, and a paused pipe would keep the process from ending.
    this.#pipe.resume();
  }

  /** Ends the process now, by force where it does not go by itself. */
  kill(): void {
    if (this.#gone || this.#killTimer) return;
    this.#ending = true;
    this.#pipe.resume();
    this.#child.kill('SIGTERM');
    this.#killTimer = setTimeout(() => this.#child.kill('SIGKILL'), KILL_GRACE_MS).unref();
  }

  /** Whether this process stays alive for the executor's sake; it does at first. */
  ref(): void {
    this.#child.ref();
    this.#child.channel?.ref();
    this.#pipe.ref();
  }

  unref(): void {
    this.#child.unref();
    this.#child.channel?.unref();
    this.#pipe.unref();
    (this.#child.stderr as Socket | null)?.unref();
  }

  #listen(): void {
    const decoder = new FrameDecoder((frame) => {
      if (this.#ending) return;
      if (!this.#retiring) {
        this.#events.onFrame(frame);
      } else if (frame.length === 0) {
        this.#retiring = false;
        this.#events.onIdle?.();
      }
    });
    this.#pipe.on('data', (piece: Buffer) => {
      try {
        decoder.push(piece);
      } catch (cause) {
        this.#reported ??= new FarlightError('EXECUTOR_LOST', 'the GPU executor sent what is not a frame', {
          cause,
        });
        this.kill();
      }
    });
    this.#pipe.on('drain', () => this.#events.onDrain());
    // A broken pipe means that the process is going: its exit says why.
    this.#pipe.on('error', () => {});
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-LAST_WORDS);
      if (process.env.FARLIGHT_DEBUG) process.stderr.write(text);
    });
    this.#child.on('message', (report) => this.#receive(report as ExecutorReport));
    this.#child.on('error', (cause) => {
      if (this.#child.pid !== undefined) return;
      this.#reported = new FarlightError(
        'EXECUTOR_LOST',
        `the GPU executor could not be started: ${cause.message}`,
        { cause },
      );
      this.#finish();
    });
    // The process's last report and its last frames come over two channels, so the end is known only
    // when both have closed.
    this.#child.on('disconnect', () => {
      this.#disconnected = true;
      if (this.#closed) this.#finish();
    });
    this.#child.on('close', () => {
      this.#closed = true;
      if (this.#disconnected) this.#finish();
    });
  }

  #receive(report: ExecutorReport): void {
    if (report.type === 'ready') {
      if (!this.#ending) this.#events.onReady(report);
    } else if (report.type === 'failed') {
      this.#reported = new FarlightError('NO_ADAPTER', report.message);
    } else {
      this.#reported = new FarlightError(report.code, report.message);
    }
  }

  #finish(): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#killTimer);
    this.#events.onExit(this.#reported ?? (this.#ending ? undefined : this.#crash()));
  }

  #crash(): FarlightError {
    const { signalCode, exitCode } = this.#child;
    const how = signalCode ? `was ended by signal ${signalCode}` : `exited with code ${exitCode}`;
    const words = this.#lastWords.trim().split('\n').at(-1);
    return new FarlightError(
      'EXECUTOR_LOST',
      `the GPU executor process ${how}${words ? ` (its last words: ${words})` : ''}; start the program again`,
    );
  }
}

/** The executor is no program of the user's: what shapes those (a preloaded shim above all) is not for it. */
function childEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, FARLIGHT_HOST: __, FARLIGHT_STATS: ___, ...environment } = process.env;
  return environment;
}
