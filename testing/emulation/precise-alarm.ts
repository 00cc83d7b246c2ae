import { Worker } from 'node:worker_threads';
import { native } from '../../link/machine/globals.js';
import { packageProgram } from '../../link/machine/package-files.js';

/** Milliseconds of the machine's monotonic clock, which all threads share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The layout of the alarm's shared memory. */
export const ALARM = {
  /** 64 bit: when to wake, in nanoseconds of the monotonic clock; 0 for never, -1 to end. */
  deadline: 0,
  /** 32 bit: changes with each change of the deadline; the thread sleeps on it. */
  change: 2,
  bytes: 16,
} as const;

/**
 * Calls back at a time that is precise to about 0.1 ms. Node's own timers are precise to 1 or 2 ms, and a
 * loop of setImmediate would keep a core busy. So a thread sleeps in Atomics.wait, which the kernel's
 * high-resolution timer wakes, and sends a message here.
 */
export class PreciseAlarm {
  readonly #deadline: BigInt64Array;
  readonly #change: Int32Array;
  readonly #thread: Worker;
  readonly #ended: Promise<unknown>;
  #at = Infinity;

  constructor(ring: () => void) {
    const memory = new SharedArrayBuffer(ALARM.bytes);
    this.#deadline = new BigInt64Array(memory, 0, 1);
    this.#change = new Int32Array(memory);
    this.#thread = new Worker(packageProgram('testing/emulation/alarm-thread.js'), {
      workerData: memory,
      execArgv: [],
    });
    this.#ended = new native.Promise((resolve) => this.#thread.once('exit', resolve));
    this.#thread.on('message', () => {
      if (this.#at === -Infinity) return;
      this.#at = Infinity;
      ring();
    });
  }

  /**
   * Rings at this time (see monotonicMs), or earlier if an earlier time was set before: then set it again.
   */
  set(at: number): void {
    // Waking the thread for a later time would cost as much as letting it ring.
    if (at >= this.#at) return;
    this.#at = at;
    this.#wake(BigInt(Math.max(1, Math.round(at * 1e6))));
  }

  async close(): Promise<void> {
    // No time is earlier, so it is never set again.
    this.#at = -Infinity;
    this.#wake(-1n);
    await this.#ended;
  }

  #wake(deadline: bigint): void {
    Atomics.store(this.#deadline, ALARM.deadline, deadline);
    Atomics.add(this.#change, ALARM.change, 1);
    Atomics.notify(this.#change, ALARM.change);
  }
}
