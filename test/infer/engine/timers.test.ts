import { expect, it } from 'vitest';
import { Dispatcher } from '#farlight/infer/engine/dispatcher.js';
import { Unit } from '#farlight/infer/engine/request/unit.js';
import { Scheduler } from '#farlight/infer/schedule/scheduler.js';
import { EventTime } from './event-time.js';

/** A dispatcher whose scheduler wants to look at this time again, and the lengths of the timers that are open. */
function looking(lookAt: (now: number) => number) {
  const time = new EventTime();
  const open: number[] = [];
  class Looking extends Scheduler {
    override get lookAt(): number {
      return lookAt(time.now());
    }
  }
  const clock = {
    now: () => time.now(),
    after: (ms: number, act: () => void) => {
      open.push(ms);
      time.after(ms, () => {
        open.splice(open.indexOf(ms), 1);
        act();
      });
    },
  };
  const dispatcher = new Dispatcher({
    hosts: [],
    clock,
    callLimit: 1000,
    laneLimit: 1000,
    log: () => {},
    scheduler: new Looking(),
  });
  // It decides after each event.
  const event = () => dispatcher.withdraw(new Unit('m', 'm', 'gpu', { file: 'm' }, undefined));
  return { time, open, event };
}

it('a deadline that is years away takes no timer that Node cannot set', async () => {
  const { time, open, event } = looking(() => 1e13);
  event();
  await time.pass(0);
  expect(open).toHaveLength(1);
  expect(open[0]).toBeLessThan(2 ** 31);
});

it('a thousand looks before a late deadline leave one timer for it', async () => {
  let isSoon = false;
  const { time, open, event } = looking((now) => (isSoon ? now + 1 : 1e6));
  for (let look = 0; look < 1000; look += 1) {
    isSoon = true;
    event();
    await time.pass(0.5);
    isSoon = false;
    await time.pass(1);
  }
  expect(open).toHaveLength(1);
});
