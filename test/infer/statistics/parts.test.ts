import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PARTS, type RequestSpan } from '#farlight/infer/service/request-span.js';
import { partsOf } from '#farlight/infer/statistics/parts.js';
import { quantiles, RequestTimes } from '#farlight/infer/statistics/request-times.js';

const span = (part: RequestSpan['part'], from: number, to: number): RequestSpan => ({ part, from, to });
const sum = (times: Readonly<Record<string, number>>) => Object.values(times).reduce((a, b) => a + b, 0);

describe('the parts of a request', () => {
  it('the parts of a request are the lengths of spans that follow each other', () => {
    const spans = [span('receive', 0, 1), span('queue', 1, 4), span('gpu', 4, 14), span('answer', 14, 16)];
    expect(partsOf(spans, 0, 16)).toMatchObject({ receive: 1, queue: 3, gpu: 10, answer: 2, batch: 0 });
  });

  it('time counts for the work, and not for steps that wait beside it', () => {
    const spans = [span('queue', 0, 10), span('gpu', 2, 6), span('move', 5, 8)];
    expect(partsOf(spans, 0, 10)).toMatchObject({ queue: 4, gpu: 4, move: 2 });
  });

  it('time without a span counts as the queue', () => {
    expect(partsOf([span('gpu', 3, 5)], 0, 9)).toMatchObject({ queue: 7, gpu: 2 });
  });

  it('the parts add up to the time of the request, whatever its spans are', () => {
    const time = fc.integer({ min: -10, max: 110 });
    const spans = fc.array(fc.record({ part: fc.constantFrom(...PARTS), from: time, to: time }));
    fc.assert(
      fc.property(spans, (given) => {
        const times = partsOf(given, 0, 100);
        expect(sum(times)).toBeCloseTo(100, 9);
        expect(Math.min(...Object.values(times))).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('the times of the last requests', () => {
  const parts = partsOf([], 0, 0);
  const from = { model: 'a', version: '1' };

  it('the last requests have their median and the 99th of 100, by the nearest rank', () => {
    expect(quantiles(Array.from({ length: 100 }, (_, index) => index + 1))).toEqual({ median: 50, p99: 99 });
    expect(quantiles([7])).toEqual({ median: 7, p99: 7 });
    expect(quantiles([])).toEqual({ median: 0, p99: 0 });
  });

  it('the owner sees the times of all tenants, and a tenant its own', () => {
    const times = new RequestTimes();
    for (const [tenant, ms] of [
      ['alice', 1],
      ['alice', 3],
      ['bob', 100],
    ] as const) {
      times.add({ ...from, tenant }, { at: 0, ms, parts });
    }
    expect(times.view(0)).toMatchObject([{ ...from, requests: 3, median: 3, p99: 100 }]);
    expect(times.view(0, 'alice')).toMatchObject([{ requests: 2, median: 1, p99: 3 }]);
    expect(times.view(0, 'carol')).toEqual([]);
  });

  it('requests are forgotten after five minutes, and all but the last 500', () => {
    const times = new RequestTimes();
    for (let ms = 0; ms < 1200; ms += 1) times.add({ ...from, tenant: 'alice' }, { at: ms, ms, parts });
    expect(times.view(1200)).toMatchObject([{ requests: 500, median: 949 }]);
    expect(times.view(300_000 + 1000)).toMatchObject([{ requests: 199 }]);
    expect(times.view(400_000)).toEqual([]);
  });
});
