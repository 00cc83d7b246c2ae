import { describe, expect, it } from 'vitest';
import { FramePace, MOST_UNDER_WAY } from '#farlight/client/canvas/frames/frame-pace.js';

/** A browser whose frames come when the test wants. */
class Browser {
  readonly #requested = new Map<number, (time: number) => void>();
  #id = 0;

  request(callback: (time: number) => void): number {
    this.#requested.set(++this.#id, callback);
    return this.#id;
  }

  cancel(id: number): void {
    this.#requested.delete(id);
  }

  frame(time = 0): void {
    const callbacks = [...this.#requested.values()];
    this.#requested.clear();
    for (const callback of callbacks) callback(time);
  }
}

describe('the pace of frames', () => {
  it('frames have the pace of the browser while few are under way', () => {
    const browser = new Browser();
    const pace = new FramePace(browser, 2);
    const times: number[] = [];
    pace.began();
    pace.request((time) => times.push(time));
    browser.frame(16);
    expect(times).toEqual([16]);
  });

  it('frames have the pace of the host when many are under way: each shown frame lets one begin', () => {
    const browser = new Browser();
    const pace = new FramePace(browser, 2);
    let drawn = 0;
    const draw = () => {
      drawn += 1;
      pace.began();
      pace.request(draw);
    };
    pace.request(draw);
    for (let frame = 0; frame < 10; frame += 1) browser.frame();
    expect(drawn).toBe(2);
    for (let shown = 1; shown <= 5; shown += 1) {
      pace.ended();
      for (let frame = 0; frame < 3; frame += 1) browser.frame();
      expect(drawn).toBe(2 + shown);
    }
  });

  it('one more frame is under way if each is requested while the last one is drawn', () => {
    const browser = new Browser();
    const pace = new FramePace(browser);
    let [underWay, most] = [0, 0];
    const draw = () => {
      pace.request(draw);
      // As at the end of a frame, after its callbacks.
      pace.began();
      most = Math.max(most, ++underWay);
    };
    pace.request(draw);
    for (let round = 0; round < 20; round += 1) {
      for (let frame = 0; frame < 3; frame += 1) browser.frame();
      pace.ended();
      underWay -= 1;
    }
    expect(most).toBe(MOST_UNDER_WAY + 1);
  });

  it('a program with its own loop goes on when fewer frames are under way', async () => {
    const pace = new FramePace(new Browser(), 2);
    await pace.free();
    pace.began();
    pace.began();
    let went = 0;
    for (let who = 0; who < 2; who += 1) pace.free().then(() => went++);
    await Promise.resolve();
    expect(went).toBe(0);
    pace.ended();
    await Promise.resolve();
    expect(went).toBe(2);
    pace.ended();
    await pace.free();
  });

  it('forgets a cancelled request, whether it was held back, released, or passed to the browser', () => {
    const browser = new Browser();
    const pace = new FramePace(browser, 1);
    const called: string[] = [];
    const own = pace.request(() => called.push('own'));
    pace.began();
    const held = pace.request(() => called.push('held'));
    const released = pace.request(() => called.push('released'));
    pace.request(() => called.push('kept'));
    pace.cancel(own);
    pace.cancel(held);
    pace.ended();
    pace.cancel(released);
    browser.frame();
    expect(called).toEqual(['kept']);
    expect(new Set([own, held, released]).size).toBe(3);
  });
});
