import { beforeEach, describe, expect, it } from 'vitest';
import type { ObservedRequest } from '#farlight/infer/service/request-observer.js';
import { InferenceError } from '#farlight/infer/service/service.js';
import type { ServiceState } from '#farlight/infer/service/state.js';
import { Observatory } from '#farlight/infer/statistics/observatory.js';
import { FakeService } from '../protocol/fake-service.js';

const MEMORY = { available: 900, weights: 1, runs: 2, values: 3, queue: 0 };
const STATE: ServiceState = {
  requests: 2,
  backlog: 50,
  queues: [{ model: 'simple', version: '1', waiting: 3, running: 1, oldest: 20 }],
  hosts: [
    { name: 'gpu', resource: 'gpu', memory: { ...MEMORY, limit: 1000, used: 10, reserved: 20, others: 30 } },
    { name: 'functions', resource: 'cpu' },
  ],
  lanes: [{ name: 'gpu#0', host: 'gpu', resource: 'gpu', state: 'idle', for: 0, loaded: [] }],
};

/** Times are this many milliseconds since the test began, which is second 1000 since 1970. */
let now: number;
let ran: (items: number) => void;
let looks: number;
let observatory: Observatory;

beforeEach(() => {
  now = 0;
  looks = 0;
  class Service extends FakeService {
    override state(): ServiceState {
      looks += 1;
      return STATE;
    }
    override onRun(listener?: (items: number) => void) {
      ran = (items) => listener?.(items);
      return () => {};
    }
  }
  observatory = new Observatory({
    service: new Service(),
    name: 'farlight',
    version: '1.2.3',
    urls: () => ['http://127.0.0.1:8000'],
    now: () => now,
    time: () => 1_000_000 + now,
  });
});

function begin(tenant = 'alice'): ObservedRequest {
  return observatory.begin({ protocol: 'http', tenant, traceparent: undefined });
}

/** A request that is read for 1 ms, waits for 2, runs for `gpu`, and is answered in 1. */
function request({ tenant = 'alice', model = 'simple', gpu = 10 } = {}): void {
  const seen = begin(tenant);
  now += 1;
  seen.asked(model, undefined);
  const run = { id: 1, lane: 'gpu#0', batch: 4, items: 1 };
  seen.onSpan({ part: 'queue', from: now, to: now + 2, run });
  seen.onSpan({ part: 'gpu', from: now + 2, to: now + 2 + gpu, run });
  now += 2 + gpu;
  seen.done('1');
  now += 1;
  seen.end('200');
}

