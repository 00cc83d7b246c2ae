import { monotonicNow, setImmediate, setTimeout } from '../../link/machine/clock.js';

export interface GpuPollsOptions {
  /** Milliseconds of any steady clock. */
  now?(): number;
  /** Calls back when the event loop has read its input once. */
  soon?(act: () => void): void;
  /** Calls back after a millisecond or more. The event loop runs meanwhile. */
  later?(act: () => void): void;
  /** Stops this thread for so many milliseconds, or longer. The event loop does not run meanwhile. */
  sleep?(ms: number): void;
}

/**
 * How late an answer of the GPU may be noticed, as a part of the time that it took. Fewer polls make a software GPU
 * faster, because it computes on the core that polls.
 */
const LATE = { hardware: 1 / 32, software: 1 / 8 } as const;
/** How long the thread sleeps at least and at most, in milliseconds. */
const SLEEP_MS = { least: 0.05, most: 0.25 } as const;
/** How late a timer may be, in milliseconds. Once an answer may be as late, a timer is precise enough. */
const TIMER_LATE_MS = 2;
/** How many sleeps are measured. Other work of the machine makes some of them longer. */
const TRIALS = 3;

/**
 * Says when to poll the GPU. In WebGPU the implementation reports when work is done, but Dawn in Node must be polled.
 * Polling without a pause takes a core, which a software GPU or another session needs. So the longer an answer takes, the
 * less often this polls: an answer is late by a small part of its time.
 */
export class GpuPolls {
  readonly #now: () => number;
  readonly #soon: (act: () => void) => void;
  readonly #later: (act: () => void) => void;
  readonly #sleep: (ms: number) => void;
  /** How much longer than asked the best sleep takes. The clocks of some systems tick every 15 ms. */
  readonly #oversleepMs: number;
  /** When the program may have begun to wait for its newest answer. */
  #since: number;
  #isLooking = false;
  #late: number = LATE.hardware;

  constructor({
    now = monotonicNow,
    soon = setImmediate,
    later = (act) => void setTimeout(act, 1),
    sleep = sleepThread,
  }: GpuPollsOptions = {}) {
    this.#now = now;
    this.#soon = soon;
    this.#later = later;
    this.#sleep = sleep;
    this.#oversleepMs = Math.min(...Array.from({ length: TRIALS }, () => this.#trySleep()));
    this.#since = now();
  }

  /** Whether the GPU is a software GPU. */
  set isSoftware(isSoftware: boolean) {
    this.#late = isSoftware ? LATE.software : LATE.hardware;
  }

  /** The program asked for something, or got a reply and may ask again. So it wants its next answer soon. */
  stirred(): void {
    this.#since = this.#now();
  }

  /** Calls `look`, which polls the GPU once, when it is time to. */
  next(look: () => void): void {
    // A call from within a look goes on waiting. Any other call begins to wait.
    if (!this.#isLooking) this.stirred();
    const waited = this.#now() - this.#since;
    const sleepMs = Math.min(waited * this.#late - this.#oversleepMs, SLEEP_MS.most);
    if (waited * this.#late >= TIMER_LATE_MS) this.#later(() => this.#look(look));
    else if (sleepMs < SLEEP_MS.least) this.#soon(() => this.#look(look));
    else this.#soon(() => this.#look(look, sleepMs));
  }

  /** Runs after the event loop has read its input, so that input waits for one sleep at most. */
  #look(look: () => void, sleepMs = 0): void {
    if (sleepMs > 0) this.#sleep(sleepMs);
    this.#isLooking = true;
    try {
      look();
    } finally {
      this.#isLooking = false;
    }
  }

  #trySleep(): number {
    const from = this.#now();
    this.#sleep(SLEEP_MS.least);
    return this.#now() - from - SLEEP_MS.least;
  }
}

const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Node's timers cannot wait for a part of a millisecond. */
function sleepThread(ms: number): void {
  Atomics.wait(cell, 0, 0, ms);
}

/**
 * Makes Dawn poll when the returned object says so. While one of Dawn's promises is open, npm `webgpu` gives a native
 * function to the global `setImmediate` in each turn of the event loop. That function polls, and does the same again
 * (ScheduleProcessEvents in Dawn's src/dawn/node/binding/AsyncRunner.cpp). So this replaces that global. Use it only in
 * an executor: there Dawn alone calls the global, since Farlight takes timers from link/machine/clock.ts.
 */
export function paceDawn(): GpuPolls {
  const { setImmediate } = globalThis;
  const polls = new GpuPolls({ soon: setImmediate });
  const paced = (act: (...args: unknown[]) => void, ...args: unknown[]) => {
    if (args.length > 0) return setImmediate(act, ...args);
    polls.next(act);
    return undefined;
  };
  globalThis.setImmediate = Object.assign(paced, setImmediate) as typeof setImmediate;
  return polls;
}
