import { beforeEach, describe, expect, it } from 'vitest';
import type { ModelCosts } from '#farlight/infer/schedule/costs.js';
import { Scheduler } from '#farlight/infer/schedule/scheduler.js';
import type { Decision, Run, ScheduledGraph, ScheduledRequest } from '#farlight/infer/schedule/types.js';
import { graphOf } from './cases.js';

const NONE = { base: 0, perItem: 0 };

function costs(some: Partial<ModelCosts> = {}): ModelCosts {
  return {
    resource: 'gpu',
    maxBatch: 8,
    weights: 0,
    memory: { base: 0, perItem: 10 },
    output: 0,
    gpu: { base: 100, perItem: 1 },
    wait: NONE,
    load: 0,
    ...some,
  };
}

let scheduler: Scheduler;
let ids: number;

/** One host with so many bytes and lanes. */
function host(bytes: number, lanes = 1): void {
  scheduler.setHost('host', { bytes, limit: bytes });
  for (let lane = 0; lane < lanes; lane += 1)
    scheduler.addLane(`lane${lane}`, { host: 'host', resource: 'gpu' });
}

function arrive(graph: ScheduledGraph | string, now = 0, more: Partial<ScheduledRequest> = {}): number {
  const id = ids++;
  scheduler.arrive(
    { id, graph: typeof graph === 'string' ? graphOf([graph]) : graph, items: 1, ...more },
    now,
  );
  return id;
}

const runsOf = (decisions: readonly Decision[]): Run[] =>
  decisions.flatMap((each) => (each.kind === 'start' ? [each.run] : []));
const endsOf = (decisions: readonly Decision[]): [number, string][] =>
  decisions.flatMap((each): [number, string][] =>
    each.kind === 'end' ? [[each.request, each.outcome.is]] : [],
  );

/** Starts what can start: one run. */
function start(now: number): Run {
  const [run, ...others] = runsOf(scheduler.decide(now));
  if (!run || others.length > 0) throw new Error(`${run ? others.length + 1 : 0} runs started`);
  return run;
}

const requestsOf = ({ slices }: Run): number[] => slices.map(({ request }) => request);

beforeEach(() => {
  scheduler = new Scheduler({ lead: 0 });
  ids = 0;
});

