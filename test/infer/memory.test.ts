import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Peaks } from '#farlight/infer/memory/peaks.js';
import { Times } from '#farlight/infer/memory/times.js';
import { largestWithin } from '#farlight/infer/schedule/costs.js';

const batch = fc.integer({ min: 1, max: 64 });
const peaksOf = (samples: readonly (readonly [number, number])[]): Peaks => {
  const peaks = new Peaks();
  for (const [batch, bytes] of samples) peaks.observe(batch, bytes);
  return peaks;
};

describe('the memory of a model', () => {
  it('is known after two runs where it grows by as much with each item', () => {
    // PaddleOCR's detection at 160 x 160.
    const bytes = (batch: number) => 4_780_000 + 9_420_000 * batch;
    const peaks = peaksOf([
      [1, bytes(1)],
      [2, bytes(2)],
    ]);
    for (const size of [1, 7, 32]) expect(peaks.at(size)).toBeCloseTo(bytes(size), 0);
  });

  it('is at least every peak that was measured', () => {
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

  it('of one run is held to be as much for each item of a larger one', () => {
    const peaks = peaksOf([[2, 100]]);
    expect(peaks.at(8)).toBe(400);
  });

  it('is expected to be more where a run had more', () => {
    const peaks = peaksOf([
      [1, 10],
      [2, 20],
    ]);
    expect(peaks.observe(4, 40)).toBe(false);
    expect(peaks.observe(8, 100)).toBe(true);
    expect(peaks.at(8)).toBeGreaterThanOrEqual(100);
  });

  it('has no batch planned again that was out of memory in as much', () => {
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
  it('is the line that its runs lie on', () => {
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

  it('is never below 0', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(batch, fc.nat(1000))), (samples) => {
        const times = new Times();
        for (const [size, ms] of samples) times.observe(size, ms);
        expect(times.line.base).toBeGreaterThanOrEqual(0);
        expect(times.line.perItem).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('follows a GPU that has become slower', () => {
    const times = new Times();
    for (let run = 0; run < 10; run += 1) for (const size of [1, 8]) times.observe(size, 10 + size);
    for (let run = 0; run < 30; run += 1) for (const size of [1, 8]) times.observe(size, 2 * (10 + size));
    expect(times.line.base).toBeCloseTo(20, 0);
    expect(times.line.perItem).toBeCloseTo(2, 1);
  });
});
