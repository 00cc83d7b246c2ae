import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Arrival,
  type Line,
  LinkSchedule,
  windowBytes,
} from '#farlight/testing/emulation/link-schedule.js';

const LINE: Line = { delayMs: 15, jitterMs: 0, mbit: 100 };
const never = () => {
  throw new Error('a line without jitter needs no chance');
};
const schedule = (line: Partial<Line> = {}, random: () => number = never) =>
  new LinkSchedule<string>({ ...LINE, ...line }, random);

/** Takes all arrivals until then, at every moment that the schedule names. */
function run(link: LinkSchedule<string>, until = Infinity): Arrival<string>[] {
  const arrivals: Arrival<string>[] = [];
  for (let at = link.next(); at !== undefined && at <= until; at = link.next())
    for (let arrival = link.take(at); arrival; arrival = link.take(at)) arrivals.push(arrival);
  return arrivals;
}

const sum = (arrivals: Arrival<string>[], flow?: string) =>
  arrivals.reduce((total, each) => total + (flow === undefined || each.flow === flow ? each.bytes : 0), 0);

describe('a line', () => {
  it('a small piece arrives after the delay and the time of its bits', () => {
    const link = schedule();
    link.add('a', 125, 1000);
    // 1000 bits at 100,000 bits a millisecond.
    expect(run(link)).toEqual([{ flow: 'a', bytes: 125, at: 1000 + 0.01 + 15 }]);
    expect(link.next()).toBeUndefined();
  });

  it('nothing arrives before its time', () => {
    const link = schedule();
    link.add('a', 125, 1000);
    expect(link.take(1015)).toBeUndefined();
    expect(link.take(1015.01)).toMatchObject({ bytes: 125 });
    expect(link.take(2000)).toBeUndefined();
  });

  it('without a bandwidth a line only delays', () => {
    const link = schedule({ mbit: undefined });
    link.add('a', 1e9, 10);
    link.add('b', 1, 10);
    expect(run(link)).toEqual([
      { flow: 'a', bytes: 1e9, at: 25 },
      { flow: 'b', bytes: 1, at: 25 },
    ]);
  });

  for (const mbit of [1, 10, 100, 1000]) {
    it(`a line carries ${mbit} Mbit/s to 0.1% in a second, however the bytes come`, () => {
      const link = schedule({ mbit });
      // Writes of changing sizes, always more than the line carries.
      let added = 0;
      const arrivals: Arrival<string>[] = [];
      for (let now = 0; now < 1100; now += 7) {
        arrivals.push(...run(link, now));
        const bytes = Math.ceil(mbit * 125 * 7.5 * (1 + (now % 3) / 3));
        link.add('a', bytes, now);
        added += bytes;
      }
      const inASecond = sum(arrivals.filter(({ at }) => at > 20 && at <= 1020));
      expect(Math.abs(inASecond / (mbit * 125_000) - 1)).toBeLessThan(mbit === 1 ? 0.015 : 0.002);
      expect(sum(arrivals) + sum(run(link))).toBe(added);
    });
  }

  it('a late call costs a line no bandwidth', () => {
    const punctual = schedule();
    const late = schedule();
    for (const link of [punctual, late]) link.add('a', 500_000, 0);
    const expected = run(punctual);
    const arrivals: Arrival<string>[] = [];
    for (const now of [30, 48, 1000])
      for (let arrival = late.take(now); arrival; arrival = late.take(now)) arrivals.push(arrival);
    expect(arrivals).toEqual(expected);
  });

  it('unused bandwidth of a pause is lost', () => {
    const link = schedule();
    link.add('a', 12_500, 0);
    link.add('a', 12_500, 100);
    expect(run(link).at(-1)?.at).toBeCloseTo(100 + 1 + 15, 9);
  });

  it('flows share the bandwidth equally, however much each sends', () => {
    const link = schedule({ mbit: 10 });
    const flows = Array.from({ length: 50 }, (_, index) => `flow ${index}`);
    flows.forEach((flow, index) => {
      link.add(flow, 50_000 * (1 + index), 0);
    });
    const arrivals = run(link, 1000);
    const shares = flows.map((flow) => sum(arrivals, flow));
    const mean = sum(arrivals) / flows.length;
    for (const share of shares) expect(Math.abs(share / mean - 1)).toBeLessThan(0.1);
  });

  it('a small message does not wait for all bytes of another flow', () => {
    const link = schedule();
    link.add('bulk', 10_000_000, 0);
    link.add('message', 100, 50);
    const message = run(link).find(({ flow }) => flow === 'message');
    // It waits for the piece that is being sent and for one turn, each half a millisecond of the line.
    expect(message?.at).toBeLessThan(50 + 15 + 1.01);
  });

  it('removing a flow drops its waiting bytes, and delivers those under way', () => {
    const link = schedule();
    link.add('gone', 1_000_000, 0);
    link.add('stays', 1_000, 0);
    link.remove('gone');
    const arrivals = run(link);
    expect(sum(arrivals, 'gone')).toBe(6_250);
    expect(sum(arrivals, 'stays')).toBe(1_000);
  });
});

