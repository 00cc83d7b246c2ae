import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicNow, setImmediate } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { pause } from '../../link/machine/timer.js';
import { codeOf, FarlightError } from '../../proto/errors.js';
import { type Engine, type JobStatus, onlySilent } from '../engines/engine.js';
import { type CommandEnd, readEnd } from './command-end.js';

export type OutputName = 'stdout' | 'stderr';

export interface FollowOptions {
  readonly engine: Engine;
  /** The engine's id of the job. */
  readonly id: string;
  readonly exchange: string;
  /** Takes a piece. Where it returns a promise, the next piece of this output is read when that has settled. */
  onOutput(name: OutputName, bytes: Uint8Array): void | PromiseLike<void>;
  /** Cancels the job. */
  readonly signal?: AbortSignal | undefined;
}

/** How often to look at the output, in milliseconds. */
const LOOK_MS = 50;
/** How often to ask the engine, in milliseconds: one of this machine, another, and any once the command has ended. */
const ASK_MS = { here: 200, elsewhere: 2000, ending: 200 };
/** How long the last output may take to be seen here, in milliseconds. */
const LATE_MS = 10_000;
const CHUNK_BYTES = 1 << 16;
/** After so many pieces other work has a turn: a command may write faster than this reads. */
const MOST_PIECES = 16;

/**
 * Prints a piece as this process's own output. Resolves when it is written, or cannot be: a reader that stops must not fill
 * this process's memory.
 */
export function print(name: OutputName, bytes: Uint8Array): Promise<void> {
  return new native.Promise((resolve) => void process[name].write(bytes, () => resolve()));
}

/**
 * Hands on the output of a command as it comes, until its job is over for certain.
 *
 * @returns the command's exit code, and whether it was cancelled before it ended by itself. @throws FarlightError
 *   DISCONNECTED where its job was ended before it (rejects).
 */
export async function followCommand(options: FollowOptions): Promise<{ code: number; isCutShort: boolean }> {
  const { engine, id, exchange, signal } = options;
  const output = new Output(options);
  let end: CommandEnd | undefined;
  let isCancelled = false;
  let isCutShort = false;
  let askAt = 0;
  try {
    for (;;) {
      await output.read();
      if (!end) {
        end = readEnd(exchange);
        // The engine knows soon.
        if (end) askAt = 0;
      }
      if (signal?.aborted && !isCancelled) {
        isCancelled = true;
        isCutShort = !end;
        await engine.cancel(id);
      }
      if (monotonicNow() >= askAt) {
        const status = await engine.status(id).catch(onlySilent);
        if (status?.phase === 'ended') {
          end ??= readEnd(exchange);
          const code = await ended(status, output, end, signal);
          return { code, isCutShort: isCutShort || (end !== undefined && !output.has(end)) };
        }
        const isEnding = end !== undefined || isCancelled;
        askAt = monotonicNow() + (isEnding ? ASK_MS.ending : engine.isHere ? ASK_MS.here : ASK_MS.elsewhere);
      }
      await pause(LOOK_MS);
    }
  } finally {
    output.close();
  }
}

async function ended(
  status: JobStatus & { phase: 'ended' },
  output: Output,
  end: CommandEnd | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  let deadline = monotonicNow() + LATE_MS;
  await output.read();
  while (end && !output.has(end) && monotonicNow() < deadline) {
    // A reader may take as long as it likes, until somebody cancels.
    if (output.isBehind && signal?.aborted) return end.code;
    if (output.isBehind) deadline = monotonicNow() + LATE_MS;
    await pause(LOOK_MS);
    await output.read();
  }
  if (end && output.has(end)) return end.code;
  if (end) throw lost('its last output is not to be seen here');
  throw lost(status.why);
}

function lost(why: string): FarlightError {
  return new FarlightError('DISCONNECTED', `the job of the command was over before the command: ${why}`);
}

/** The files with a command's output, read as they grow. */
class Output {
  readonly #options: FollowOptions;
  readonly #files = new Map<OutputName, { file: number; at: number }>();
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #reading: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: FollowOptions) {
    this.#options = options;
  }

  /** Whether a piece that was read is not taken yet. */
  get isBehind(): boolean {
    return this.#reading !== undefined;
  }

  /** Resolves when all that is there was taken, or after a look's time. @throws Error of a file or of a taker (rejects) */
  async read(): Promise<void> {
    this.#reading ??= this.#readBoth().finally(() => {
      this.#reading = undefined;
    });
    await native.Promise.race([this.#reading, pause(LOOK_MS)]);
  }

  async #readBoth(): Promise<void> {
    await native.Promise.all((['stdout', 'stderr'] as const).map((name) => this.#readOne(name)));
  }

  async #readOne(name: OutputName): Promise<void> {
    const open = this.#files.get(name) ?? this.#open(name);
    for (let pieces = 1; open && !this.#isClosed; pieces += 1) {
      const count = readSync(open.file, this.#buffer, 0, CHUNK_BYTES, open.at);
      if (count === 0) return;
      const piece = Uint8Array.prototype.slice.call(this.#buffer, 0, count);
      await this.#options.onOutput(name, piece);
      open.at += count;
      if (pieces % MOST_PIECES === 0) await new native.Promise<void>((resolve) => void setImmediate(resolve));
    }
  }

  has(end: CommandEnd): boolean {
    return (['stdout', 'stderr'] as const).every((name) => (this.#files.get(name)?.at ?? 0) >= end[name]);
  }

  close(): void {
    this.#isClosed = true;
    // Where a taker takes nothing more, nobody waits for its error.
    this.#reading?.catch(() => {});
    for (const { file } of this.#files.values()) closeSync(file);
  }

  #open(name: OutputName): { file: number; at: number } | undefined {
    try {
      const open = { file: openSync(join(this.#options.exchange, name), 'r'), at: 0 };
      this.#files.set(name, open);
      return open;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      return undefined;
    }
  }
}
