import { describe, expect, it, vi } from 'vitest';
import { Mappings } from '#farlight/server/executor/reuse/open-device.js';

/** A promise that counts how often it is waited for. */
class Counted extends Promise<void> {
  static waits = 0;
  // biome-ignore lint/suspicious/noThenProperty: what waits for a promise calls this
  override then: Promise<void>['then'] = (...given) => {
    Counted.waits += 1;
    return super.then(...given);
  };
}

describe("a device's mappings", () => {
  it('have settled when each earlier mapping has settled, or failed', async () => {
    const mappings = new Mappings();
    const order: string[] = [];
    let first!: () => void;
    let second!: () => void;
    mappings.add(new Promise<void>((resolve) => (first = resolve)).then(() => order.push('first')));
    const one = mappings.settled().then(() => order.push('one'));
    mappings.add(
      new Promise<void>((_, reject) => (second = reject as () => void)).catch(() => order.push('second')),
    );
    const two = mappings.settled().then(() => order.push('two'));
    second();
    await null;
    first();
    await Promise.all([one, two]);
    expect(order).toEqual(['second', 'first', 'one', 'two']);
  });

  it('resolve waiting calls in their order, whichever mapping settles first', async () => {
    const mappings = new Mappings();
    const order: number[] = [];
    const asked: Promise<unknown>[] = [];
    const ends: (() => void)[] = [];
    for (let number = 0; number < 20; number += 1) {
      if (number % 3 === 0) mappings.add(new Promise<void>((resolve) => ends.unshift(resolve)));
      asked.push(mappings.settled().then(() => order.push(number)));
    }
    for (const end of ends) end();
    await Promise.all(asked);
    expect(order).toEqual(asked.map((_, number) => number));
  });

  it('are forgotten as they settle, where others are always under way and nobody waits', async () => {
    const mappings = new Mappings();
    let end = () => {};
    for (let number = 0; number < 1000; number += 1) {
      const before = end;
      mappings.add(new Promise<void>((resolve) => (end = resolve)));
      before();
      await null;
    }
    const waitedFor = vi.spyOn(Promise, 'allSettled');
    const all = mappings.settled();
    const [promises] = waitedFor.mock.calls[0] as unknown as [unknown[]];
    waitedFor.mockRestore();
    expect(promises.length).toBe(2);
    end();
    await all;
  });

  it('are waited for once each, however many calls wait', async () => {
    const mappings = new Mappings();
    const COUNT = 1000;
    const ends: (() => void)[] = [];
    Counted.waits = 0;
    for (let number = 0; number < COUNT; number += 1) {
      mappings.add(new Counted((resolve) => ends.push(resolve)));
      void mappings.settled();
    }
    for (const end of ends) end();
    await mappings.settled();
    expect(Counted.waits).toBeLessThanOrEqual(3 * COUNT);
  });
});
