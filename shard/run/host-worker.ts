import type { Worker } from 'node:worker_threads';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { deferred } from '../../link/machine/deferred.js';
import { packageProgram } from '../../link/machine/package-files.js';
import { startThread } from '../../link/machine/thread.js';
import { redact } from '../../proto/token.js';
import type { Done, Host, Reply, Request, WorkerStart } from './messages.js';

interface Waiting {
  readonly resolve: (done: Done) => void;
  readonly reject: (error: Error) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The shortest time limit for loading a model, in milliseconds. The runtime itself is compiled in it. */
const LOAD_MS = 120_000;
/** How long a worker may take to end its session before its thread is ended, in milliseconds. */
const CLOSE_MS = 2000;

/**
 * A thread with an ONNX Runtime and a session of its own. When its host is lost, or takes longer than `timeout`
 * milliseconds for one request of a run, all open and later requests fail.
 */
export class HostWorker implements Host {
  readonly #lost = deferred<Error>();
  readonly lost = this.#lost.promise;
  readonly #host: string;
  readonly #worker: Worker;
  readonly #timeout: number;
  readonly #waiting = new Map<number, Waiting>();
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #next = 0;

  constructor(host: string, timeout: number) {
    // Errors name the host. They must not show a token that its address may have.
    this.#host = redact(host);
    this.#timeout = timeout;
    const workerData: WorkerStart = { host, timeout };
    this.#worker = startThread(packageProgram('shard/run/worker.js'), { name: 'farlight shard', workerData });
    this.#worker.on('message', (reply: Reply) => this.#take(reply));
    this.#worker.on('error', (error) => this.#fail(error.message));
    this.#worker.on('exit', () => this.#fail('its worker has ended'));
    // The worker keeps the process alive only while a request is open.
    this.#worker.unref();
  }

  ask(request: Request): Promise<Done> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      const id = this.#next++;
      const isLoading = !['run', 'read', 'drop'].includes(request.ask);
      const timeout = isLoading ? Math.max(this.#timeout, LOAD_MS) : this.#timeout;
      const timer = setTimeout(() => this.#fail(`it took longer than ${timeout / 1000} seconds`), timeout);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#worker.ref();
      this.#worker.postMessage({ id, ...request });
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const released = new Error('the model was released');
    if (!this.#failure) {
      const timer = setTimeout(() => this.#end(released), CLOSE_MS);
      // Its thread ends next, even if it could not end its session in good order.
      await this.ask({ ask: 'close' }).catch(() => undefined);
      clearTimeout(timer);
    }
    this.#end(released);
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
    this.#end(error);
    void this.#worker.terminate();
    this.#lost.resolve(error);
  }

  /** All open and later requests fail. The first reason counts. */
  #end(reason: Error): void {
    this.#failure ??= reason;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(this.#failure);
    }
    this.#waiting.clear();
  }

  #error(reason: string): Error {
    return new Error(`host ${this.#host}: ${reason}`);
  }
}
