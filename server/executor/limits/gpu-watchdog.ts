/** Time, as the watchdog sees it. */
import { monotonicNow, setTimeout } from '../../../link/machine/clock.js';
export interface Clock {
  /** Milliseconds of any steady clock. */
  now(): number;
  /** Calls back once, after so many milliseconds or more. */
  after(ms: number, act: () => void): void;
}

/** What the watchdog asks: a GPUQueue. */
export interface WatchedQueue {
  /** Settles when the GPU is done with everything that was submitted before. */
  onSubmittedWorkDone(): Promise<unknown>;
}

export interface GpuWatchdogOptions {
  /** How long the GPU may take for what was submitted, in milliseconds. */
  limitMs: number;
  clock: Clock;
  /** The GPU has taken longer. Called once at most; nothing is watched any more. */
  onStuck(): void;
}

/** What is known of a queue's work. */
interface Watched {
  /** When the first submit came that no probe covers. */
  since: number | undefined;
  /** The probe that has not been answered; what was submitted before it is not known to be done. */
  probe: Promise<unknown> | undefined;
  /** How long the GPU has been busy with what the probe covers, in milliseconds. */
  busyMs: number;
}

/** In so many parts of the limit it is looked whether the GPU is done. */
const LOOKS = 8;

/**
 * Notices work that the GPU does not finish, such as a shader that loops for ever.
 *
 * A submit costs a look at the clock where none came since the last look, and nothing else. The queue is asked
 * only about work that may have been there for a part of the limit already, and one question at a time: while a
 * question is open, the GPU is polled for the answer.
 *
 * Time in which this process did not run (it compiled a shader, or the machine slept) does not count, since the
 * answer may be there and not read yet.
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
      watched = { since: undefined, probe: undefined, busyMs: 0 };
      this.#queues.set(queue, watched);
    }
    if (watched.since !== undefined) return;
    watched.since = this.#options.clock.now();
    if (!this.#looking) this.#lookLater(watched.since);
  }

  /** Nothing is watched any more. */
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
      if (watched.probe) watched.busyMs += passed;
      else if (watched.since !== undefined)
        this.#probe(queue, watched, Math.min(now - watched.since, passed));
      else this.#queues.delete(queue);
      busy ||= watched.probe !== undefined;
      if (watched.busyMs < this.#options.limitMs) continue;
      this.stop();
      this.#options.onStuck();
      return;
    }
    if (busy) this.#lookLater(now);
  }

  #probe(queue: WatchedQueue, watched: Watched, busyMs: number): void {
    watched.since = undefined;
    watched.busyMs = busyMs;
    const probe = queue.onSubmittedWorkDone();
    watched.probe = probe;
    const answered = () => {
      watched.probe = undefined;
      watched.busyMs = 0;
      // What came after the probe had to wait for what came before it.
      if (watched.since !== undefined) watched.since = this.#options.clock.now();
    };
    probe.then(answered, answered);
  }
}

/** The time of this process; nothing that waits for it keeps the process alive. */
export const CLOCK: Clock = {
  now: monotonicNow,
  after: (ms, act) => void setTimeout(act, ms).unref(),
};

/** Why a session ends whose GPU did not finish, and what to do; `limitMs` is what it was given. */
export function stuckSentence(limitMs: number): string {
  return (
    `the GPU did not finish within ${limitMs / 1000} seconds what the program submitted, and the host ended the session; ` +
    `see whether a shader loops for ever, submit less at a time, or have the host started with a larger --gpu-seconds`
  );
}
