import { deferred } from '../../link/machine/deferred.js';
import type { Clock } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import type { Definition } from '../definition/definition.js';
import { Serial } from '../run/serial.js';
import type { StepRunner } from '../run/step-runner.js';
import type { Versions } from './versions.js';

export interface ReadinessOptions {
  readonly runner: StepRunner;
  readonly versions: Pick<Versions, 'local'>;
  readonly clock: Clock;
  /** It cannot make the version ready, and tries again. Each reason is told once. */
  onProblem?(problem: string): void;
  log(message: string): void;
}

/** How long a worker waits before it tries a version again, in milliseconds. */
const REST_MS = 1000;

/**
 * Keeps the version that is committed ready on a worker, whether the worker has partitions or not. So a partition never waits
 * at a worker that cannot run it, and one that moves does not wait for models.
 */
export class Readiness {
  readonly #options: ReadinessOptions;
  /** Versions are made ready one after the other. */
  readonly #changes = new Serial();
  /** The id of the version that is committed. */
  #wanted: string | undefined;
  #ready: Definition | undefined;
  #problem: string | undefined;
  #isClosed = false;
  readonly #first = deferred<void>();

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** Resolves when a version is ready for the first time. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** Whether the version that is committed is ready, and why not. */
  get state(): { readonly isReady: boolean; readonly problem?: string } {
    const isReady = this.#ready !== undefined && this.#ready.id === this.#wanted;
    return { isReady, ...(this.#problem !== undefined && { problem: this.#problem }) };
  }

  /** Another version is committed. */
  follow(id: string): void {
    if (id === this.#wanted) return;
    this.#wanted = id;
    void this.#changes.run(() => this.#change(id));
  }

  close(): void {
    this.#isClosed = true;
  }

  /** Tries until the version is ready, or is not the one that is wanted. It never rejects. */
  async #change(id: string): Promise<void> {
    const { runner, versions, clock, onProblem, log } = this.#options;
    while (this.#wanted === id && !this.#isClosed) {
      try {
        const definition = await versions.local(id);
        await runner.prepare(definition);
        const before = this.#ready;
        this.#ready = definition;
        this.#problem = undefined;
        this.#first.resolve();
        if (before) await runner.release(before);
        return;
      } catch (error) {
        if (this.#isClosed) return;
        const problem = messageOf(error);
        if (problem !== this.#problem) {
          log(`this worker gets no partitions, and tries again: ${problem}`);
          onProblem?.(problem);
        }
        this.#problem = problem;
      }
      await new Promise<void>((resolve) => clock.after(REST_MS, resolve));
    }
  }
}
