import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { latencyOf, schedule, smallCases } from './cases.js';
import { best, type OracleCase } from './oracle.js';

/** FARLIGHT_ORACLE_CASES and FARLIGHT_ORACLE_SEED try others, and more. */
const cases = Number(process.env.FARLIGHT_ORACLE_CASES ?? 150);
const seed = Number(process.env.FARLIGHT_ORACLE_SEED ?? 1);
const timeout = Math.max(120_000, cases * 2000);

/** How near the scheduler comes to the best schedule, as the ratios of the latencies, the worst first. */
function ratios(some: readonly OracleCase[]): number[] {
  const found = some.map((each) => {
    const ratio = best(each, 'latency') / latencyOf(schedule(each));
    // Otherwise it is no bound.
    expect(ratio, JSON.stringify(each)).toBeLessThanOrEqual(1 + 1e-9);
    return ratio;
  });
  found.sort((a, b) => a - b);
  const [worst = 0] = found;
  const middle = found[found.length >> 1] as number;
  console.log(`${some.length} cases: geometric mean ${mean(found)}, median ${middle}, worst ${worst}`);
  return found;
}

function mean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

// Which cases are hard is chance, so these are the same each time.
describe('the mean latency, beside the best that any schedule can reach', { timeout }, () => {
  it('the mean latency is near the best if all requests are known', () => {
    const found = ratios(fc.sample(smallCases({ late: false }), { numRuns: cases, seed }));
    expect(mean(found)).toBeGreaterThanOrEqual(0.95);
    expect(found[0]).toBeGreaterThanOrEqual(0.75);
  });

  it('the mean latency is mostly near the best if requests come later', () => {
    const found = ratios(fc.sample(smallCases({ late: true }), { numRuns: Math.ceil(cases / 4), seed }));
    expect(found[found.length >> 1]).toBeGreaterThanOrEqual(0.9);
  });
});
