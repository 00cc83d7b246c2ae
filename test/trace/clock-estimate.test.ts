import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClockEstimate } from '#farlight/client/trace/clock-estimate.js';

describe("the estimate of a host's clock", () => {
  it('knows nothing without a sample: times stay as they are, and may be wrong by any amount', () => {
    const clock = new ClockEstimate();
    expect(clock.toClient(123, 0)).toBe(123);
    expect(clock.errorMs(0)).toBe(Number.POSITIVE_INFINITY);
  });

  it('takes the middle of the shortest round trip', () => {
    const clock = new ClockEstimate();
    clock.add({ asked: 0, answered: 100, host: 5090 });
    clock.add({ asked: 100, answered: 104, host: 5102 });
    clock.add({ asked: 104, answered: 154, host: 5150 });
    expect(clock.toClient(6000, 154)).toBe(1000);
    expect(clock.errorMs(104)).toBe(2);
  });

  it('is never wrong by more than it says, however the round trips were divided between the two ways', () => {
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
            clock.add({ asked, answered: now, host: hostTime(asked + up) });
          }
          now += later;
          const error = Math.abs(clock.toClient(hostTime(now), now) - now);
          expect(error).toBeLessThanOrEqual(clock.errorMs(now) + 0.05);
          expect(clock.worstErrorMs).toBeGreaterThanOrEqual(clock.errorMs(now));
        },
      ),
    );
  });

  it('lets a newer sample take the place of a shorter one that is too old', () => {
    const clock = new ClockEstimate();
    clock.add({ asked: 0, answered: 2, host: 1 });
    clock.add({ asked: 1000, answered: 1004, host: 1010 });
    expect(clock.toClient(2000, 1004)).toBe(2000);
    clock.add({ asked: 60_000, answered: 60_004, host: 60_010 });
    expect(clock.toClient(70_000, 60_004)).toBe(69_992);
  });
});