describe('the size of a batch', () => {
  it('the free memory at its start bounds a batch', () => {
    host(45);
    scheduler.setModel('m', costs());
    for (let count = 0; count < 20; count += 1) arrive('m');
    expect(start(0)).toMatchObject({ batch: 4 });
    scheduler.setHost('host', { bytes: 25, limit: 45 });
    scheduler.complete(0, 104);
    expect(start(104)).toMatchObject({ batch: 2 });
  });

  it('a batch waits for the memory of another run if a second run would cost more', () => {
    host(30, 2);
    scheduler.setModel('other', costs({ gpu: { base: 5, perItem: 0 } }));
    scheduler.setModel('m', costs({ wait: { base: 50, perItem: 0 } }));
    arrive('other');
    start(0);
    for (let count = 0; count < 3; count += 1) arrive('m');
    expect(runsOf(scheduler.decide(0))).toEqual([]);
    expect(scheduler.lookAt).toBe(5);
    scheduler.complete(0, 5);
    expect(start(5).batch).toBe(3);
  });

  it('a batch takes the free memory if waiting for more would end its items much later', () => {
    host(20, 2);
    scheduler.setModel(
      'other',
      costs({
        memory: { base: 0, perItem: 6 },
        gpu: { base: 21, perItem: 0 },
        wait: { base: 8, perItem: 0 },
      }),
    );
    scheduler.setModel(
      'm',
      costs({
        memory: { base: 4, perItem: 4 },
        gpu: { base: 3, perItem: 6 },
        wait: { base: 17, perItem: 1 },
      }),
    );
    arrive('other');
    start(0);
    for (let count = 0; count < 4; count += 1) arrive('m');
    // Two items reach the GPU at 29, when the other run is done. All four would have the memory for it only then.
    expect(runsOf(scheduler.decide(0))).toEqual([]);
    expect(scheduler.lookAt).toBe(10);
    expect(start(10).batch).toBe(2);
  });

  it('a batch stays smaller if a larger one would delay its items more than it saves', () => {
    host(1000);
    scheduler.setModel('m', costs({ gpu: { base: 1, perItem: 100 } }));
    for (let count = 0; count < 8; count += 1) arrive('m');
    expect(start(0).batch).toBe(1);
  });

  it('a batch takes the items that wait when the GPU becomes free, not when a lane was idle', () => {
    host(1000, 2);
    scheduler.setModel('m', costs());
    arrive('m');
    expect(start(0).batch).toBe(1);
    arrive('m', 1);
    expect(runsOf(scheduler.decide(1))).toEqual([]);
    expect(scheduler.lookAt).toBe(101);
    arrive('m', 50);
    expect(runsOf(scheduler.decide(50))).toEqual([]);
    expect(start(101).batch).toBe(2);
  });

  it('a batch starts when neither runs nor more valuable planned runs use the GPU', () => {
    host(1000, 3);
    const gpu = (base: number) => costs({ gpu: { base, perItem: 0 }, maxBatch: 1 });
    scheduler.setModel('first', gpu(100));
    scheduler.setModel('quick', gpu(10));
    scheduler.setModel('slow', { ...gpu(80), load: 60 });
    arrive('first');
    start(0);
    arrive('quick', 30);
    arrive('slow', 30);
    // The slow run must be loaded for 60 ms. It would reach the GPU at 100 ms, as the quick one does.
    expect(runsOf([...scheduler.decide(30), ...scheduler.decide(40)])).toEqual([]);
    expect(scheduler.lookAt).toBe(50);
    expect(start(50).model).toBe('slow');
    scheduler.complete(0, 100);
    expect(start(100).model).toBe('quick');
  });

  it('a batch waits for the next arrival if that costs less than it saves', () => {
    host(1000);
    scheduler.setModel('m', costs());
    // One each 200 ms is not worth waiting for.
    for (const now of [0, 200, 400]) {
      arrive('m', now);
      scheduler.complete(start(now).id, now + 101);
      scheduler.decide(now + 101);
    }
    // Twelve come, each 10 ms after the one before; half of them run.
    for (let now = 510; now <= 620; now += 10) arrive('m', now);
    scheduler.complete(start(620).id, 625);
    expect(runsOf(scheduler.decide(625))).toEqual([]);
    const until = scheduler.lookAt as number;
    expect(until).toBeGreaterThan(625);
    expect(until).toBeLessThan(725);
    // None came.
    expect(start(until).batch).toBe(6);
  });
});

describe('a request that can never fit', () => {
  it('a request that can never fit is refused at once, with the figure', () => {
    host(100);
    scheduler.setModel('m', costs({ weights: 70, memory: { base: 20, perItem: 11 } }));
    arrive('m');
    expect(scheduler.decide(0)).toEqual([
      {
        kind: 'end',
        request: 0,
        outcome: {
          is: 'refused',
          why: 'too-large',
          reason:
            'The request needs 101 bytes of GPU memory (model m the most of it), and no host has more than 100.',
        },
      },
    ]);
  });

  it('a request whose outputs never fit together is refused, too', () => {
    host(100);
    scheduler.setModel('a', costs({ output: 40 }));
    scheduler.setModel('b', costs({ output: 40 }));
    scheduler.setModel('c', costs({ memory: { base: 0, perItem: 30 } }));
    arrive(graphOf(['a', 'b', 'c']));
    expect(endsOf(scheduler.decide(0))).toEqual([[0, 'refused']]);
  });

  it('a request waits if only now there is no room for it', () => {
    host(100);
    scheduler.setModel('m', costs({ memory: { base: 0, perItem: 90 } }));
    scheduler.setHost('host', { bytes: 50, limit: 100 });
    arrive('m');
    expect(scheduler.decide(0)).toEqual([]);
    scheduler.setHost('host', { bytes: 100, limit: 100 });
    expect(start(1).batch).toBe(1);
  });

  it('a request waits for a host if only the host of functions is there', () => {
    scheduler.setHost('functions', { bytes: 0, limit: 0 });
    scheduler.setModel('m', costs());
    arrive('m');
    expect(scheduler.decide(0)).toEqual([]);
    host(100);
    expect(start(1).batch).toBe(1);
  });
});

