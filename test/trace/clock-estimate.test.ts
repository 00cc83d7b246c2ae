import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClockEstimate } from '#farlight/client/observers/trace/clock-estimate.js';

describe("the estimate of a host's clock", () => {
  it('without a message each way times stay unchanged, and the error is infinite', () => {
    const clock = new ClockEstimate();
    clock.wentUp(0, 100, 0);
    expect(clock.toClient(123, 0)).toBe(123);
    expect(clock.errorMs(0)).toBe(Number.POSITIVE_INFINITY);
  });

  it('takes the middle of a round trip, and half of it as the error', () => {
    const clock = new ClockEstimate();
    clock.wentUp(100, 5102, 104);
    clock.cameDown(5102, 104, 104);
    expect(clock.toClient(6000, 104)).toBe(1000);
    expect(clock.errorMs(104)).toBe(2);
  });

  it('combines the shortest way there with the shortest way back, also from two round trips', () => {
    const clock = new ClockEstimate();
    clock.wentUp(0, 5003, 100);
    clock.cameDown(5003, 100, 100);
    clock.wentUp(100, 5190, 195);
    clock.cameDown(5190, 195, 195);
    expect(clock.errorMs(195)).toBeCloseTo(4, 1);
    expect(clock.toClient(6000, 195)).toBeCloseTo(1001, 1);
  });

  it('the error is never larger than stated, for any delays and drift', () => {
    const sample = fc.record({
      wait: fc.double({ min: 0, max: 1000, noNaN: true }),
      up: fc.double({ min: 0, max: 200, noNaN: true }),
      down: fc.double({ min: 0, max: 200, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.double({ min: -1e6, max: 1e6, noNaN: true }),
        fc.double({ min: -90e-6, max: 90e-6, noNaN: true }),
        fc.array(sample, { minLength: 1, maxLength: 20 }),
        fc.double({ min: 0, max: 60_000, noNaN: true }),
        (offset, drift, samples, later) => {
          const hostTime = (time: number) => time * (1 + drift) + offset;
          const clock = new ClockEstimate();
          let now = 0;
          for (const { wait, up, down } of samples) {
            const asked = now + wait;
            now = asked + up + down;
            clock.wentUp(asked, hostTime(asked + up), now);
            clock.cameDown(hostTime(asked + up), now, now);
          }
          now += later;
          const error = Math.abs(clock.toClient(hostTime(now), now) - now);
          // The drift within one round trip comes on top: 200 ms with 90 parts in a million.
          expect(error).toBeLessThanOrEqual(clock.errorMs(now) + 0.05);
          expect(clock.worstErrorMs).toBeGreaterThanOrEqual(clock.errorMs(now));
        },
      ),
    );
  });

  it('a newer message replaces a faster one that is too old', () => {
    const clock = new ClockEstimate();
    const exchange = (at: number, roundTrip: number, offset: number) => {
      clock.wentUp(at, at + roundTrip / 2 + offset, at + roundTrip);
      clock.cameDown(at + roundTrip / 2 + offset, at + roundTrip, at + roundTrip);
    };
    exchange(0, 2, 0);
    exchange(1000, 4, 0);
    expect(clock.errorMs(1004)).toBeCloseTo(1.1, 1);
    // A minute later the clock is 4 ms ahead, which is within the drift.
    exchange(60_000, 4, 4);
    expect(Math.abs(clock.toClient(70_000, 60_004) - 69_996)).toBeLessThanOrEqual(clock.errorMs(60_004));
  });
});
