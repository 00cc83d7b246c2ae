import { describe, expect, it } from 'vitest';
import { GpuWatchdog, type WatchedQueue } from '#farlight/server/executor/gpu-watchdog.js';

/** A clock that a test sets. */
class FakeClock {
  time = 0;
  #waiting: { at: number; act: () => void }[] = [];
  readonly clock = {
    now: () => this.time,
    after: (ms: number, act: () => void) => void this.#waiting.push({ at: this.time + ms, act }),
  };

  /** How many callbacks are waited for. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lets time pass step by step, as a process that runs sees it. */
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
class FakeQueue implements WatchedQueue {
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

function watch(limitMs = 800) {
  const time = new FakeClock();
  const queue = new FakeQueue();
  let stuck = 0;
  const watchdog = new GpuWatchdog({
    limitMs,
    clock: time.clock,
    onStuck: () => {
      stuck += 1;
    },
  });
  return { time, queue, watchdog, stuck: () => stuck };
}

describe('the GPU watchdog', () => {
  it('tells once, at the limit, of work that is never done', async () => {
    const { time, queue, watchdog, stuck } = watch();
    watchdog.submitted(queue);
    await time.pass(799);
    expect(stuck()).toBe(0);
    await time.pass(1);
    expect(stuck()).toBe(1);
    await time.pass(5000);
    expect(stuck()).toBe(1);
    expect(time.waiting).toBe(0);
  });

  it('asks at most once for each part of the limit, however often is submitted', async () => {
    const { time, queue, watchdog, stuck } = watch();
    for (let ms = 0; ms < 8000; ms += 1) {
      for (let i = 0; i < 10; i += 1) watchdog.submitted(queue);
      await time.pass(1);
      queue.done();
    }
    expect(queue.asked).toBeLessThanOrEqual(80);
    expect(queue.asked).toBeGreaterThan(40);
    expect(stuck()).toBe(0);
  });

  it('has one question open at a time', async () => {
    const { time, queue, watchdog } = watch();
    for (let ms = 0; ms < 700; ms += 1) {
      watchdog.submitted(queue);
      await time.pass(1);
      expect(queue.open.length).toBeLessThanOrEqual(1);
    }
    expect(queue.asked).toBe(1);
  });

  it('leaves alone a GPU that is always behind, but does each thing in time', async () => {
    const { time, queue, watchdog, stuck } = watch();
    for (let round = 0; round < 20; round += 1) {
      watchdog.submitted(queue);
      await time.pass(600);
      watchdog.submitted(queue);
      queue.done();
    }
    expect(stuck()).toBe(0);
  });

  it('counts what was submitted later from when the work before it was done', async () => {
    const { time, queue, watchdog, stuck } = watch();
    watchdog.submitted(queue);
    await time.pass(150);
    watchdog.submitted(queue);
    await time.pass(600);
    queue.done();
    await time.pass(750);
    expect(stuck()).toBe(0);
    await time.pass(200);
    expect(stuck()).toBe(1);
  });

  it('does not count time in which the process did not run', async () => {
    const { time, queue, watchdog, stuck } = watch();
    watchdog.submitted(queue);
    await time.pass(150);
    await time.sleep(100_000);
    expect(stuck()).toBe(0);
    await time.pass(800);
    expect(stuck()).toBe(1);
  });

  it('watches each queue for itself', async () => {
    const { time, queue, watchdog, stuck } = watch();
    const other = new FakeQueue();
    watchdog.submitted(queue);
    for (let ms = 0; ms < 799; ms += 1) {
      watchdog.submitted(other);
      await time.pass(1);
      other.done();
    }
    expect(stuck()).toBe(0);
    await time.pass(1);
    expect(stuck()).toBe(1);
  });

  it('waits for nothing when there is no work, nor once it is stopped', async () => {
    const { time, queue, watchdog, stuck } = watch();
    expect(time.waiting).toBe(0);
    watchdog.submitted(queue);
    await time.pass(150);
    queue.done();
    await time.pass(300);
    expect(time.waiting).toBe(0);
    watchdog.submitted(queue);
    watchdog.stop();
    await time.pass(2000);
    expect(time.waiting).toBe(0);
    expect(stuck()).toBe(0);
  });
});
