import { expect, it } from 'vitest';
import { Vigil } from '#farlight/link/near/vigil.js';

/** A vigil whose clock and event loop are the test's. */
function vigil(cores = 2) {
  const looks: (() => void)[] = [];
  const time = { ms: 0 };
  const made = new Vigil({ now: () => time.ms, soon: (look) => looks.push(look), cores });
  return {
    made,
    time,
    /** Runs the event loop for so many milliseconds; returns how often it was kept from sleeping. */
    run(ms: number): number {
      let awake = 0;
      for (let passed = 0; passed < ms; passed += 0.01) {
        time.ms += 0.01;
        const look = looks.shift();
        if (look) awake += 1;
        look?.();
      }
      return awake;
    },
    /** Asks, and has the answer so many milliseconds later; returns how often the loop was kept from sleeping. */
    ask(ms: number): number {
      made.asked();
      const awake = this.run(ms);
      made.answered();
      return awake;
    },
  };
}

/** One that has had as many quick answers as it takes. */
function used() {
  const one = vigil();
  for (let time = 0; time < 32; time += 1) expect(one.ask(0.1)).toBe(0);
  return one;
}

it('sleeps until many replies came soon, and stays awake for the next ones', () => {
  const one = used();
  expect(one.ask(0.1)).toBeGreaterThanOrEqual(10);
  expect(one.run(5)).toBeLessThanOrEqual(1);
});

it('gives up on a late reply, and sleeps after several of them', () => {
  const one = used();
  for (let time = 0; time < 100; time += 1) one.ask(0.1);
  for (let time = 0; time < 5; time += 1) {
    const awake = one.ask(5);
    expect([awake > 17, awake < 23]).toEqual([true, true]);
  }
  expect(one.ask(5)).toBe(0);
  for (let time = 0; time < 20; time += 1) one.ask(0.1);
  expect(one.ask(0.1)).toBeGreaterThan(0);
});

it('sleeps if every other reply is late', () => {
  const one = used();
  for (let time = 0; time < 10; time += 1) one.ask(time % 2 ? 0.1 : 5);
  for (let time = 0; time < 100; time += 1) expect(one.ask(time % 2 ? 0.1 : 5)).toBe(0);
});

it('several requests before one reply are one vigil', () => {
  const one = used();
  for (let time = 0; time < 5; time += 1) one.made.asked();
  const awake = one.run(0.1);
  expect([awake >= 10, awake <= 12]).toEqual([true, true]);
});

it('learns nothing from replies without a request', () => {
  const one = vigil();
  for (let time = 0; time < 40; time += 1) one.made.answered();
  expect(one.ask(0.1)).toBe(0);
  const other = used();
  other.run(1000);
  other.made.answered();
  expect(other.ask(0.1)).toBeGreaterThan(0);
});

it('always sleeps on a machine with one core, which the peer needs', () => {
  const one = vigil(1);
  for (let time = 0; time < 50; time += 1) expect(one.ask(0.1)).toBe(0);
});
