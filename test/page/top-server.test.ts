import { describe, expect, it } from 'vitest';
import { PLAIN } from '#farlight/cli/style.js';
import { serverLines } from '#farlight/cli/top/server-lines.js';
import { PARTS } from '#farlight/infer/service/request-span.js';
import { noTimes } from '#farlight/infer/statistics/parts.js';
import type { AllView, RequestView, ServerView } from '#farlight/infer/statistics/server-view.js';

const MEMORY = { limit: 2 ** 30, available: 2 ** 30, used: 2 ** 20, reserved: 0, others: 3 * 2 ** 20 };

const ALL: AllView = {
  backlog: 1500,
  queues: [
    { model: 'det', version: '1', waiting: 2, running: 4, oldest: 250 },
    { model: 'rec', version: '1', waiting: 7, running: 0, oldest: 1000 },
    { model: 'idle', version: '1', waiting: 0, running: 0, oldest: 0 },
  ],
  hosts: [
    {
      name: 'grpc://gpu:7070',
      resource: 'gpu',
      memory: { ...MEMORY, weights: 5, runs: 6, values: 7, queue: 0 },
    },
    { name: 'functions', resource: 'cpu' },
  ],
  lanes: [
    {
      name: 'gpu#0',
      host: 'grpc://gpu:7070',
      resource: 'gpu',
      state: 'running',
      what: 'model det version 1',
      items: 4,
      for: 40,
      loaded: [],
    },
    {
      name: 'gpu#1',
      host: 'grpc://gpu:7070',
      resource: 'gpu',
      state: 'closed',
      for: 0,
      loaded: [],
      reason: 'It is gone.',
    },
    { name: 'functions#0', host: 'functions', resource: 'cpu', state: 'idle', for: 0, loaded: [] },
  ],
  tenants: [],
};

const request = (more: Partial<RequestView> = {}): RequestView => ({
  number: 1,
  model: 'det',
  version: '1',
  tenant: 'alice',
  protocol: 'http',
  at: 0,
  ms: 12.5,
  outcome: 'done',
  why: '',
  parts: noTimes(),
  runs: 1,
  largest: 4,
  lanes: ['gpu#0'],
  ...more,
});

function server(more: Partial<ServerView> = {}): ServerView {
  const parts = Object.fromEntries(PARTS.map((part) => [part, { median: 0, p99: 0 }]));
  const times = [
    {
      model: 'det',
      version: '1',
      requests: 9,
      median: 12,
      p99: 90,
      parts: { ...parts, gpu: { median: 8, p99: 80 } },
    },
  ];
  return {
    name: 'farlight',
    version: '1.2.3',
    urls: ['http://127.0.0.1:8000'],
    startedAt: 0,
    now: 90_000,
    ready: true,
    models: [{ name: 'det', version: '1', state: 'READY' }],
    open: 13,
    totals: { requests: 10, failed: 1 },
    rates: { requests: 2, failed: 0, runs: 4, items: 10 },
    times: times as unknown as ServerView['times'],
    recent: [request()],
    all: ALL,
    ...more,
  };
}

const WIDE = { columns: 200, rows: 100 };
const cells = (lines: readonly string[], start: string) =>
  lines.find((line) => line.startsWith(start))?.split(/ {2,}/);

describe('farlight top of an inference server', () => {
  it('has its hosts, lanes, queues, times and last requests', () => {
    const lines = serverLines(server(), WIDE, PLAIN);
    expect(lines[0]).toBe('Farlight 1.2.3  http://127.0.0.1:8000  up 1 min 30 s');
    expect(lines).toContain('now        2.0 requests/s, 4.0 runs/s, 2.5 items each');
    expect(cells(lines, 'grpc://gpu')).toEqual([
      'grpc://gpu:7070',
      '1.00 GiB',
      '1.00 MiB',
      '0 B',
      '3.00 MiB',
      '5 B',
    ]);
    expect(cells(lines, 'gpu#0')).toEqual(['gpu#0', 'running', '4', '40 ms', 'model det version 1']);
    expect(cells(lines, 'gpu#1')).toEqual(['gpu#1', 'closed', '-', '-', 'It is gone.']);
    expect(cells(lines, 'rec 1')).toEqual(['rec 1', '7', '0', '1.0 s']);
    expect(lines.join('\n')).not.toMatch(/functions#0|idle 1/);
    const times = lines.findIndex((line) => line.startsWith('TIMES'));
    expect(lines[times + 1]?.split(/ {2,}/).slice(0, 4)).toEqual(['det 1', '9', '12 ms', '90 ms']);
    expect(lines.at(-1)).toMatch(/^det 1 +alice .*13 ms +4 +done$/);
  });

  it('says what cannot answer, and shows a tenant no more than its own', () => {
    const broken = { name: 'rec', version: '1', state: 'UNAVAILABLE' as const };
    expect(serverLines(server({ ready: false, models: [broken] }), WIDE, PLAIN)).toContain(
      'models     1, 1 cannot answer',
    );
    const { all: _, ...own } = server({ tenant: 'alice', times: [] });
    expect(serverLines(own, WIDE, PLAIN).join('\n')).not.toMatch(/HOST|LANE|QUEUE|nothing waits|of work/);
  });

  it('fits the terminal, and passes no control characters of a client to it', () => {
    const model = 'a\u001b]0;owned\u0007'.repeat(20);
    const recent = Array.from({ length: 50 }, () => request({ model, why: 'x\r\n\u202e'.repeat(99) }));
    const lines = serverLines(server({ recent }), { columns: 60, rows: 20 }, PLAIN);
    expect(lines.length).toBeLessThanOrEqual(20);
    expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(60);
    const shown = serverLines(server({ recent }), WIDE, PLAIN).join('');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });
});
