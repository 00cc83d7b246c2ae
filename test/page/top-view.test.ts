import { describe, expect, it } from 'vitest';
import { columns, cut, PLAIN, styleOf } from '#farlight/cli/style.js';
import { hostLines } from '#farlight/cli/top/host-lines.js';
import { EventReader } from '#farlight/page/site/event-reader.js';
import { noWork } from '#farlight/proto/session/session-counts.js';
import { newCounters } from '#farlight/server/observatory/counters.js';
import type { HostView, SessionView } from '#farlight/server/observatory/host-view.js';

const RATES = { submits: 0, waits: 0, bytesUp: 0, bytesDown: 0 };
const TRAFFIC = { framesUp: 0, framesDown: 0, bytesUp: 3 << 20, bytesDown: 1024 };

const session = (program: string, submits = 0): SessionView => ({
  session: program,
  program,
  tenant: 'default',
  adapter: 'llvmpipe',
  since: 0,
  parked: undefined,
  resumes: 0,
  rates: { ...RATES, submits },
  traffic: TRAFFIC,
  work: { ...noWork(), submits: 10, waits: 5, gpuBytes: 1 << 30 },
});

const host = (...sessions: SessionView[]): HostView => ({
  version: '1.2.3',
  url: 'grpc://127.0.0.1:7070',
  adapter: { name: 'llvmpipe', vendor: '', architecture: '', software: true, driver: '' },
  adapterProblem: '',
  gpuMemory: { total: undefined, capacity: 2 ** 33, source: 'the driver' },
  startedAt: 0,
  now: 90_000,
  counters: newCounters(),
  executors: { busy: 1, spare: 2, warm: 3, changing: 0 },
  rates: RATES,
  totals: { ...TRAFFIC, ...noWork() },
  sessions,
  ends: [
    {
      session: 'x',
      program: 'old.mjs',
      tenant: 'default',
      code: 'EXECUTOR_LOST',
      why: 'it crashed\u001b[2J',
      at: 0,
      seconds: 1.5,
      bytesUp: 0,
      bytesDown: 0,
      submits: 0,
    },
  ],
  contents: undefined,
});

const WIDE = { columns: 200, rows: 100 };

describe('farlight top', () => {
  it('has a line for each session, the busiest first, and one for each end', () => {
    const lines = hostLines(host(session('calm.mjs', 1), session('busy.mjs', 500)), WIDE, PLAIN);
    const at = (word: string) => lines.findIndex((line) => line.startsWith(word));
    expect(lines[at('busy.mjs')]?.split(/ {2,}/)).toEqual([
      'busy.mjs',
      'default',
      '1.00 GiB',
      '500',
      '0',
      '0.50',
      '3.00 MiB',
      '1.00 KiB',
      '1 min 30 s',
    ]);
    expect(at('calm.mjs')).toBe(at('busy.mjs') + 1);
    expect(lines[at('old.mjs')]).toContain('EXECUTOR_LOST');
    expect(lines.join('\n')).toContain('1 busy, 2 spare, 3 warm');
  });

  it('says which sessions are parked, and what they take on disk', () => {
    const parked = { ...session('idle.mjs'), parked: { since: 0, bytes: 3 << 20 } };
    const lines = hostLines(host(session('busy.mjs', 5), parked), WIDE, PLAIN);
    expect(lines.join('\n')).toContain('2 open, of them 1 parked (3.00 MiB on disk)');
    expect(lines.find((line) => line.startsWith('idle.mjs'))).toContain('parked');
  });

  it('fits the terminal with any content', () => {
    const many = Array.from({ length: 64 }, (_, index) => session(`program ${index} ${'x'.repeat(100)}`));
    for (const size of [
      { columns: 40, rows: 10 },
      { columns: 80, rows: 24 },
    ]) {
      const lines = hostLines(host(...many), size, PLAIN);
      expect(lines.length).toBeLessThanOrEqual(size.rows);
      expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(size.columns);
    }
  });

  it('passes no control characters from the name of a client to the terminal', () => {
    const lines = hostLines(host(session('\u001b]0;owned\u0007\u009b2J\u202egpj.exe\r\nnext')), WIDE, PLAIN);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(lines.join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(lines.join('')).toContain('�]0;owned��2J�gpj.exe next');
  });
});

describe('output to a stream', () => {
  it('has colours only on a terminal, and none with NO_COLOR or on a dumb terminal', () => {
    expect(styleOf({ isTTY: true }, {})('bold', 'x')).toBe('\u001b[1mx\u001b[0m');
    expect(styleOf({ isTTY: false }, {})('bold', 'x')).toBe('x');
    expect(styleOf({ isTTY: true }, { NO_COLOR: '1' })('bold', 'x')).toBe('x');
    expect(styleOf({ isTTY: true }, { TERM: 'dumb' })('bold', 'x')).toBe('x');
  });

  it('has columns as wide as their content', () => {
    expect(
      columns(
        [
          ['a', 'long head', 'z'],
          ['longer', '1', ''],
        ],
        [1],
      ),
    ).toEqual(['a       long head  z', 'longer          1']);
    expect(cut('abcdef', 4)).toBe('abc…');
    expect(cut('abcd', 4)).toBe('abcd');
  });
});

describe('an event stream', () => {
  it('is read the same, however it is cut into pieces', () => {
    const text =
      'retry: 1000\n\nevent: host\ndata: {"a": 1}\n\ndata: 2\n\n: quiet\n\nevent: host\ndata: 3\n\nevent: ho';
    for (const size of [1, 2, 7, text.length]) {
      const events: [string, string][] = [];
      const reader = new EventReader((name, data) => events.push([name, data]));
      for (let at = 0; at < text.length; at += size) reader.push(text.slice(at, at + size));
      expect(events).toEqual([
        ['host', '{"a": 1}'],
        ['message', '2'],
        ['host', '3'],
      ]);
    }
  });
});