describe('the order', () => {
  it('the model with the most items for the time goes first', () => {
    host(1000);
    scheduler.setModel('slow', costs({ gpu: { base: 1000, perItem: 1 } }));
    scheduler.setModel('quick', costs({ gpu: { base: 10, perItem: 1 } }));
    arrive('slow');
    arrive('quick');
    expect(start(0).model).toBe('quick');
  });

  it('of one model, requests that end after it go before requests with steps to go', () => {
    host(10);
    scheduler.setModel('a', costs({ maxBatch: 1, gpu: { base: 10, perItem: 0 } }));
    scheduler.setModel('b', costs({ maxBatch: 1, gpu: { base: 50, perItem: 0 } }));
    const chain = graphOf(['a', 'b']);
    const [long, short] = [arrive(chain), arrive('a')];
    // One that comes later than the difference does not overtake.
    const run = start(0);
    expect(requestsOf(run)).toEqual([short]);
    const late = arrive('a', 60);
    scheduler.complete(run.id, 60);
    expect(requestsOf(start(60))).toEqual([long]);
    expect(late).toBe(2);
  });

  it('heavier requests of a model go first', () => {
    host(10);
    scheduler.setModel('m', costs());
    const light = arrive('m');
    const heavy = arrive('m', 0, { weight: 2 });
    expect(requestsOf(start(0))).toEqual([heavy]);
    scheduler.complete(0, 101);
    expect(requestsOf(start(101))).toEqual([light]);
  });

  it('tasks further down a graph go first', () => {
    host(1000);
    scheduler.setModel('a', costs({ maxBatch: 1 }));
    scheduler.setModel('b', costs({ maxBatch: 1 }));
    const graph = graphOf(['a', 'b']);
    arrive(graph);
    arrive(graph);
    scheduler.complete(start(0).id, 101);
    expect(start(101).model).toBe('b');
  });

  it('memory is kept for a request that has waited too long', () => {
    host(100, 2);
    const wait = { base: 100, perItem: 0 };
    scheduler.setModel('small', costs({ maxBatch: 1, memory: { base: 0, perItem: 30 }, gpu: NONE, wait }));
    scheduler.setModel('large', costs({ memory: { base: 0, perItem: 100 } }));
    // Of two lanes one is always in the midst of a small run.
    arrive('small');
    let [run] = [start(0)];
    const large = arrive('large', 10);
    let now = 50;
    for (; now < 30_000; now += 50) {
      arrive('small', now);
      const next = runsOf(scheduler.decide(now))[0];
      scheduler.complete(run.id, now + 50);
      if (!next) break;
      run = next;
    }
    expect(now).toBeGreaterThan(10_000);
    expect(now).toBeLessThan(10_200);
    expect(start(now + 50).model).toBe('large');
    scheduler.complete(run.id + 1, now + 200);
    expect(endsOf(scheduler.decide(now + 200))).toContainEqual([large, 'done']);
  });
});

describe('a request whose time is up', () => {
  it('a request whose time is up expires, and is not computed', () => {
    host(10);
    scheduler.setModel('m', costs());
    arrive('m');
    const late = arrive('m', 0, { deadline: 50 });
    start(0);
    expect(scheduler.lookAt).toBe(50);
    expect(endsOf(scheduler.decide(50))).toEqual([[late, 'expired']]);
    scheduler.complete(0, 101);
    expect(runsOf(scheduler.decide(101))).toEqual([]);
  });

  it('a cancelled request leaves, and gets no end', () => {
    host(10);
    scheduler.setModel('m', costs());
    arrive('m');
    const cancelled = arrive('m');
    start(0);
    scheduler.cancel(cancelled);
    scheduler.complete(0, 101);
    expect(scheduler.decide(101)).toEqual([{ kind: 'end', request: 0, outcome: { is: 'done' } }]);
  });
});

