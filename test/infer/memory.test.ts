import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Peaks } from '#farlight/infer/learned/peaks.js';
import { Times } from '#farlight/infer/learned/times.js';
import { largestWithin } from '#farlight/infer/schedule/costs.js';

const batch = fc.integer({ min: 1, max: 64 });
const peaksOf = (samples: readonly (readonly [number, number])[]): Peaks => {
  const peaks = new Peaks();
  for (const [batch, bytes] of samples) peaks.observe(batch, bytes);
  return peaks;
};

describe('the memory of a model', () => {
  it('memory that grows evenly with the items is known after two runs', () => {
    // PaddleOCR's detection at 160 x 160.
    const bytes = (batch: number) => 4_780_000 + 9_420_000 * batch;
    const peaks = peaksOf([
      [1, bytes(1)],
      [2, bytes(2)],
    ]);
    for (const size of [1, 7, 32]) expect(peaks.at(size)).toBeCloseTo(bytes(size), 0);
  });

  it('the expected memory is at least every measured peak', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(batch, fc.integer({ min: 0, max: 2 ** 40 })), { minLength: 1 }),
        (samples) => {
          const peaks = peaksOf(samples);
          for (const [size, bytes] of samples)
            expect(peaks.at(size)).toBeGreaterThanOrEqual(bytes * (1 - 1e-9));
          expect(peaks.line.base).toBeGreaterThanOrEqual(0);
          expect(peaks.line.perItem).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });

  it('after one run, each item of a larger one is expected to need as much', () => {
    const peaks = peaksOf([[2, 100]]);
    expect(peaks.at(8)).toBe(400);
  });

  it('the expected memory grows after a run with a higher peak', () => {
    const peaks = peaksOf([
      [1, 10],
      [2, 20],
    ]);
    expect(peaks.observe(4, 40)).toBe(false);
    expect(peaks.observe(8, 100)).toBe(true);
    expect(peaks.at(8)).toBeGreaterThanOrEqual(100);
  });

  it('a batch that was out of memory is not planned again in the same memory', () => {
    fc.assert(
      fc.property(batch, fc.integer({ min: 1, max: 1000 }), (size, free) => {
        const peaks = peaksOf([[1, 1]]);
        peaks.outOfMemory(size, free);
        expect(largestWithin(peaks.line, free, 64)).toBeLessThan(size);
      }),
    );
  });
});

describe('the time of a model', () => {
  it('the expected time is the line through the runs', () => {
    fc.assert(
      fc.property(
        fc.nat(1000),
        fc.nat(100),
        fc.uniqueArray(batch, { minLength: 2 }),
        (base, perItem, sizes) => {
          const times = new Times();
          for (const size of sizes) times.observe(size, base + perItem * size);
          expect(times.line.base).toBeCloseTo(base, 5);
          expect(times.line.perItem).toBeCloseTo(perItem, 5);
        },
      ),
    );
  });

  it('the expected time is never below 0', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(batch, fc.nat(1000))), (samples) => {
        const times = new Times();
        for (const [size, ms] of samples) times.observe(size, ms);
        expect(times.line.base).toBeGreaterThanOrEqual(0);
        expect(times.line.perItem).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('the expected time follows a GPU that has become slower', () => {
    const times = new Times();
    for (let run = 0; run < 10; run += 1) for (const size of [1, 8]) times.observe(size, 10 + size);
    for (let run = 0; run < 30; run += 1) for (const size of [1, 8]) times.observe(size, 2 * (10 + size));
    expect(times.line.base).toBeCloseTo(20, 0);
    expect(times.line.perItem).toBeCloseTo(2, 1);
  });
});
