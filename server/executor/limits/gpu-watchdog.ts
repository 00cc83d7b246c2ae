import type { Clock } from '../../../link/machine/timer.js';

/** The part of a GPUQueue that says when its work is done. */
export interface WatchedQueue {
  /** Settles when the GPU is done with everything that was submitted before the call. */
  onSubmittedWorkDone(): Promise<unknown>;
}

export interface GpuWatchdogOptions {
  /** How long the GPU may take for submitted work, in milliseconds. */
  limitMs: number;
  clock: Clock;
  /** The GPU has taken longer. Called once at most, and then the watchdog has stopped. */
  onStuck(): void;
}

/** A queue's work. */
interface Watched {
  /** When the first submit came that no question covers. */
  since: number | undefined;
  /** The open question whether the work that was submitted before it is done. */
  question: Promise<unknown> | undefined;
  /** How long the GPU has been busy with the work that the question covers, in milliseconds. */
  busyMs: number;
}

/** How often the watchdog looks within the limit. */
const LOOKS = 8;

/**
 * Notices work that the GPU does not finish, such as a shader with an endless loop.
 *
 * The first submit since the last look reads the clock, and other submits cost nothing. While a question to the queue is
 * open, the GPU is polled. So there is one question at a time, and only about work that was there at a look.
 *
 * Time counts only while this process runs. While it compiles a shader, or the machine sleeps, the reply may be there and
 * not read yet.
 */
export class GpuWatchdog {
  readonly #options: GpuWatchdogOptions;
  readonly #queues = new Map<WatchedQueue, Watched>();
  #looking = false;
  #stopped = false;
  #lookedAt = 0;

  constructor(options: GpuWatchdogOptions) {
    this.#options = options;
  }

  /** The queue was given work. */
  submitted(queue: WatchedQueue): void {
    let watched = this.#queues.get(queue);
    if (!watched) {
      watched = { since: undefined, question: undefined, busyMs: 0 };
      this.#queues.set(queue, watched);
    }
    if (watched.since !== undefined) return;
    watched.since = this.#options.clock.now();
    if (!this.#looking) this.#lookLater(watched.since);
  }

  /** Stops watching. */
  stop(): void {
    this.#stopped = true;
    this.#queues.clear();
  }

  #lookLater(now: number): void {
    this.#looking = true;
    this.#lookedAt = now;
    this.#options.clock.after(this.#stepMs, () => this.#look());
  }

  get #stepMs(): number {
    return this.#options.limitMs / LOOKS;
  }

  #look(): void {
    this.#looking = false;
    if (this.#stopped) return;
    const now = this.#options.clock.now();
    const passed = Math.min(now - this.#lookedAt, 2 * this.#stepMs);
    let busy = false;
    for (const [queue, watched] of this.#queues) {
      if (watched.question) watched.busyMs += passed;
      else if (watched.since !== undefined) this.#ask(queue, watched, Math.min(now - watched.since, passed));
      else this.#queues.delete(queue);
      busy ||= watched.question !== undefined;
      if (watched.busyMs < this.#options.limitMs) continue;
      this.stop();
      this.#options.onStuck();
      return;
    }
    if (busy) this.#lookLater(now);
  }

  #ask(queue: WatchedQueue, watched: Watched, busyMs: number): void {
    watched.since = undefined;
    watched.busyMs = busyMs;
    const question = queue.onSubmittedWorkDone();
    watched.question = question;
    const answered = () => {
      watched.question = undefined;
      watched.busyMs = 0;
      // The work that came after the question had to wait for the work before it.
      if (watched.since !== undefined) watched.since = this.#options.clock.now();
    };
    question.then(answered, answered);
  }
}

/** Says why the session ends, and what to do. `limitMs` is how long the GPU was given. */
export function stuckSentence(limitMs: number): string {
  return (
    `the GPU did not finish the program's work within ${limitMs / 1000} seconds, and the host ended the session; ` +
    `look for a shader with an endless loop, submit less at a time, or start the host with a larger --gpu-seconds`
  );
}
