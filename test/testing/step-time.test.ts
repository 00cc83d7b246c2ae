import { describe, expect, it } from 'vitest';
import { predictStepMs } from '#farlight/testing/index.js';

const step = { waits: 3, bytesUp: 100_000, bytesDown: 25_000 };

describe('predictStepMs', () => {
  it('a step takes its time beside the host, plus a round trip for each wait', () => {
    expect(predictStepMs(8, step, { rttMs: 0 })).toBe(8);
    expect(predictStepMs(8, step, { rttMs: 30 })).toBe(8 + 90);
    expect(predictStepMs(8, { ...step, waits: 0 }, { rttMs: 30 })).toBe(8);
  });

  it('a wait that was settled from what came ahead costs no round trip', () => {
    const ahead = { ...step, waits: 1, waitsSaved: 2 };
    expect(predictStepMs(8, ahead, { rttMs: 30 })).toBe(8 + 30);
  });

  it('a step takes the time of its bytes, in both directions', () => {
    // A million bits at 100,000 a millisecond.
    expect(predictStepMs(8, step, { rttMs: 30, mbit: 100 })).toBe(8 + 90 + 10);
  });

  it('the time of a step grows with each of its terms, and with nothing else', () => {
    const base = predictStepMs(8, step, { rttMs: 10, mbit: 10 });
    expect(predictStepMs(9, step, { rttMs: 10, mbit: 10 }) - base).toBeCloseTo(1, 9);
    expect(predictStepMs(8, step, { rttMs: 11, mbit: 10 }) - base).toBeCloseTo(3, 9);
    expect(predictStepMs(8, step, { rttMs: 10, mbit: 20 }) - base).toBeCloseTo(-50, 9);
  });
});