describe('steps of graphs', () => {
  it('a graph begins only if all graphs that have begun can finish', () => {
    // Two requests that have each taken the first step would have 80 bytes, and the second step needs 60.
    host(100, 2);
    scheduler.setModel('a', costs({ output: 40, gpu: NONE, wait: { base: 10, perItem: 0 } }));
    scheduler.setModel(
      'b',
      costs({ memory: { base: 0, perItem: 60 }, gpu: NONE, wait: { base: 10, perItem: 0 } }),
    );
    const graph = graphOf(['a', 'b']);
    const requests = [arrive(graph), arrive(graph)];
    const ended: number[] = [];
    let most = 0;
    for (let now = 0; ended.length < 2 && now < 1000; now += 10) {
      const decisions = scheduler.decide(now);
      expect(decisions.filter(({ kind }) => kind === 'restart')).toEqual([]);
      ended.push(...endsOf(decisions).map(([request]) => request));
      most = Math.max(most, scheduler.memoryOf('host')?.held ?? 0);
      for (const run of runsOf(decisions)) scheduler.complete(run.id, now + 10);
    }
    expect(ended).toEqual(requests);
    expect(most).toBe(40);
  });

  it('steps run once for each element of a step, and join when all are done', () => {
    host(1000);
    scheduler.setHost('here', { bytes: 0, limit: 0 });
    scheduler.addLane('cpu', { host: 'here', resource: 'cpu' });
    scheduler.setModel(
      'crop',
      costs({ resource: 'cpu', memory: NONE, gpu: NONE, wait: { base: 1, perItem: 0 } }),
    );
    scheduler.setModel('m', costs({ maxBatch: 2 }));
    const graph: ScheduledGraph = {
      name: 'page',
      steps: [
        { model: 'crop', after: [] },
        { model: 'm', after: [0], each: 0 },
        { model: 'crop', after: [1] },
      ],
    };
    arrive(graph);
    scheduler.complete(start(0).id, 1, [3]);
    const first = start(1);
    expect(first).toMatchObject({ model: 'm', slices: [{ request: 0, step: 1, from: 0, count: 2 }] });
    scheduler.complete(first.id, 100);
    const second = start(100);
    expect(second).toMatchObject({ slices: [{ request: 0, step: 1, from: 2, count: 1 }] });
    expect(runsOf(scheduler.decide(101))).toEqual([]);
    scheduler.complete(second.id, 200);
    scheduler.complete(start(200).id, 201);
    expect(endsOf(scheduler.decide(201))).toEqual([[0, 'done']]);
  });

  it('steps that would run for no element are done', () => {
    host(1000);
    scheduler.setModel('a', costs());
    scheduler.setModel('b', costs());
    arrive({
      name: 'none',
      steps: [
        { model: 'a', after: [] },
        { model: 'b', after: [0], each: 0 },
      ],
    });
    scheduler.complete(start(0).id, 101, [0]);
    expect(endsOf(scheduler.decide(101))).toEqual([[0, 'done']]);
  });

  it('graphs begin again if their outputs leave no room in a shrunken capacity', () => {
    host(100);
    scheduler.setModel('a', costs({ output: 40 }));
    scheduler.setModel('b', costs({ memory: { base: 0, perItem: 60 } }));
    arrive(graphOf(['a', 'b']));
    scheduler.complete(start(0).id, 101);
    scheduler.setHost('host', { bytes: 70, limit: 100 });
    expect(scheduler.decide(101)).toContainEqual({ kind: 'restart', request: 0 });
    expect(scheduler.memoryOf('host')).toMatchObject({ held: 0 });
  });

  it('graphs begin again in a shrunken capacity, although functions run all the time', () => {
    host(100);
    scheduler.setHost('here', { bytes: 0, limit: 0 });
    scheduler.addLane('function', { host: 'here', resource: 'cpu' });
    scheduler.setModel('a', costs({ output: 40 }));
    scheduler.setModel('b', costs({ memory: { base: 0, perItem: 60 } }));
    scheduler.setModel('f', costs({ resource: 'cpu', memory: NONE, gpu: NONE }));
    arrive(graphOf(['a', 'b']));
    scheduler.complete(start(0).id, 101);
    arrive('f', 101);
    scheduler.setHost('host', { bytes: 70, limit: 100 });
    const decisions = scheduler.decide(101);
    expect(runsOf(decisions).map(({ model }) => model)).toContain('f');
    expect(decisions).toContainEqual({ kind: 'restart', request: 0 });
  });
});

