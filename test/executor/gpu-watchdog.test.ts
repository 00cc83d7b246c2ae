import { describe, expect, it } from 'vitest';
import { GpuWatchdog } from '#farlight/server/executor/limits/gpu-watchdog.js';
import { FakeQueue, FakeTime } from '../support/time/fake-time.js';

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
  it('reports work that is never done once, at the limit', async () => {
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

  it('asks at most once in each part of the limit, however many submits there are', async () => {
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

  it('asks one question at a time', async () => {
    const { time, queue, watchdog } = watch();
    for (let ms = 0; ms < 700; ms += 1) {
      watchdog.submitted(queue);
      await time.pass(1);
      expect(queue.open.length).toBeLessThanOrEqual(1);
    }
    expect(queue.asked).toBe(1);
  });

  it('accepts a GPU that is always behind and finishes each submit in time', async () => {
    const { time, queue, watchdog, stuck } = watch();
    for (let round = 0; round < 20; round += 1) {
      watchdog.submitted(queue);
      await time.pass(600);
      watchdog.submitted(queue);
      queue.done();
    }
    expect(stuck()).toBe(0);
  });

  it('counts the time of a later submit from the end of the work before it', async () => {
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

  it('watches each queue by itself', async () => {
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

  it('sets no timer without work, or once it is stopped', async () => {
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
