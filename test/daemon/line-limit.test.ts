import { expect, it } from 'vitest';
import { LineLimit } from '#farlight/server/observatory/session-log.js';

it('a line limit lets a few lines through at once, then one at a time, and counts those left out', () => {
  const limit = new LineLimit({ burst: 3, everyMs: 100 });
  expect([0, 0, 0, 0, 50, 99].map((now) => limit.take(now))).toEqual([
    0,
    0,
    0,
    undefined,
    undefined,
    undefined,
  ]);
  expect(limit.take(100)).toBe(3);
  expect(limit.take(150)).toBeUndefined();
  expect(limit.take(200)).toBe(1);
});

it('a line limit recovers after a flood', () => {
  const limit = new LineLimit({ burst: 3, everyMs: 100 });
  for (let now = 0; now < 1000; now += 1) limit.take(now);
  expect([5000, 5000, 5000, 5000].map((now) => limit.take(now) !== undefined)).toEqual([
    true,
    true,
    true,
    false,
  ]);
});

it('a line limit bounds an endless flood by time alone', () => {
  const limit = new LineLimit({ burst: 10, everyMs: 1000 });
  let lines = 0;
  let leftOut = 0;
  for (let now = 0; now < 100_000; now += 1) {
    const left = limit.take(now);
    if (left === undefined) continue;
    lines += 1;
    leftOut += left;
  }
  expect(lines).toBeLessThanOrEqual(110);
  expect(lines + leftOut).toBeGreaterThan(98_000);
});