describe('a run that fails', () => {
  it('a run without enough memory runs again in halves, and the model keeps to that size', () => {
    host(1000);
    scheduler.setModel('m', costs());
    for (let count = 0; count < 8; count += 1) arrive('m');
    expect(start(0).batch).toBe(8);
    scheduler.fail(0, 10, { reason: 'out of memory', memory: true });
    arrive('m', 10);
    expect(requestsOf(start(10))).toEqual([0, 1, 2, 3]);
    scheduler.complete(1, 20);
    expect(requestsOf(start(20))).toEqual([4, 5, 6, 7]);
    for (let count = 0; count < 8; count += 1) arrive('m', 20);
    scheduler.complete(2, 30);
    expect(start(30).batch).toBeLessThanOrEqual(4);
  });

  it('of a failed run the one bad item is found, and no other fails', () => {
    host(1000);
    scheduler.setModel('m', costs());
    for (let count = 0; count < 8; count += 1) arrive('m');
    const ends: [number, string][] = [];
    for (let now = 0; scheduler.requests > 0 && now < 100; now += 1) {
      const decisions = scheduler.decide(now);
      ends.push(...endsOf(decisions));
      for (const run of runsOf(decisions)) {
        if (requestsOf(run).includes(5)) scheduler.fail(run.id, now, { reason: 'NaN' });
        else scheduler.complete(run.id, now);
      }
    }
    ends.push(...endsOf(scheduler.decide(100)));
    expect(ends.filter(([, outcome]) => outcome === 'failed')).toEqual([[5, 'failed']]);
    expect(ends).toHaveLength(8);
  });

  it('the items of a lost lane run elsewhere', () => {
    host(1000, 2);
    scheduler.setModel('m', costs());
    for (let count = 0; count < 3; count += 1) arrive('m');
    const run = start(0);
    scheduler.loseLane(run.lane, 10);
    const again = start(10);
    expect(again).toMatchObject({ batch: 3, slices: run.slices });
    expect(again.lane).not.toBe(run.lane);
    scheduler.complete(run.id, 20);
    expect(scheduler.decide(20)).toEqual([]);
    scheduler.complete(again.id, 30);
    expect(endsOf(scheduler.decide(30))).toHaveLength(3);
  });

  it("a failure by another item's fault does not count when a lane is lost", () => {
    host(1000);
    scheduler.setModel('m', costs());
    for (let count = 0; count < 8; count += 1) arrive('m');
    // The eighth fails each run that it is in; then the lane of another one is lost.
    scheduler.fail(start(0).id, 1, { reason: 'NaN' });
    for (let now = 1, lost = false; scheduler.requests > 0; now += 1) {
      const decisions = scheduler.decide(now);
      const failed = endsOf(decisions).filter(([, outcome]) => outcome === 'failed');
      expect(failed.filter(([request]) => request !== 7)).toEqual([]);
      for (const run of runsOf(decisions)) {
        if (requestsOf(run).includes(7)) scheduler.fail(run.id, now, { reason: 'NaN' });
        else if (run.batch === 1 && !lost) {
          lost = true;
          scheduler.loseLane(run.lane, now);
          scheduler.addLane(run.lane, { host: 'host', resource: 'gpu' });
        } else scheduler.complete(run.id, now);
      }
    }
  });

  it('an item that loses each of its lanes fails after a few', () => {
    host(1000);
    scheduler.setModel('m', costs());
    arrive('m');
    for (let lost = 0; lost < 3; lost += 1) {
      const run = start(lost);
      scheduler.loseLane(run.lane, lost, `It ended, the ${lost + 1}. time.`);
      scheduler.addLane(run.lane, { host: 'host', resource: 'gpu' });
    }
    const reason = '3 lanes were lost while they ran it. The last one: It ended, the 3. time.';
    expect(scheduler.decide(3)).toMatchObject([
      { kind: 'end', request: 0, outcome: { is: 'failed', reason } },
    ]);
  });
});

