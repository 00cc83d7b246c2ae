import { Worker } from 'node:worker_threads';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { redact } from '../../proto/token.js';
import type { Done, Reply, Request, WorkerStart } from './messages.js';

interface Waiting {
  readonly resolve: (done: Done) => void;
  readonly reject: (error: Error) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** How long a worker may take to end its session before its thread is ended, in milliseconds. */
const CLOSE_MS = 2000;

/**
 * A host as the client has it: a thread with an ONNX Runtime and a session of its own. What it is asked is answered in
 * order. When the host is lost, or takes longer than `timeout` milliseconds, all that is asked fails, and so does all
 * that is asked later.
 */
export class HostWorker {
  readonly host: string;
  /** Resolves with an Error once the host is lost. It stays pending if the worker is closed before. */
  readonly lost: Promise<Error>;
  readonly #worker: Worker;
  readonly #timeout: number;
  readonly #waiting = new Map<number, Waiting>();
  #onLost: (error: Error) => void = () => undefined;
  #failure: Error | undefined;
  #next = 0;

  constructor(host: string, timeout: number) {
    this.host = host;
    this.#timeout = timeout;
    this.lost = new Promise((resolve) => {
      this.#onLost = resolve;
    });
    const workerData: WorkerStart = { host };
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
    this.#worker.on('message', (reply: Reply) => this.#take(reply));
    this.#worker.on('error', (error) => this.#fail(error.message));
    this.#worker.on('exit', () => this.#fail('its worker has ended'));
    // Only while something is asked does the worker keep the process alive.
    this.#worker.unref();
  }

  ask(request: Request): Promise<Done> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      const id = this.#next++;
      const timer = setTimeout(
        () => this.#fail(`it took longer than ${this.#timeout / 1000} seconds`),
        this.#timeout,
      );
      this.#waiting.set(id, { resolve, reject, timer });
      this.#worker.ref();
      this.#worker.postMessage({ id, ...request });
    });
  }

  /** Ends the session and the thread. It resolves after some seconds at the latest. */
  async close(): Promise<void> {
    if (!this.#failure) {
      const timer = setTimeout(() => this.#fail('the model was released'), CLOSE_MS);
      await this.ask({ ask: 'close' }).catch(() => undefined);
      clearTimeout(timer);
      this.#failure ??= new Error('the model was released');
    }
    await this.#worker.terminate();
  }

  #take(reply: Reply): void {
    if ('lost' in reply) {
      this.#fail(reply.lost);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (!waiting) return;
    clearTimeout(waiting.timer);
    if ('done' in reply) waiting.resolve(reply.done);
    else waiting.reject(this.#error(reply.failed));
  }

  #fail(reason: string): void {
    if (this.#failure) return;
    const error = this.#error(reason);
    this.#failure = error;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
    void this.#worker.terminate();
    this.#onLost(error);
  }

  /** A token in an address is nobody's to read. */
  #error(reason: string): Error {
    return new Error(`host ${redact(this.host)}: ${reason}`);
  }
}
