import { describe, expect, it } from 'vitest';
import type { RequestSpan } from '#farlight/infer/service/request-span.js';
import { int32, mapping } from './fake-lanes.js';
import { type Served, serve } from './served.js';

const NONE = { base: 0, perItem: 0 };
/** 20 ms on the way to the GPU, and 100 ms there. */
const slow = mapping((x) => x, { wait: { base: 20, perItem: 0 }, gpu: { base: 100, perItem: 0 } });

/** The spans of a request to a model or a graph, in whole milliseconds from its arrival. */
function ask({ engine, time }: Served, model: string, name = 'x', rows = 1) {
  const spans: RequestSpan[] = [];
  const start = time.now();
  const input = int32(name, [rows, 2], Array(2 * rows).fill(1));
  const answered = engine.infer({ model, inputs: [input], onSpan: (span) => spans.push(span) });
  const told = () =>
    spans.map(({ part, from, to, what }) => [part, Math.round(from - start), Math.round(to - start), what]);
  return { answered, told, spans };
}

describe('the time of a request', () => {
  it('the time of a request has its parts: the queue, the way to the lane, and the GPU', async () => {
    const served = await serve({ slow });
    const first = ask(served, 'slow');
    await served.time.pass(10);
    const second = ask(served, 'slow');
    await served.time.until(Promise.all([first.answered, second.answered]));
    const what = 'model slow version 1';
    expect(first.told()).toEqual([
      ['move', 0, 20, what],
      ['gpu', 20, 120, what],
    ]);
    expect(second.told()).toEqual([
      ['queue', 0, 110, what],
      ['move', 110, 130, what],
      ['gpu', 130, 230, what],
    ]);
    expect(first.spans[0]?.run).toMatchObject({ lane: 'gpu#0', batch: 1, items: 1 });
    expect(first.spans[0]?.run?.id).not.toBe(second.spans[0]?.run?.id);
  });

  it("a run that waits for the GPU beside a free lane counts as the batch's part", async () => {
    const served = await serve({ slow }, { lanes: 2 });
    const first = ask(served, 'slow');
    await served.time.pass(1);
    const second = ask(served, 'slow');
    const third = ask(served, 'slow');
    await served.time.until(Promise.all([first.answered, second.answered, third.answered]));
    const parts = second.told().map(([part]) => part);
    expect(parts).toContain('batch');
    expect(parts).not.toContain('queue');
    expect(second.spans.at(-1)?.run).toMatchObject({ batch: 2, items: 1 });
    expect(second.spans.at(-1)?.run?.id).toBe(third.spans.at(-1)?.run?.id);
  });

  it("each load of a model is a part of the request's time", async () => {
    const weights = { weights: 600, load: 50, gpu: { base: 10, perItem: 0 } };
    const served = await serve(
      { a: mapping((x) => x, weights), b: mapping((x) => x, weights) },
      { bytes: 1000 },
    );
    const [one, other] = [ask(served, 'a'), ask(served, 'b')];
    await served.time.until(Promise.all([one.answered, other.answered]));
    const loads = [one, other].flatMap(({ told }) => told()).filter(([part]) => part === 'load');
    expect(loads.length).toBeGreaterThan(0);
    for (const [, from, to] of loads) expect(Number(to) - Number(from)).toBe(50);
  });

  it('the parts of a request name the steps of its graph, and tell functions from runs on the GPU', async () => {
    const copy = {
      inputs: [],
      outputs: [],
      costs: { weights: 0, memory: NONE, gpu: NONE, wait: { base: 7, perItem: 0 }, load: 0 },
      compute: ({ page }: Record<string, unknown>) => ({ x: { ...(page as object), name: 'x' } }) as never,
    };
    const graph = `
inputs: [page]
steps:
  copy: { function: f.mjs#copy, inputs: { page: page } }
  run: { model: slow, inputs: { x: copy.x } }
outputs: { y: run.y }
types: { page: 'INT32[-1,2]' }
`;
    const files = { 'g/graph.yaml': graph, 'g/f.mjs': 'export {};' };
    const served = await serve({ slow }, { files, functions: { copy } });
    const asked = ask(served, 'g', 'page');
    await served.time.until(asked.answered);
    expect(asked.told().map(([part, , , what]) => [part, what])).toEqual([
      ['function', 'function f.mjs#copy of graph g'],
      ['move', 'model slow version 1'],
      ['gpu', 'model slow version 1'],
    ]);
  });

  it('a span of a failed run has the reason', async () => {
    const served = await serve({
      broken: {
        ...slow,
        compute: () => {
          throw new Error('It cannot.');
        },
      },
    });
    const { answered, spans } = ask(served, 'broken');
    await expect(served.time.until(answered)).rejects.toThrow('It cannot.');
    expect(spans.at(-1)).toMatchObject({ part: 'gpu', failed: 'It cannot.' });
  });
});

describe('the state of a service', () => {
  it('the state has the waiting items, the runs, and the work of each lane', async () => {
    const served = await serve({ slow, other: slow });
    const { engine, time } = served;
    const asked = [ask(served, 'slow', 'x', 3), ask(served, 'other')];
    await time.pass(30);
    const { queues, lanes, hosts, requests } = engine.state();
    expect(requests).toBe(2);
    const running = queues.find((queue) => queue.running > 0);
    const waiting = queues.find((queue) => queue.waiting > 0);
    expect([running?.model, waiting?.model].sort()).toEqual(['other', 'slow']);
    expect(running).toMatchObject({ waiting: 0, oldest: 0, version: '1' });
    expect(waiting).toMatchObject({ running: 0, oldest: 30 });
    expect(lanes[0]).toMatchObject({
      name: 'gpu#0',
      host: 'gpu',
      state: 'running',
      what: `model ${running?.model} version 1`,
      items: running?.running,
      for: 30,
    });
    expect(lanes[1]).toMatchObject({ resource: 'cpu', state: 'idle' });
    expect(hosts[0]).toMatchObject({ name: 'gpu', memory: { limit: 1_000_000, available: 1_000_000 } });
    expect(hosts[1]).not.toHaveProperty('memory');
    await time.until(Promise.all(asked.map(({ answered }) => answered)));
    expect(engine.state()).toMatchObject({ requests: 0, lanes: [{ state: 'idle', for: 0 }, {}] });
  });

  it('the state has the reason of a closed lane, and each run is reported with its items', async () => {
    const served = await serve({ slow });
    const items: number[] = [];
    const stop = served.engine.onRun((each) => items.push(each));
    await served.time.until(ask(served, 'slow', 'x', 3).answered);
    stop();
    await served.time.until(ask(served, 'slow').answered);
    expect(items).toEqual([3]);
    served.host.isDown = true;
    for (const lane of served.host.open) lane.kill('The worker ended.');
    await served.time.pass(1);
    expect(served.engine.state().lanes[0]).toMatchObject({
      state: 'closed',
      reason: 'The worker ended.',
      loaded: [],
    });
  });
});
