import { describe, expect, it } from 'vitest';
import { GpuWatchdog } from '#farlight/server/executor/limits/gpu-watchdog.js';
import { FakeQueue, FakeTime } from '../support/fake-time.js';

function watch(limitMs = 800) {
  const time = new FakeTime();
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
