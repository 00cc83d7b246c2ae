import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GpuTime, GpuTimes, type LaneGpu } from '#farlight/infer/lanes/gpu/gpu-times.js';

type Stretch = readonly [from: number, to: number];

/** A run as a host tells of it: the mark before it, its work, and the mark behind it. */
function tellRun(lane: LaneGpu, from: number, work: readonly Stretch[]): Promise<GpuTime | undefined> {
  const { begin, end, time } = lane.begin();
  lane.tell({ mark: begin, at: from });
  for (const [from, to] of work) lane.tell({ from, to });
  lane.tell({ mark: end, at: Math.max(from, ...work.map(([, to]) => to)) });
  return time;
}

const NOT_YET: unique symbol = Symbol();
/** The time if it is known now, NOT_YET if not. */
async function now(time: Promise<GpuTime | undefined>): Promise<unknown> {
  return Promise.race([time, Promise.resolve().then(() => NOT_YET)]);
}

describe("the GPU's time of a run", () => {
  it("a run's time is the GPU's work for the lane between its marks", async () => {
    const lane = new GpuTimes().lane();
    // Work before the first mark is that of loading a model.
    lane.tell({ from: 10, to: 90 });
    expect(
      await tellRun(lane, 100, [
        [100, 110],
        [140, 145],
      ]),
    ).toEqual({ ms: 15, busyMs: 15 });
    expect(await tellRun(lane, 200, [[190, 207]])).toEqual({ ms: 7, busyMs: 7 });
  });

  it('while the GPU works for several lanes, each run has an equal share', async () => {
    const times = new GpuTimes();
    const [a, b] = [times.lane(), times.lane()];
    const long = b.begin();
    b.tell({ mark: long.begin, at: 0 });
    b.tell({ from: 0, to: 40 });
    const short = tellRun(a, 0, [[0, 20]]);
    b.tell({ mark: long.end, at: 40 });
    expect(await short).toEqual({ ms: 10, busyMs: 20 });
    expect(await long.time).toEqual({ ms: 30, busyMs: 40 });
  });

  it("a run's time is known when the reports of the other lanes reach its end", async () => {
    const times = new GpuTimes();
    const [a, b] = [times.lane(), times.lane()];
    const other = b.begin();
    const run = tellRun(a, 0, [[5, 25]]);
    expect(await now(run)).toBe(NOT_YET);
    b.tell({ mark: other.begin, at: 3 });
    expect(await now(run)).toBe(NOT_YET);
    b.tell({ from: 15, to: 35 });
    expect(await run).toEqual({ ms: 15, busyMs: 20 });
  });

  it("the time of a lost lane's run is unknown, and other lanes do not wait for it", async () => {
    const times = new GpuTimes();
    const [a, b] = [times.lane(), times.lane()];
    const lost = b.begin();
    const run = tellRun(a, 0, [[5, 25]]);
    b.stop();
    expect(await lost.time).toBeUndefined();
    expect(await run).toEqual({ ms: 20, busyMs: 20 });
  });

  it("without reports of the host a run's time is unknown, and other lanes do not wait for it", async () => {
    const times = new GpuTimes();
    const [a, b] = [times.lane(), times.lane()];
    b.stop();
    expect(await b.begin().time).toBeUndefined();
    expect(await tellRun(a, 0, [[5, 25]])).toEqual({ ms: 20, busyMs: 20 });
  });

  it("a run's time is known in the end, also beside a run that never ends", async () => {
    const times = new GpuTimes();
    const [a, b] = [times.lane(), times.lane()];
    const { begin } = b.begin();
    b.tell({ mark: begin, at: 0 });
    const runs = Array.from({ length: 1000 }, (_, run) => tellRun(a, 10 * run, [[10 * run, 10 * run + 4]]));
    expect(await Promise.race(runs.map((time, run) => time.then(() => run)))).toBe(0);
  });

  it("the times of all runs add up to the time of the GPU's work", async () => {
    const stretches = fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 })), {
      minLength: 1,
      maxLength: 5,
    });
    // Each lane's runs, as gaps and lengths of the GPU's work.
    const lanes = fc.array(fc.array(stretches, { maxLength: 4 }), { minLength: 1, maxLength: 4 });
    const order = fc.infiniteStream(fc.nat(3));
    await fc.assert(
      fc.asyncProperty(lanes, order, async (given, next) => {
        const times = new GpuTimes();
        const found: Promise<GpuTime | undefined>[] = [];
        const busy = new Set<number>();
        const tells = given.map((runs) => {
          const lane = times.lane();
          let at = 0;
          return runs.flatMap((work) => {
            const { begin, end, time } = lane.begin();
            found.push(time);
            const started = at;
            const told = work.map(([gap, length]) => {
              const from = at + gap;
              at = from + length;
              for (let ms = from; ms < at; ms += 1) busy.add(ms);
              return { from, to: at };
            });
            const events = [{ mark: begin, at: started }, ...told, { mark: end, at }];
            return events.map((event) => () => lane.tell(event));
          });
        });
        // Events of different lanes come in any order.
        while (tells.some((tell) => tell.length > 0))
          tells[(next.next().value ?? 0) % tells.length]?.shift()?.();
        const all = await Promise.all(found);
        const sum = all.reduce((ms, time) => ms + (time?.ms ?? 0), 0);
        expect(sum).toBeCloseTo(busy.size, 6);
      }),
    );
  });
});
