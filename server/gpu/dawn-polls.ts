import { monotonicNow, setImmediate, setTimeout } from '../../link/machine/clock.js';

export interface GpuPollsOptions {
  /** Milliseconds of any steady clock. */
  now?(): number;
  /** Calls back when the event loop has looked once for what has come. */
  soon?(act: () => void): void;
  /** Calls back after a millisecond or more; what comes meanwhile is heard. */
  later?(act: () => void): void;
  /** Stops this thread for so many milliseconds, which may be a part of one, or more. Nothing is heard meanwhile. */
  sleep?(ms: number): void;
}

/**
 * What an answer of the GPU may come late, as a part of the time that it was waited for. A software GPU is the faster
 * for each look that it is spared: what looks is a core of its own.
 */
const LATE = { hardware: 1 / 32, software: 1 / 8 } as const;
/** The shortest that the thread sleeps, and the longest, in milliseconds. */
const SLEEP_MS = { least: 0.05, most: 0.25 } as const;
/** From then on a timer, which may take two milliseconds, is precise enough. */
const TIMER_MS = 2 / LATE.hardware;
/** How often it is tried what a sleep takes: other work of the machine makes single ones longer. */
const TRIALS = 3;

/**
 * When it is looked whether the GPU is done with what somebody waits for. WebGPU has the implementation say so; Dawn
 * in Node has to be asked. Without a pause, that takes a core, which a software GPU computes on, and of which a host
 * with many sessions has too few. So what has been waited for longer is looked for less often, and nothing comes later
 * than by a small part of what it took.
 */
export class GpuPolls {
  readonly #now: () => number;
  readonly #soon: (act: () => void) => void;
  readonly #later: (act: () => void) => void;
  readonly #sleep: (ms: number) => void;
  /** What a sleep takes longer than it should, at best: some systems' clocks tick every 15 ms. */
  readonly #oversleepMs: number;
  /** Since when the youngest answer may be waited for. */
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

  /** What is looked at is a software GPU, or is not. */
  set isSoftware(isSoftware: boolean) {
    this.#late = isSoftware ? LATE.software : LATE.hardware;
  }

  /** The program asked for something, or was answered and may ask next: what it waits for is wanted soon. */
  stirred(): void {
    this.#since = this.#now();
  }

  /** Calls `look`, which asks the GPU, when it is time to. What is still waited for then is for another call of this. */
  next(look: () => void): void {
    // Only what goes on is asked for by the look before.
    if (!this.#isLooking) this.stirred();
    const waited = this.#now() - this.#since;
    const sleepMs = Math.min(waited * this.#late - this.#oversleepMs, SLEEP_MS.most);
    if (waited >= TIMER_MS) this.#later(() => this.#look(look));
    else if (sleepMs < SLEEP_MS.least) this.#soon(() => this.#look(look));
    else this.#soon(() => this.#look(look, sleepMs));
  }

  /** Behind what the event loop had to read, so that what came meanwhile waits for one sleep at most. */
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

/** Node's timers take no part of a millisecond. */
function sleepThread(ms: number): void {
  Atomics.wait(cell, 0, 0, ms);
}

/**
 * Has Dawn look when the returned says so. While a promise of its is open, npm `webgpu` hands a native function to the
 * global `setImmediate` in each turn of the event loop (ScheduleProcessEvents in Dawn's
 * src/dawn/node/binding/AsyncRunner.cpp), which processes events and does the same again: so that global is what can be
 * replaced. Functions of JavaScript pass through. For a process that has nothing but Dawn in it.
 */
export function paceDawn(): GpuPolls {
  const { setImmediate } = globalThis;
  const polls = new GpuPolls({ soon: setImmediate });
  const paced = (act: (...args: unknown[]) => void, ...args: unknown[]) => {
    if (args.length > 0 || !isNative(act)) return setImmediate(act, ...args);
    polls.next(act);
    return undefined;
  };
  globalThis.setImmediate = Object.assign(paced, setImmediate) as typeof setImmediate;
  return polls;
}

const textOf = Function.prototype.toString;
/** As ECMA-262 spells what has no source text; a bound function has a name besides. */
const NATIVE = textOf.call(Math.max).replace('max', '');

function isNative(act: (...args: never[]) => unknown): boolean {
  return act.name === '' && textOf.call(act) === NATIVE;
}
