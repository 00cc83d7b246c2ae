import type { Worker } from 'node:worker_threads';
import type { MemoryState } from '../../client/index.js';
import { clearTimeout, setImmediate, setTimeout } from '../../link/machine/clock.js';
import { packageProgram } from '../../link/machine/package-files.js';
import { startThread } from '../../link/machine/thread.js';
import { messageOf } from '../../proto/errors.js';
import type { GpuEvent } from './gpu/gpu-times.js';
import { LaneLostError, RunError } from './lane.js';

/** How long a worker that is asked to end may take for it, in milliseconds. */
const LEAVE_MS = 2000;

/** A message of a lane to its worker. A call has an answer; the others have none. */
export type ToWorker =
  | { readonly call: number; readonly method: string; readonly argument: unknown }
  | { readonly abort: string }
  | 'leave';

export type FromWorker =
  | { readonly call: number; readonly value: unknown }
  | {
      readonly call: number;
      readonly error: {
        readonly message: string;
        readonly memory: boolean;
        readonly taken: boolean;
        readonly away: boolean;
      };
    }
  | { readonly memory: MemoryState }
  | { readonly gpu: GpuEvent }
  | { readonly lost: string };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A worker thread and the calls that it has not answered yet. */
export class LaneWorker {
  readonly #worker: Worker;
  readonly #calls = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #last = 0;
  #resolveEnded!: (reason: string) => void;
  /** Resolves with the reason, in a sentence, before the calls that were under way reject with LaneLostError. */
  readonly ended = new Promise<string>((resolve) => {
    this.#resolveEnded = resolve;
  });
  #reason: string | undefined;
  /** The host told of its memory. */
  onMemory: (state: MemoryState) => void = () => {};
  /** The host told of its GPU. */
  onGpu: (event: GpuEvent) => void = () => {};

  /** @param file the worker's program, by its module's path */
  constructor(file: string, name: string, workerData: unknown) {
    this.#worker = startThread(packageProgram(file), { name, workerData, stdout: true });
    // Scripts read what this process prints to its standard output.
    this.#worker.stdout.on('data', (text) => process.stderr.write(text));
    this.#worker.on('message', (message: FromWorker) => this.#take(message));
    this.#worker.on('messageerror', (error) =>
      this.end(`An answer of its worker was lost: ${messageOf(error)}.`),
    );
    this.#worker.on('error', (error) => this.end(`Its worker failed: ${messageOf(error)}.`));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.end('Its worker ended.');
        resolve();
      });
    });
  }

  /** Rejects with RunError where the worker answers with an error, with LaneLostError where it ends. */
  call<T>(method: string, argument: unknown, transfer: readonly ArrayBuffer[] = []): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#reason !== undefined) {
        reject(new LaneLostError(this.#reason));
        return;
      }
      const call = ++this.#last;
      this.#worker.postMessage({ call, method, argument } satisfies ToWorker, transfer);
      this.#calls.set(call, { resolve: resolve as (value: unknown) => void, reject });
    });
  }

  /** Tells the function that runs to stop. */
  abort(reason: string): void {
    this.#worker.postMessage({ abort: reason } satisfies ToWorker);
  }

  /** Ends the worker at once. */
  end(reason: string): void {
    if (this.#fail(reason)) void this.#worker.terminate();
  }

  /** Lets the worker say goodbye to its host, and ends it. */
  async close(reason: string): Promise<void> {
    if (this.#fail(reason)) {
      this.#worker.postMessage('leave' satisfies ToWorker);
      const late = setTimeout(() => void this.#worker.terminate(), LEAVE_MS);
      await this.#exited;
      clearTimeout(late);
    }
    await this.#exited;
  }

  /** Whether this is why it ends: the first reason counts. */
  #fail(reason: string): boolean {
    if (this.#reason !== undefined) return false;
    this.#reason = reason;
    this.#resolveEnded(reason);
    // The listeners of `ended` run first.
    setImmediate(() => {
      for (const { reject } of this.#calls.values()) reject(new LaneLostError(reason));
      this.#calls.clear();
    });
    return true;
  }

  #take(message: FromWorker): void {
    if ('lost' in message) {
      this.end(message.lost);
      return;
    }
    if ('memory' in message) {
      this.onMemory(message.memory);
      return;
    }
    if ('gpu' in message) {
      this.onGpu(message.gpu);
      return;
    }
    const waiting = this.#calls.get(message.call);
    // A call may be answered while the worker is told to end.
    if (!waiting || this.#reason !== undefined) return;
    this.#calls.delete(message.call);
    if ('error' in message) waiting.reject(new RunError(message.error.message, message.error));
    else waiting.resolve(message.value);
  }
}