describe('models that do not all fit', () => {
  it('models are unloaded if others need their memory, the least recently used first', () => {
    host(100);
    for (const name of ['a', 'b', 'c']) scheduler.setModel(name, costs({ weights: 40, load: 10 }));
    let now = 0;
    for (const [model, unloaded] of [['a'], ['b'], ['a'], ['c', 'b'], ['b', 'a']]) {
      arrive(model as string, now);
      const decisions = scheduler.decide(now);
      expect(decisions.filter(({ kind }) => kind === 'unload')).toEqual(
        unloaded ? [{ kind: 'unload', lane: 'lane0', file: unloaded }] : [],
      );
      now += 1000;
      for (const run of runsOf(decisions)) scheduler.complete(run.id, now);
      scheduler.decide(now);
    }
    expect(scheduler.memoryOf('host')).toEqual({ weights: 80, running: 0, held: 0 });
  });

  it('a model gets a second copy only if a run is late for longer than loading takes', () => {
    host(1000, 2);
    const wait = { base: 100, perItem: 1 };
    scheduler.setModel('m', costs({ maxBatch: 1, weights: 10, load: 30, gpu: NONE, wait }));
    arrive('m');
    // It should end at 131, with what loading takes.
    expect(start(0)).toMatchObject({ lane: 'lane0', load: true });
    arrive('m', 100);
    expect(scheduler.decide(131)).toEqual([]);
    expect(scheduler.decide(140)).toEqual([]);
    expect(scheduler.lookAt).toBe(149);
    expect(start(170)).toMatchObject({ lane: 'lane1', load: true });
  });

  it('removed models are unloaded after their runs, and requests that wait for them are refused', () => {
    host(10);
    scheduler.setModel('m', costs({ weights: 0 }));
    const [running, waiting] = [arrive('m'), arrive('m')];
    const run = start(0);
    scheduler.removeModel('m');
    expect(endsOf(scheduler.decide(1))).toEqual([[waiting, 'refused']]);
    scheduler.complete(run.id, 101);
    expect(scheduler.decide(101)).toEqual([
      { kind: 'end', request: running, outcome: { is: 'done' } },
      { kind: 'unload', lane: 'lane0', file: 'm' },
    ]);
  });
});

it('a full queue refuses requests', () => {
  scheduler = new Scheduler({ maxRequests: 1 });
  host(100);
  scheduler.setModel('m', costs());
  arrive('m');
  arrive('m');
  expect(endsOf(scheduler.decide(0))).toEqual([[1, 'refused']]);
});

describe('models that share a file', () => {
  it('models of one file count its weights once on a lane, and need no load of their own', () => {
    host(100);
    for (const name of ['small', 'large']) scheduler.setModel(name, costs({ file: 'f', weights: 40 }));
    arrive('small');
    expect(start(0)).toMatchObject({ model: 'small', load: true });
    scheduler.complete(0, 100);
    arrive('large', 100);
    expect(start(100)).toMatchObject({ model: 'large', load: false });
    expect(scheduler.memoryOf('host')).toMatchObject({ weights: 40 });
    scheduler.complete(1, 200);
  });

  it('a shared file is unloaded with the last of its models', () => {
    host(100);
    for (const name of ['small', 'large']) scheduler.setModel(name, costs({ file: 'f', weights: 40 }));
    arrive('small');
    start(0);
    scheduler.complete(0, 100);
    scheduler.removeModel('small');
    expect(scheduler.decide(100)).not.toContainEqual(expect.objectContaining({ kind: 'unload' }));
    scheduler.removeModel('large');
    expect(scheduler.decide(100)).toEqual([{ kind: 'unload', lane: 'lane0', file: 'f' }]);
  });
});

describe('a step that is known late', () => {
  const graph = graphOf(['a', 'b']);

  it('a late step gets its model and its items when the step before is done', () => {
    host(1000);
    for (const name of ['a', 'b', 'b wide']) scheduler.setModel(name, costs());
    const tasks = [
      { model: 'a', items: 1 },
      { model: 'b wide', items: 3 },
    ];
    scheduler.arrive(
      { id: 7, graph, items: 1, taskOf: (step) => tasks[step] as { model: string; items: number } },
      0,
    );
    expect(start(0)).toMatchObject({ model: 'a', batch: 1 });
    scheduler.complete(0, 100);
    expect(start(100)).toMatchObject({ model: 'b wide', batch: 3 });
    scheduler.complete(1, 200);
    expect(endsOf(scheduler.decide(200))).toEqual([[7, 'done']]);
  });

  it('a late step that cannot run fails its request', () => {
    host(1000);
    for (const name of ['a', 'b']) scheduler.setModel(name, costs());
    const taskOf = (step: number) => (step === 0 ? { model: 'a', items: 1 } : { reason: 'It is too wide.' });
    scheduler.arrive({ id: 7, graph, items: 1, taskOf }, 0);
    start(0);
    scheduler.complete(0, 100);
    expect(scheduler.decide(100)).toEqual([
      { kind: 'end', request: 7, outcome: { is: 'failed', reason: 'It is too wide.' } },
    ]);
    expect(scheduler.memoryOf('host')).toMatchObject({ held: 0, running: 0 });
  });
});

