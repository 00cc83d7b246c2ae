import type { WatchedQueue } from '#farlight/server/executor/limits/gpu-watchdog.js';

/** A clock that a test sets, in milliseconds. */
export class FakeTime {
  time = 0;
  #waiting: { at: number; act: () => void }[] = [];
  readonly clock = {
    now: () => this.time,
    after: (ms: number, act: () => void) => void this.#waiting.push({ at: this.time + ms, act }),
  };

  /** How many callbacks wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lets time pass step by step, as for a process that runs. */
  async pass(ms: number): Promise<void> {
    for (const end = this.time + ms; this.time < end; ) {
      this.time += 1;
      await this.#callBack();
    }
  }

  /** Lets time pass in which the process does not run. */
  async sleep(ms: number): Promise<void> {
    this.time += ms;
    await this.#callBack();
  }

  async #callBack(): Promise<void> {
    const due = this.#waiting.filter(({ at }) => at <= this.time);
    this.#waiting = this.#waiting.filter(({ at }) => at > this.time);
    for (const { act } of due) act();
    await Promise.resolve();
    await Promise.resolve();
  }
}

/** A queue whose work is done when the test says so. */
export class FakeQueue implements WatchedQueue {
  readonly open: (() => void)[] = [];
  asked = 0;

  onSubmittedWorkDone(): Promise<void> {
    this.asked += 1;
    return new Promise((resolve) => this.open.push(resolve));
  }

  done(): void {
    for (const resolve of this.open.splice(0)) resolve();
  }
}
