import { describe, expect, it } from 'vitest';
import { deferred } from '#farlight/link/machine/deferred.js';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import { SPAN, type Span, spanMask } from '#farlight/proto/session/spans.js';
import { SessionTracer } from '#farlight/server/executor/trace/session-tracer.js';
import { limitSpans, Tracer } from '#farlight/server/executor/trace/tracer.js';
import { FakeQueue, FakeTime } from '../support/time/fake-time.js';

function record(options: { mostSpans?: number; kinds?: number } = {}) {
  const time = new FakeTime();
  const tracer = new Tracer({ clock: time.clock, mostSpans: options.mostSpans, waitMs: 50 });
  const lists: Span[][] = [];
  const stop = tracer.watch((spans) => lists.push(spans), options.kinds);
  return { time, tracer, lists, stop, spans: () => lists.flat() };
}

describe('a tracer', () => {
  it('keeps nothing, asks the GPU nothing and sets no timer while nobody watches', async () => {
    const time = new FakeTime();
    const tracer = new Tracer({ clock: time.clock });
    const queue = new FakeQueue();
    tracer.add(SPAN.executed, { start: 0 });
    tracer.submitted(queue);
    expect([queue.asked, time.waiting, tracer.watches(SPAN.gpu)]).toEqual([0, 0, false]);
    const spans: Span[] = [];
    tracer.watch((list) => spans.push(...list));
    tracer.deliver();
    expect(spans).toEqual([]);
  });

  it('delivers spans together, when the oldest has waited long enough', async () => {
    const { time, tracer, lists } = record();
    tracer.add(SPAN.received, { start: 0, end: 1, number: 1, bytes: 10 });
    await time.pass(49);
    tracer.add(SPAN.executed, { start: 1, number: 1, bytes: 10 });
    expect(lists).toEqual([]);
    await time.pass(1);
    expect(lists).toEqual([
      [
        { kind: SPAN.received, name: '', label: '', start: 0, end: 1, number: 1, bytes: 10 },
        { kind: SPAN.executed, name: '', label: '', start: 1, end: 49, number: 1, bytes: 10 },
      ],
    ]);
    await time.pass(200);
    expect(lists).toHaveLength(1);
  });

  it('never keeps more spans than its bound, and loses none', () => {
    const { tracer, lists, spans } = record({ mostSpans: 4 });
    for (let number = 1; number <= 10; number += 1) tracer.add(SPAN.sent, { start: 0, number });
    tracer.deliver();
    expect(lists.map(({ length }) => length)).toEqual([4, 4, 2]);
    expect(spans().map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('gives each listener the kinds that it wants, and nothing after it stops', () => {
    const { tracer, spans, stop } = record({ kinds: spanMask(SPAN.compiled) });
    const others: Span[] = [];
    const stopOther = tracer.watch((list) => others.push(...list), spanMask(SPAN.awaited));
    tracer.add(SPAN.compiled, { start: 0 });
    tracer.add(SPAN.awaited, { start: 0 });
    tracer.add(SPAN.executed, { start: 0 });
    tracer.deliver();
    expect([spans().map(({ kind }) => kind), others.map(({ kind }) => kind)]).toEqual([
      [SPAN.compiled],
      [SPAN.awaited],
    ]);
    stop();
    tracer.add(SPAN.compiled, { start: 0 });
    tracer.deliver();
    expect([spans().length, tracer.watches(SPAN.compiled), tracer.watches(SPAN.awaited)]).toEqual([
      1,
      false,
      true,
    ]);
    stopOther();
    expect(tracer.watches(SPAN.awaited)).toBe(false);
  });

  it('gives a listener no spans that ended before it came', () => {
    const { tracer } = record();
    tracer.add(SPAN.sent, { start: 0 });
    const late: Span[] = [];
    tracer.watch((list) => late.push(...list));
    tracer.deliver();
    expect(late).toEqual([]);
  });

  it('counts the GPU as busy from a submit until it is done, with one question at a time', async () => {
    const { time, tracer, spans } = record();
    const queue = new FakeQueue();
    await time.pass(10);
    tracer.submitted(queue);
    await time.pass(5);
    tracer.submitted(queue);
    tracer.submitted(queue);
    expect(queue.asked).toBe(1);
    await time.pass(5);
    queue.done();
    await time.pass(5);
    expect(queue.asked).toBe(2);
    queue.done();
    await time.pass(60);
    expect(spans().map(({ kind, start, end }) => [kind, start, end])).toEqual([
      [SPAN.gpu, 10, 21],
      [SPAN.gpu, 21, 26],
    ]);
    expect(queue.asked).toBe(2);
  });

  it('does not ask the GPU again when nobody watches any more', async () => {
    const { time, tracer, stop } = record();
    const queue = new FakeQueue();
    tracer.submitted(queue);
    tracer.submitted(queue);
    stop();
    queue.done();
    await time.pass(1);
    expect(queue.asked).toBe(1);
  });
});

describe("a session's spans", () => {
  const { createComputePipeline, createComputePipelineAsync } = OPERATIONS.GPUDevice;
  const { mapAsync } = OPERATIONS.GPUBuffer;

  it('number flushes and frames from the start, also those that nobody watched', async () => {
    const time = new FakeTime();
    const tracer = new Tracer({ clock: time.clock });
    const session = new SessionTracer(tracer);
    session.flush(5, () => {});
    session.sent(7, false);
    const spans: Span[] = [];
    tracer.watch((list) => spans.push(...list));
    session.part();
    await time.pass(3);
    session.flush(100, () => {
      time.time += 4;
    });
    session.sent(9, false);
    session.sent(500, true);
    tracer.deliver();
    expect(spans.map(({ kind, start, end, number, bytes }) => [kind, start, end, number, bytes])).toEqual([
      [SPAN.received, 0, 3, 2, 100],
      [SPAN.executed, 3, 7, 2, 100],
      [SPAN.sent, 7, 7, 2, 9],
    ]);
  });

  it('have the operation and label of an awaited command, and leave with its reply', () => {
    const { tracer, spans } = record();
    const session = new SessionTracer(tracer);
    session.awaited({ operation: mapAsync, args: [1, 0] }, { label: 'result' }, 5)?.();
    expect(spans()).toMatchObject([
      { kind: SPAN.awaited, name: 'GPUBuffer.mapAsync', label: 'result', number: 5 },
    ]);
  });

  it('include a pipeline that could not be made, and pass its exception on', () => {
    const { tracer, spans } = record();
    const session = new SessionTracer(tracer);
    const command = { operation: createComputePipeline, args: [{ label: 'wrong' }] };
    const fail = () => {
      throw new TypeError('no');
    };
    expect(() => session.compile(command, fail)).toThrow('no');
    tracer.deliver();
    expect(spans()).toMatchObject([{ kind: SPAN.compiled, label: 'wrong' }]);
  });

  it('last from the call for a pipeline until it is there, at once or later', async () => {
    const { time, tracer, spans } = record();
    const session = new SessionTracer(tracer);
    const command = { operation: createComputePipeline, args: [{ label: 'matmul' }] };
    expect(session.compiles({ compiles: true })).toBe(true);
    expect(session.compiles({ compiles: false })).toBe(false);
    session.compile(command, () => {
      time.time += 30;
    });
    const there = deferred<void>();
    const later = { operation: createComputePipelineAsync, args: [{ label: 'conv' }] };
    session.compile(later, () => ({ promise: there.promise }));
    await time.pass(12);
    there.resolve();
    await time.pass(60);
    expect(spans()).toMatchObject([
      { kind: SPAN.compiled, name: 'GPUComputePipeline', label: 'matmul', start: 0, end: 30 },
      { kind: SPAN.compiled, name: 'GPUComputePipeline', label: 'conv', start: 30, end: 43 },
    ]);
  });
});

it('an executor tells of at most 4,000 spans a second, and of how many it left out', () => {
  let now = 0;
  const told: [number, number][] = [];
  const take = limitSpans(
    (spans, left) => told.push([spans.length, left]),
    () => now,
  );
  const sent = { kind: SPAN.sent, name: '', label: '', start: 0, end: 0, number: 0, bytes: 0 };
  const many = Array.from({ length: 3000 }, () => sent);
  take(many);
  take(many);
  take(many);
  now = 1000;
  take(many);
  expect(told).toEqual([
    [3000, 0],
    [1000, 2000],
    [3000, 3000],
  ]);
});