describe('a run that could not begin', () => {
  it('the items of a run that could not begin wait again, and it counts as no failure', () => {
    host(100);
    scheduler.setModel('m', costs());
    for (let count = 0; count < 8; count += 1) arrive('m');
    expect(start(0)).toMatchObject({ batch: 8 });
    scheduler.setHost('host', { bytes: 45, limit: 100 });
    scheduler.putBack(0, 0);
    expect(start(0)).toMatchObject({ batch: 4 });
    scheduler.complete(1, 100);
    expect(start(100)).toMatchObject({ batch: 4 });
  });
});

describe('items that run again', () => {
  /** Models `b` keep both lanes busy, which are never idle at once. Returns after which time the request runs. */
  function waitsFor(request: number, from: number, ...running: { id: number; at: number }[]): number {
    for (let now = from; now < from + 60_000; now += 50) {
      for (const each of running.filter(({ at }) => at <= now)) {
        running.splice(running.indexOf(each), 1);
        scheduler.complete(each.id, now);
        arrive('b', now);
        for (const run of runsOf(scheduler.decide(now))) {
          if (requestsOf(run).includes(request)) return now - from;
          running.push({ id: run.id, at: now + 100 });
        }
      }
    }
    return Number.POSITIVE_INFINITY;
  }

  const quick = { maxBatch: 1, gpu: NONE, wait: { base: 100, perItem: 0 } };

  it('an item that needs its host for itself gets it, however many others wait', () => {
    host(1000, 2);
    scheduler.setModel('a', costs(quick));
    scheduler.setModel('b', costs(quick));
    arrive('b');
    const first = start(0);
    const large = arrive('a', 50);
    const second = start(50);
    // Perhaps the first run had the memory.
    scheduler.fail(second.id, 60, { reason: 'out of memory', memory: true });
    arrive('b', 60);
    const others = runsOf(scheduler.decide(60)).map(({ id }) => ({ id, at: 150 }));
    expect(waitsFor(large, 100, { id: first.id, at: 100 }, ...others)).toBeLessThan(500);
  });

  it('memory is kept for items that run again once they have waited too long', () => {
    host(100, 2);
    scheduler.setModel('a', costs({ ...quick, memory: { base: 0, perItem: 80 } }));
    scheduler.setModel('b', costs({ ...quick, memory: { base: 0, perItem: 40 } }));
    const large = arrive('a');
    const run = start(0);
    scheduler.setHost('host', { bytes: 50, limit: 100 });
    scheduler.putBack(run.id, 0);
    arrive('b', 0);
    const first = start(0);
    scheduler.setHost('host', { bytes: 100, limit: 100 });
    arrive('b', 50);
    const second = start(50);
    expect(waitsFor(large, 100, { id: first.id, at: 100 }, { id: second.id, at: 150 })).toBeLessThan(15_000);
  });
});

it('a request of hardly any weight runs when no other waits', () => {
  host(1000);
  scheduler.setModel('m', costs({ maxBatch: 1 }));
  for (let count = 0; count < 2; count += 1) arrive('m', 0, { weight: 4 });
  const light = arrive('m', 0, { weight: 4 / Number.MAX_SAFE_INTEGER });
  for (const now of [0, 100]) scheduler.complete(start(now).id, now + 100);
  expect(requestsOf(start(200))).toEqual([light]);
});

describe('a request whose items run together', () => {
  it('items that run together are in one batch, although smaller ones would be done sooner', () => {
    host(1000, 3);
    scheduler.setModel('m', costs({ gpu: { base: 1, perItem: 100 } }));
    scheduler.arrive({ id: 1, graph: graphOf(['m']), items: 8, together: true }, 0);
    expect(start(0)).toMatchObject({ batch: 8 });
  });
});

