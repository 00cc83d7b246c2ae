import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scheduler } from '#farlight/infer/schedule/scheduler.js';
import type { Decision } from '#farlight/infer/schedule/types.js';
import { type SimulationResult, simulate } from '#farlight/infer/simulation/machine.js';
import { elementsOf, type Trace, traces } from './traces.js';

const NUM_RUNS = Number(process.env.FARLIGHT_TRACES ?? 150);

function follow(
  trace: Trace,
  decided?: (now: number, scheduler: Scheduler, decisions: readonly Decision[]) => void,
): SimulationResult {
  const scheduler = new Scheduler();
  return simulate({
    dispatcher: scheduler,
    ...trace,
    elements: elementsOf,
    decided: (now, decisions) => decided?.(now, scheduler, decisions),
  });
}

function always(claim: (trace: Trace) => void): void {
  fc.assert(
    fc.property(traces, (trace) => void claim(trace)),
    { numRuns: NUM_RUNS, interruptAfterTimeLimit: 60_000 },
  );
}

describe('whatever comes, and whatever is lost', { timeout: 120_000 }, () => {
  it('no run takes more memory than there is', () => {
    always((trace) => expect(follow(trace).outOfMemory).toBe(0));
  });

  it('every request ends once, or was cancelled', () => {
    always((trace) => {
      const { ends } = follow(trace);
      for (let id = 0; id < trace.requests; id += 1) {
        if (!ends.has(id)) expect(trace.cancelled.has(id), `request ${id} ended`).toBe(true);
      }
    });
  });

  it('a request fails only by its own fault', () => {
    always((trace) => {
      for (const [id, { outcome }] of follow(trace).ends) {
        if (outcome.is === 'failed') expect(trace.poison.has(id), `request ${id} failed`).toBe(true);
        if (outcome.is === 'done') expect(trace.poison.has(id), `request ${id} is done`).toBe(false);
      }
    });
  });

  it('no bytes stay on a host when all requests have ended', () => {
    always((trace) => {
      let scheduler: Scheduler | undefined;
      follow(trace, (_, each) => {
        scheduler = each;
      });
      expect(scheduler?.requests).toBe(0);
      expect(scheduler?.memoryOf('a')).toMatchObject({ running: 0, held: 0 });
    });
  });

  it('no item waits for an idle GPU, except for a fuller batch', () => {
    always((trace) => {
      const fixed = Object.values(trace.models).map(({ gpu, wait }) => gpu.base + wait.base);
      follow(trace, (now, scheduler) => {
        const waits = ['m0', 'm1', 'm2', 'm3'].some((model) => scheduler.waitingFor(model) > 0);
        // A capacity that has shrunk may be too little for all that waits.
        const shrunk = trace.events.some((event) => 'host' in event);
        if (!waits || shrunk || scheduler.running > 0) return;
        expect((scheduler.lookAt ?? Number.POSITIVE_INFINITY) - now).toBeLessThanOrEqual(Math.max(...fixed));
      });
    });
  });

  it('a request begins again only if a lane was lost or a capacity has shrunk', () => {
    always((trace) => {
      if (trace.events.some((event) => 'lane' in event || 'host' in event)) return;
      follow(trace, (_now, _scheduler, decisions) => {
        expect(decisions.filter(({ kind }) => kind === 'restart')).toEqual([]);
      });
    });
  });

  it('the scheduler asks to decide again only in the future', () => {
    always((trace) => {
      follow(trace, (now, { lookAt }) => {
        if (lookAt !== undefined) expect(lookAt).toBeGreaterThan(now);
      });
    });
  });

  it('the same events lead to the same decisions', () => {
    always((trace) => expect(follow(trace).runs).toEqual(follow(trace).runs));
  });
});
