import { describe, expect, it, onTestFinished } from 'vitest';
import { FrameClock } from '#farlight/client/canvas/frames/frame-clock.js';

/** A clock whose time the test moves, starting between two frames. */
function clockAt(start: number) {
  let time = start;
  let timers: { at: number; callback: () => void }[] = [];
  const ended: number[] = [];
  let tasks: (() => void)[] = [];
  const clock = new FrameClock(
    {
      now: () => time,
      setTimeout(callback, ms) {
        const timer = { at: time + ms, callback };
        timers.push(timer);
        return timer;
      },
      clearTimeout(timer) {
        timers = timers.filter((each) => each !== timer);
      },
      whenTaskEnds(callback) {
        tasks.push(callback);
      },
    },
    () => ended.push(time),
  );
  const endTask = () => {
    const due = tasks;
    tasks = [];
    for (const callback of due) callback();
  };
  /** Each task ends before time passes, unless the test says otherwise. */
  const pass = (ms: number, endsTasks = true) => {
    for (const end = time + ms; time < end; ) {
      time += 1;
      const due = timers.filter(({ at }) => at <= time);
      timers = timers.filter(({ at }) => at > time);
      for (const { callback } of due) callback();
      if (endsTasks) endTask();
    }
  };
  return { clock, ended, pass, endTask, timers: () => timers.length };
}

describe('the frames of a process without a screen', () => {
  it('frames come 60 times a second while they are requested', () => {
    const { clock, ended, pass, timers } = clockAt(1005);
    let frames = 0;
    const draw = () => {
      frames += 1;
      if (frames < 60) clock.request(draw);
    };
    clock.request(draw);
    pass(900);
    expect(frames).toBeGreaterThan(45);
    expect(frames).toBeLessThan(57);
    pass(200);
    expect(frames).toBe(60);
    expect(ended).toHaveLength(60);
    expect(timers()).toBe(0);
  });

  it('a frame calls all requests with the same time, and then ends', () => {
    const { clock, ended, pass } = clockAt(0);
    const calls: string[] = [];
    const ids = ['a', 'b'].map((name) => clock.request((time) => calls.push(`${name} ${time}`)));
    pass(20);
    expect(calls).toEqual(['a 1', 'b 1']);
    expect(ended).toEqual([1]);
    expect(new Set(ids).size).toBe(2);
  });

  it('a frame does not begin before the last one has ended, however long that takes', () => {
    const { clock, ended, pass, endTask } = clockAt(0);
    let frames = 0;
    const draw = () => {
      frames += 1;
      clock.request(draw);
    };
    clock.request(draw);
    pass(100, false);
    expect([frames, ended]).toEqual([1, []]);
    endTask();
    expect([frames, ended]).toEqual([1, [100]]);
    pass(1, false);
    expect(frames).toBe(2);
  });

  it('a cancelled request is not called, even in the same frame, and keeps no timer', () => {
    const { clock, pass, timers } = clockAt(0);
    const calls: string[] = [];
    clock.cancel(clock.request(() => calls.push('cancelled')));
    expect(timers()).toBe(0);
    let later = 0;
    clock.request(() => clock.cancel(later));
    later = clock.request(() => calls.push('cancelled in its frame'));
    clock.request(() => calls.push('called'));
    pass(20);
    expect(calls).toEqual(['called']);
    expect(timers()).toBe(0);
  });

  it('frames go on if a callback throws, and the program gets the exception', async () => {
    const { clock, ended, pass } = clockAt(0);
    const caught = new Promise((resolve) => {
      const others = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException').once('uncaughtException', resolve);
      onTestFinished(() => {
        process.removeAllListeners('uncaughtException');
        for (const other of others) process.on('uncaughtException', other);
      });
    });
    let called = false;
    clock.request(() => {
      throw new Error('of the program');
    });
    clock.request(() => {
      called = true;
    });
    pass(20);
    expect([called, ended.length]).toEqual([true, 1]);
    expect(await caught).toMatchObject({ message: 'of the program' });
  });

  it('rejects a request that is not a function', () => {
    expect(() => clockAt(0).clock.request('draw' as never)).toThrow(TypeError);
  });
});
