import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModelCosts } from '#farlight/infer/schedule/costs.js';
import { GpuLoad, type GpuRun } from '#farlight/infer/schedule/gpu-load.js';
import { Scheduler } from '#farlight/infer/schedule/scheduler.js';
import { simulate } from '#farlight/infer/simulation/machine.js';
import { SharedGpu } from '#farlight/infer/simulation/shared-gpu.js';

/** When each of these runs ends on a shared GPU. */
function endsOf(runs: readonly GpuRun[]): number[] {
  const gpu = new SharedGpu<number>();
  const ends: number[] = [];
  const take = (until: number): void => {
    for (let end = gpu.nextEnd; end !== undefined && end <= until; end = gpu.nextEnd) {
      for (const run of gpu.take(end)) ends[run] = end;
    }
  };
  const inOrder = [...runs.entries()].sort(([, a], [, b]) => a.reachesGpu - b.reachesGpu);
  for (const [index, { reachesGpu, gpuMs }] of inOrder) {
    take(reachesGpu);
    gpu.add(index, gpuMs, reachesGpu);
  }
  take(Number.POSITIVE_INFINITY);
  return ends;
}

const someRuns = fc.array(
  fc.record({ reachesGpu: fc.integer({ min: 0, max: 100 }), gpuMs: fc.integer({ min: 1, max: 50 }) }),
  { minLength: 1, maxLength: 8 },
);

describe('a simulated run', () => {
  const LINE = { base: 10, perItem: 0 };
  const costs: ModelCosts = {
    resource: 'gpu',
    maxBatch: 1,
    weights: 0,
    memory: { base: 0, perItem: 0 },
    output: 0,
    gpu: LINE,
    wait: LINE,
    load: 0,
  };
  const lanes = [{ name: 'lane', host: 'host', resource: 'gpu' as const }];
  const events = [0, 1].map((id) => ({
    at: 0,
    request: { id, graph: { name: 'm', steps: [{ model: 'm', after: [] }] }, items: 1 },
  }));

  it('takes the time that it is given, though the scheduler expects another', () => {
    const dispatcher = new Scheduler();
    const expected: number[] = [];
    const { ends } = simulate({
      dispatcher,
      hosts: [{ name: 'host', capacity: { bytes: 1, limit: 1 }, lanes }],
      models: { m: costs },
      events,
      times: ({ id }) => (id === 0 ? { wait: 5, gpu: 40 } : { wait: 0, gpu: 1 }),
      decided: () => expected.push(dispatcher.backlog),
    });
    expect([...ends.values()].map(({ ms }) => ms)).toEqual([45, 46]);
    // One item waits for the other one.
    expect(expected[0]).toBe(20);
  });
});

describe('a shared GPU', () => {
  it('a lone run takes its own time on a shared GPU', () => {
    expect(endsOf([{ reachesGpu: 5, gpuMs: 10 }])).toEqual([15]);
  });

  it('runs that share a GPU end later, the shorter ones first', () => {
    const together = [
      { reachesGpu: 0, gpuMs: 10 },
      { reachesGpu: 0, gpuMs: 30 },
    ];
    expect(endsOf(together)).toEqual([20, 40]);
  });

  it('a run becomes slower when another one reaches the GPU', () => {
    const one = { reachesGpu: 0, gpuMs: 20 };
    expect(endsOf([one, { reachesGpu: 10, gpuMs: 20 }])).toEqual([30, 40]);
  });

  it('a shared GPU has done all runs as soon as a GPU that runs them in order', () => {
    fc.assert(
      fc.property(someRuns, (runs) => {
        let done = 0;
        for (const { reachesGpu, gpuMs } of [...runs].sort((a, b) => a.reachesGpu - b.reachesGpu))
          done = Math.max(done, reachesGpu) + gpuMs;
        expect(Math.max(...endsOf(runs))).toBeCloseTo(done, 6);
      }),
    );
  });
});

describe('what the scheduler expects of a GPU', () => {
  it('the scheduler expects the end of each run on a shared GPU, whenever it looks', () => {
    fc.assert(
      fc.property(someRuns, fc.array(fc.integer({ min: 0, max: 60 })), (runs, looks) => {
        const ends = endsOf(runs);
        const load = new GpuLoad();
        for (const run of runs) load.began(run, 0);
        let now = 0;
        for (const look of looks.sort((a, b) => a - b).filter((time) => time < Math.min(...ends))) {
          now = look;
          load.endOf(runs[0] as GpuRun, now);
        }
        for (const [index, run] of runs.entries())
          expect(load.endOf(run, now)).toBeCloseTo(ends[index] as number, 6);
        expect(load.doneAt(Number.POSITIVE_INFINITY, now, [])).toBeCloseTo(Math.max(...ends), 6);
      }),
    );
  });

  it('the scheduler expects earlier runs first, and then the planned ones', () => {
    const load = new GpuLoad();
    load.began({ reachesGpu: 10, gpuMs: 20 }, 0);
    load.began({ reachesGpu: 50, gpuMs: 20 }, 0);
    expect(load.doneAt(9, 0, [])).toBe(0);
    expect(load.doneAt(10, 0, [])).toBe(30);
    expect(load.doneAt(50, 0, [])).toBe(70);
    expect(load.doneAt(40, 0, [{ reachesGpu: 30, gpuMs: 5 }])).toBe(35);
  });

  it('the expected rest of a run is less by the time that it has had', () => {
    const load = new GpuLoad();
    const [short, long] = [
      { reachesGpu: 0, gpuMs: 10 },
      { reachesGpu: 0, gpuMs: 30 },
    ];
    load.began(short, 0);
    load.began(long, 0);
    load.ended(short, 20);
    expect(load.endOf(long, 20)).toBe(40);
  });

  it('a late run is expected to take as long again as it is late', () => {
    const load = new GpuLoad();
    const run = { reachesGpu: 0, gpuMs: 10 };
    load.began(run, 0);
    expect(load.endOf(run, 14)).toBe(18);
    expect(load.doneAt(14, 14, [])).toBe(18);
  });

  it('a run that is late by its whole time holds the GPU no longer', () => {
    const load = new GpuLoad();
    const run = { reachesGpu: 0, gpuMs: 10 };
    load.began(run, 0);
    expect(load.doneAt(20, 20, [])).toBe(20);
    expect(load.doneAt(25, 20, [{ reachesGpu: 22, gpuMs: 5 }])).toBe(27);
    expect(load.endOf(run, 25)).toBe(40);
  });
});