describe('a model that turns out to need more than any host has', () => {
  it('requests that wait for a model that fits no host any more are refused', () => {
    host(100);
    scheduler.setModel('m', costs({ maxBatch: 1 }));
    for (let count = 0; count < 2; count += 1) arrive('m');
    start(0);
    scheduler.setModel('m', costs({ maxBatch: 1, memory: { base: 0, perItem: 101 } }));
    expect(endsOf(scheduler.decide(50))).toEqual([[1, 'refused']]);
    scheduler.complete(0, 100);
    expect(endsOf(scheduler.decide(100))).toEqual([[0, 'done']]);
  });
});

describe('several tenants', () => {
  /** Runs for so many milliseconds, each run as long as the scheduler expects. @returns items by tenant */
  const serve = (from: number, until: number, tenantOf: (id: number) => string): Record<string, number> => {
    const items: Record<string, number> = {};
    for (let now = from; now < until; ) {
      const run = start(now);
      now += 100 + run.batch;
      for (const { request, count } of run.slices) {
        const tenant = tenantOf(request);
        items[tenant] = (items[tenant] ?? 0) + count;
      }
      scheduler.complete(run.id, now);
    }
    return items;
  };

  it("a tenant's request does not wait for another tenant's thousands for the same model", () => {
    host(1000);
    scheduler.setModel('m', costs());
    for (let count = 0; count < 10_000; count += 1) arrive('m', 0, { tenant: 'a' });
    scheduler.complete(start(0).id, 108);
    const late = arrive('m', 108, { tenant: 'b' });
    const run = start(108);
    expect(requestsOf(run)).toContain(late);
    expect(run.batch).toBe(8);
  });

  it("a tenant's request does not wait for another tenant's thousands for another model", () => {
    host(1000);
    scheduler.setModel('m', costs());
    scheduler.setModel('n', costs());
    for (let count = 0; count < 10_000; count += 1) arrive('m', 0, { tenant: 'a' });
    // They have waited for so long that they go before all others of their tenant.
    scheduler.complete(start(0).id, 20_000);
    const late = arrive('n', 20_000, { tenant: 'b' });
    const now = 20_000;
    const first = start(now);
    scheduler.complete(first.id, now + 108);
    const second = start(now + 108);
    expect([...requestsOf(first), ...requestsOf(second)]).toContain(late);
  });

  it('tenants have equal shares of the time, whatever priorities they give to their requests', () => {
    host(1000);
    scheduler.setModel('m', costs());
    scheduler.setModel('n', costs());
    const tenants: string[] = [];
    for (let count = 0; count < 5000; count += 1) {
      tenants[arrive('m', 0, { tenant: 'a', weight: 4 })] = 'a';
      if (count < 2000) tenants[arrive('n', 0, { tenant: 'b' })] = 'b';
    }
    const { a = 0, b = 0 } = serve(0, 20_000, (id) => tenants[id] as string);
    expect(a / b).toBeGreaterThan(0.9);
    expect(a / b).toBeLessThan(1.1);
  });

  it('tenants have shares of the time by their weights', () => {
    host(1000);
    scheduler.setModel('m', costs());
    const tenants: string[] = [];
    for (let count = 0; count < 5000; count += 1) {
      tenants[arrive('m', 0, { tenant: 'a', share: 3 })] = 'a';
      tenants[arrive('m', 0, { tenant: 'b' })] = 'b';
    }
    const { a = 0, b = 0 } = serve(0, 20_000, (id) => tenants[id] as string);
    expect(a / b).toBeGreaterThan(2.8);
    expect(a / b).toBeLessThan(3.2);
  });

  it('a tenant that was away gets no more than its share when it is back', () => {
    host(1000);
    scheduler.setModel('m', costs());
    const tenants: string[] = [];
    for (let count = 0; count < 5000; count += 1) tenants[arrive('m', 0, { tenant: 'a' })] = 'a';
    serve(0, 10_000, () => 'a');
    for (let count = 0; count < 5000; count += 1) tenants[arrive('m', 11_000, { tenant: 'b' })] = 'b';
    const { a = 0, b = 0 } = serve(11_000, 21_000, (id) => tenants[id] as string);
    expect(a / b).toBeGreaterThan(0.9);
  });
});
