import { expect, it } from 'vitest';
import { Vigil } from '#farlight/link/vigil.js';

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

it('sleeps for the first answer, and stays awake for those behind one that came soon', () => {
  const one = vigil();
  expect(one.ask(0.1)).toBe(0);
  expect(one.ask(0.1)).toBeGreaterThanOrEqual(10);
  expect(one.run(5)).toBeLessThanOrEqual(1);
});

it('gives up on an answer that takes longer, and sleeps for the next one too', () => {
  const one = vigil();
  one.ask(0.1);
  const awake = one.ask(50);
  expect([awake > 12, awake < 18]).toEqual([true, true]);
  expect(one.ask(0.1)).toBe(0);
  expect(one.ask(0.1)).toBeGreaterThan(0);
});

it('is one vigil where much is asked before an answer comes', () => {
  const one = vigil();
  one.ask(0.1);
  for (let time = 0; time < 5; time += 1) one.made.asked();
  const awake = one.run(0.1);
  expect([awake >= 10, awake <= 12]).toEqual([true, true]);
});

it('learns nothing from what comes unasked', () => {
  const one = vigil();
  one.made.answered();
  expect(one.ask(0.1)).toBe(0);
  one.run(1000);
  one.made.answered();
  expect(one.ask(0.1)).toBeGreaterThan(0);
});

it('always sleeps where there is one core, which the peer needs', () => {
  const one = vigil(1);
  for (let time = 0; time < 5; time += 1) expect(one.ask(0.1)).toBe(0);
});
