import { expect, it } from 'vitest';
import { sayGoodbye } from '#farlight/client/transport/goodbye.js';

/** A link that needs this many turns until everything has left; each turn takes a millisecond. */
function leaving(name: string, turns: number, log: string[], clock: { ms: number }) {
  let left = turns;
  return {
    close: () => void log.push(`${name} closes`),
    leave: () => {
      clock.ms += 1;
      left -= 1;
      if (left === 0) log.push(`${name} has left`);
      return left <= 0;
    },
  };
}

it('closes all links of an ending process before waiting for any, and no link waits for another', () => {
  const clock = { ms: 7 };
  const log: string[] = [];
  const links = [
    leaving('a stopped host', Number.POSITIVE_INFINITY, log, clock),
    leaving('a slow host', 100, log, clock),
    leaving('a fast host', 1, log, clock),
  ];
  sayGoodbye(links, () => clock.ms);
  expect(log).toEqual([
    'a stopped host closes',
    'a slow host closes',
    'a fast host closes',
    'a fast host has left',
    'a slow host has left',
  ]);
  expect(clock.ms - 7).toBe(500);
});

it('waits half a second for all links together, however many hosts do not reply', () => {
  const clock = { ms: 0 };
  const stopped = Array.from({ length: 20 }, (_, at) =>
    leaving(`${at}`, Number.POSITIVE_INFINITY, [], clock),
  );
  sayGoodbye(stopped, () => clock.ms);
  expect(clock.ms).toBeGreaterThanOrEqual(500);
  expect(clock.ms).toBeLessThan(500 + stopped.length);
});

it('does not wait if everything has left', () => {
  const clock = { ms: 0 };
  sayGoodbye([leaving('a', 1, [], clock), leaving('b', 1, [], clock)], () => clock.ms);
  expect(clock.ms).toBe(2);
});
