import { beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '#farlight/link/machine/deferred.js';
import { WriteSchedule } from '#farlight/server/contents/write-schedule.js';
import { FakeTime } from '../support/time/fake-time.js';

let time: FakeTime;
let schedule: WriteSchedule;
beforeEach(() => {
  time = new FakeTime();
  schedule = new WriteSchedule({ clock: time.clock, quietMs: 250, mostMs: 5000, mostBytes: 1000 });
});

/** Asks for a turn for a content that has waited since then, and notes when the turn came. */
function turn(since = time.time): { readonly came: number | undefined } {
  const asked: { came: number | undefined } = { came: undefined };
  void schedule.next(since).then(() => {
    asked.came = time.time;
  });
  return asked;
}

/** A command of the program runs every 10 ms. */
async function work(ms: number): Promise<void> {
  for (let done = 0; done < ms; done += 10) {
    schedule.worked();
    await time.pass(10);
  }
}

describe('a content that waits', () => {
  it('is written when nothing has come from the program for a while', async () => {
    schedule.worked();
    const asked = turn();
    await work(1000);
    expect(asked.came).toBeUndefined();
    const last = time.time - 10;
    await time.pass(1000);
    expect(asked.came).toBe(last + 250);
  });

  it('is written right after the last one while the program rests, and not when it goes on', async () => {
    schedule.worked();
    await time.pass(250);
    for (let count = 0; count < 3; count += 1) {
      const asked = turn(0);
      await time.sleep(0);
      expect(asked.came).toBe(250);
    }
    schedule.worked();
    const asked = turn(0);
    await time.pass(249);
    expect(asked.came).toBeUndefined();
    await time.pass(1);
    expect(asked.came).toBe(500);
  });

  it('is written at once when the session has ended', async () => {
    schedule.worked();
    const asked = turn();
    await time.pass(5);
    schedule.rested();
    await time.sleep(0);
    expect(asked.came).toBe(5);
  });

  it('waits for a program that never rests only so long', async () => {
    schedule.worked();
    const asked = turn();
    await work(6000);
    expect(asked.came).toBe(5000);
  });

  it('has waited since it came, even where the last one took long', async () => {
    schedule.worked();
    turn(0);
    await work(5000);
    const second = turn(10);
    await work(20);
    expect(second.came).toBe(5010);
  });

  it('is written at once while waiting contents take too much memory', async () => {
    schedule.worked();
    const first = turn();
    schedule.takes(1000);
    await work(20);
    expect(first.came).toBeUndefined();
    schedule.takes(1001);
    await time.sleep(0);
    expect(first.came).toBe(20);
    schedule.takes(900);
    const second = turn();
    await work(100);
    expect(second.came).toBeUndefined();
  });

  it('is written at once where somebody waits for it, and a later one is not', async () => {
    const all = deferred<void>();
    schedule.worked();
    const first = turn();
    schedule.hurry(all.promise);
    await time.sleep(0);
    expect(first.came).toBe(0);
    schedule.worked();
    const second = turn();
    await time.sleep(0);
    expect(second.came).toBe(0);
    all.resolve();
    await time.sleep(0);
    schedule.worked();
    const third = turn();
    await work(100);
    expect(third.came).toBeUndefined();
  });

  it('has at most one timer, however many commands run', async () => {
    schedule.worked();
    turn();
    for (let count = 0; count < 100; count += 1) {
      schedule.worked();
      schedule.takes(count);
      await time.pass(1);
    }
    expect(time.waiting).toBe(1);
  });
});