describe('jitter', () => {
  it('jitter moves a piece by no more than stated', () => {
    for (const [chance, at] of [
      [0, 10],
      [0.5, 15],
      [1, 20],
    ] as const) {
      const link = schedule({ mbit: undefined, jitterMs: 5 }, () => chance);
      link.add('a', 1, 0);
      expect(run(link)[0]?.at).toBe(at);
    }
  });

  it('jitter never makes a piece arrive before it was sent', () => {
    const link = schedule({ mbit: undefined, delayMs: 1, jitterMs: 5 }, () => 0);
    link.add('a', 1, 100);
    expect(run(link)[0]?.at).toBe(100);
  });
});

describe('random sends', () => {
  const line = fc.record({
    delayMs: fc.double({ min: 0, max: 50, noNaN: true }),
    jitterMs: fc.double({ min: 0, max: 20, noNaN: true }),
    mbit: fc.option(fc.double({ min: 0.1, max: 10_000, noNaN: true }), { nil: undefined }),
  });
  const writes = fc.array(
    fc.record({
      flow: fc.constantFrom('a', 'b', 'c'),
      bytes: fc.integer({ min: 1, max: 200_000 }),
      pauseMs: fc.double({ min: 0, max: 10, noNaN: true }),
    }),
    { minLength: 1, maxLength: 60 },
  );

  it('every byte arrives once, in order, not too early, and never faster than the bandwidth', () => {
    fc.assert(
      fc.property(
        line,
        writes,
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (line, writes, chances) => {
          const link = new LinkSchedule<string>(line, () => chances.next().value as number);
          const sent = { a: 0, b: 0, c: 0 };
          const arrivals: Arrival<string>[] = [];
          let now = 0;
          for (const { flow, bytes, pauseMs } of writes) {
            now += pauseMs;
            link.add(flow, bytes, now);
            sent[flow as 'a'] += bytes;
            for (let arrival = link.take(now); arrival; arrival = link.take(now)) arrivals.push(arrival);
          }
          arrivals.push(...run(link));
          for (const flow of ['a', 'b', 'c'] as const) expect(sum(arrivals, flow)).toBe(sent[flow]);
          const shortest = Math.max(0, line.delayMs - line.jitterMs);
          let carried = 0;
          let before = 0;
          for (const { bytes, at } of arrivals) {
            carried += bytes;
            expect(at).toBeGreaterThanOrEqual(before);
            before = at;
            const bits = line.mbit === undefined ? 0 : (carried * 8) / (line.mbit * 1000);
            expect(at).toBeGreaterThanOrEqual((shortest + bits) * (1 - 1e-9));
          }
        },
      ),
    );
  });
});

describe('the window of a connection', () => {
  it('the window is a full line, and 50 ms more', () => {
    expect(windowBytes(LINE)).toBe(12_500 * (15 + 50));
    expect(windowBytes({ ...LINE, jitterMs: 5 })).toBe(12_500 * (15 + 5 + 50));
  });

  it('the window is bounded without a bandwidth, too', () => {
    expect(windowBytes({ ...LINE, mbit: undefined })).toBe(64 << 20);
  });
});