describe('an inference server', () => {
  it('the server knows where the time of each request went', () => {
    now = 5;
    request();
    expect(observatory.view().recent).toMatchObject([
      {
        model: 'simple',
        version: '1',
        tenant: 'alice',
        protocol: 'http',
        at: 1_000_005,
        ms: 14,
        outcome: 'done',
        parts: { receive: 1, queue: 2, gpu: 10, answer: 1, batch: 0 },
        runs: 1,
        largest: 4,
        lanes: ['gpu#0'],
      },
    ]);
    expect(observatory.view().times).toMatchObject([
      { model: 'simple', requests: 1, median: 14, p99: 14, parts: { gpu: { median: 10, p99: 10 } } },
    ]);
  });

  it('counts requests without a result by the reason, and their time in no model', () => {
    const unread = begin();
    now += 3;
    unread.failed(Object.assign(new Error('too long'), { status: 413 }));
    unread.end('413');
    const refused = begin();
    refused.asked('simple', undefined);
    refused.failed(new InferenceError('overloaded', 'Too much waits.'));
    refused.end('503');
    const broken = begin();
    broken.failed(new TypeError('a bug'));
    broken.end('500');
    const { recent, times, totals } = observatory.view();
    expect(recent.map(({ outcome, why }) => [outcome, why])).toEqual([
      ['internal', 'a bug'],
      ['overloaded', 'Too much waits.'],
      ['too-large', 'too long'],
    ]);
    expect(recent.at(-1)?.parts).toMatchObject({ receive: 3 });
    expect(times).toEqual([]);
    expect(totals).toEqual({ requests: 3, failed: 3 });
    expect(Object.fromEntries(observatory.refusals)).toEqual({ internal: 1, overloaded: 1, 'too-large': 1 });
  });

  it('keeps no more than the beginning of a name and of a reason, which a client may have made long', () => {
    const seen = begin();
    seen.asked('m'.repeat(1 << 20), 'v'.repeat(1 << 20));
    seen.failed(new InferenceError('not-found', `There is no model "${'m'.repeat(1 << 20)}".`));
    seen.end('404');
    const [{ model, version, why } = { model: '', version: '', why: '' }] = observatory.view().recent;
    expect([model.length, version.length, why.length]).toEqual([200, 200, 500]);
    expect(why).toMatch(/^There is no model "mmm/);
  });

  it('counts a request once, though its end is told twice', () => {
    const seen = begin();
    seen.end('200');
    seen.end('');
    expect(observatory.view()).toMatchObject({ open: 0, totals: { requests: 1 } });
  });

  it('shows its owner all tenants, queues, lanes and hosts', () => {
    request();
    request({ tenant: 'bob' });
    begin('bob');
    const { all, open, tenant, urls } = observatory.view();
    expect({ open, tenant, urls }).toEqual({ open: 1, tenant: undefined, urls: ['http://127.0.0.1:8000'] });
    expect(all).toMatchObject({
      backlog: 50,
      queues: STATE.queues,
      hosts: STATE.hosts,
      lanes: STATE.lanes,
      tenants: [
        { tenant: 'alice', open: 0, requests: 1, failed: 0 },
        { tenant: 'bob', open: 1, requests: 1, failed: 0 },
      ],
    });
  });

  it('shows a tenant its own requests alone', () => {
    request({ tenant: 'alice' });
    request({ tenant: 'bob', model: 'secret', gpu: 100 });
    begin('bob');
    now += 1000;
    const view = observatory.view('alice');
    expect(view).toMatchObject({ tenant: 'alice', open: 0, totals: { requests: 1, failed: 0 } });
    expect(view).not.toHaveProperty('all');
    // A batch has items of others.
    expect(view.recent).toMatchObject([{ runs: 1, largest: 0, lanes: [] }]);
    expect(JSON.stringify({ ...view, models: [] })).not.toMatch(/bob|secret/);
    expect(observatory.seconds(0, 'alice')).toEqual([
      { second: 1000, requests: 1, failed: 0, runs: 0, items: 0, largest: 0 },
    ]);
    expect(observatory.view('nobody')).toMatchObject({ open: 0, recent: [], times: [] });
  });

  it('the last 50 requests of each tenant are kept, whatever the others ask', () => {
    request({ tenant: 'calm' });
    for (let count = 0; count < 200; count += 1) request({ tenant: 'busy' });
    expect(observatory.view('calm').recent).toHaveLength(1);
    expect(
      observatory
        .view('busy')
        .recent.map(({ number }) => number)
        .slice(0, 2),
    ).toEqual([201, 200]);
    expect(observatory.view().recent).toHaveLength(51);
  });

  it("the figures of each second are kept, and the service's state is read once a second", () => {
    request();
    ran(4);
    ran(2);
    now = 1500;
    ran(8);
    expect(observatory.seconds(1000)).toMatchObject([
      {
        second: 1000,
        requests: 1,
        runs: 2,
        items: 6,
        largest: 4,
        open: 2,
        memory: [{ host: 'gpu', used: 10, reserved: 20, others: 30, limit: 1000 }],
      },
      { second: 1001, runs: 1, items: 8 },
    ]);
    expect(looks).toBe(2);
    now = 400_000;
    ran(1);
    expect(observatory.seconds(0)).toHaveLength(1);
  });

  it('rates are means of the last five whole seconds', () => {
    for (let second = 0; second < 5; second += 1) {
      now = 1000 * second;
      request();
      ran(10);
    }
    now = 5000;
    ran(1000);
    expect(observatory.view().rates).toEqual({ requests: 1, failed: 0, runs: 1, items: 10 });
  });
});
