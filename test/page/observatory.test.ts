import { describe, expect, it } from 'vitest';
import { noWork, type WorkCounts } from '#farlight/proto/session/session-counts.js';
import type { Span } from '#farlight/proto/session/spans.js';
import { newCounters } from '#farlight/server/observatory/counters.js';
import { Observatory } from '#farlight/server/observatory/observatory.js';

const HOST = {
  version: '1.2.3',
  url: 'grpc://127.0.0.1:7070',
  adapter: undefined,
  adapterProblem: 'there is no GPU',
  gpuMemory: { total: 1 << 30, capacity: 1 << 29, source: 'the driver' },
  counters: newCounters(),
  executors: { busy: 1, spare: 2, warm: 3, changing: 0 },
};

function watchAt(start = 1_000_000) {
  const time = { now: start };
  const observatory = new Observatory({ now: () => time.now, host: () => HOST });
  const watching: boolean[] = [];
  const begin = (session = 'abcdef', program = 'app.mjs', tenant = 'default') =>
    observatory.begin({ session, program, tenant }, (on) => watching.push(on));
  return { time, observatory, watching, begin };
}

const carried = (bytesUp = 0, bytesDown = 0) => ({ framesUp: 1, framesDown: 2, bytesUp, bytesDown });
const worked = (work: Partial<WorkCounts>): WorkCounts => ({ ...noWork(), ...work });

describe('the observatory', () => {
  it('adds up the traffic of a session from deltas, and its work from totals', () => {
    const { observatory, begin, time } = watchAt();
    const session = begin();
    session.opened('llvmpipe');
    session.carried(carried(100, 10), worked({ submits: 3, waits: 1, gpuBytes: 64 }));
    time.now += 500;
    session.carried(carried(50, 5), worked({ submits: 5, waits: 1, gpuBytes: 32 }));
    session.resumed();
    const view = observatory.view();
    expect(view.sessions).toEqual([
      {
        session: 'abcdef',
        program: 'app.mjs',
        tenant: 'default',
        adapter: 'llvmpipe',
        since: 1_000_000,
        resumes: 1,
        rates: { submits: 5, waits: 1, bytesUp: 150, bytesDown: 15 },
        traffic: { framesUp: 2, framesDown: 4, bytesUp: 150, bytesDown: 15 },
        work: worked({ submits: 5, waits: 1, gpuBytes: 32 }),
      },
    ]);
    expect(view).toMatchObject({ ...HOST, startedAt: 1_000_000, now: 1_000_500 });
    expect(view.totals).toMatchObject({ submits: 5, waits: 1, bytesUp: 150, gpuBytes: 32 });
  });

  it('keeps the work of ended sessions in its totals, but not their memory', () => {
    const { observatory, begin, time } = watchAt();
    const first = begin('first');
    first.carried(carried(1000, 1), worked({ commands: 10, gpuBytes: 4096 }));
    time.now += 2500;
    first.ended({ code: 'CLOSED', message: 'the program closed its session' });
    begin('second').carried(carried(24, 1), worked({ commands: 2, gpuBytes: 16 }));
    const { totals, sessions } = observatory.view();
    expect(sessions.map(({ session }) => session)).toEqual(['second']);
    expect(totals).toMatchObject({ bytesUp: 1024, commands: 12, gpuBytes: 16 });
    expect(observatory.secondsEnded).toBe(2.5);
  });

  it('gives rates over the last four seconds, which fall to zero', () => {
    const { observatory, begin, time } = watchAt();
    const session = begin();
    for (let second = 1; second <= 8; second += 1) {
      time.now += 1000;
      session.carried(carried(400, 0), worked({ submits: 10 * second }));
    }
    expect(observatory.view().rates).toEqual({ submits: 10, waits: 0, bytesUp: 400, bytesDown: 0 });
    time.now += 2000;
    expect(observatory.view().rates).toMatchObject({ submits: 5, bytesUp: 200 });
    time.now += 2000;
    expect(observatory.view().rates).toMatchObject({ submits: 0, bytesUp: 0 });
    expect(observatory.view().sessions[0]?.rates).toMatchObject({ submits: 0 });
  });

  it('does not show a high rate right after the start of a session', () => {
    const { observatory, begin, time } = watchAt();
    const session = begin();
    time.now += 10;
    session.carried(carried(100, 0), noWork());
    expect(observatory.view().sessions[0]?.rates.bytesUp).toBe(100);
  });

  it('keeps the last fifty ends with their reasons, the newest first, and counts all', () => {
    const { observatory, begin } = watchAt();
    for (let index = 0; index < 60; index += 1) begin(`s${index}`).ended({ code: 'CLOSED', message: 'done' });
    begin('lost').ended({ code: 'EXECUTOR_LOST', message: 'it crashed' });
    const { ends } = observatory.view();
    expect(ends).toHaveLength(50);
    expect(ends[0]).toMatchObject({ session: 'lost', code: 'EXECUTOR_LOST', why: 'it crashed' });
    expect(ends[1]).toMatchObject({ session: 's59' });
    expect(Object.fromEntries(observatory.endsByCode)).toEqual({ CLOSED: 60, EXECUTOR_LOST: 1 });
  });

  it('keeps five minutes of seconds, and stores no empty ones', () => {
    const { observatory, begin, time } = watchAt(0);
    const session = begin();
    session.carried(carried(1, 0), worked({ submits: 1 }));
    session.carried(carried(2, 0), worked({ submits: 2 }));
    time.now = 299_000;
    session.carried(carried(4, 0), worked({ submits: 3 }));
    expect(observatory.seconds()).toEqual([
      { second: 0, submits: 2, waits: 0, bytesUp: 3, bytesDown: 0 },
      { second: 299, submits: 1, waits: 0, bytesUp: 4, bytesDown: 0 },
    ]);
    expect(observatory.seconds(100)).toHaveLength(1);
    time.now = 300_000;
    session.carried(carried(8, 0), worked({ submits: 3 }));
    expect(observatory.seconds().map(({ second }) => second)).toEqual([299, 300]);
  });

  it('cuts a text of a client to one line', () => {
    const { observatory, begin } = watchAt();
    const session = begin('abcdef', 'x'.repeat(100_000));
    expect(observatory.view().sessions[0]?.program).toHaveLength(120);
    session.ended({ code: 'PROTOCOL_ERROR', message: 'y'.repeat(100_000) });
    expect(observatory.view().ends[0]?.why).toHaveLength(120);
  });
});

describe('a watched session', () => {
  const span = { kind: 1, name: '', label: '', start: 1, end: 2, number: 1, bytes: 3 } as Span;

  it('makes its executor report spans while anybody watches, and no longer', () => {
    const { observatory, watching, begin } = watchAt();
    const session = begin();
    session.opened('llvmpipe');
    const heard: string[] = [];
    const stopFirst = observatory.watch('abcdef', ({ left }) => heard.push(`first ${left}`));
    const stopSecond = observatory.watch('abcdef', ({ spans }) => heard.push(`second ${spans.length}`));
    expect(watching).toEqual([true]);
    session.did([span], 7);
    stopFirst?.();
    session.did([span, span], 0);
    expect(heard).toEqual(['first 7', 'second 1', 'second 2']);
    expect(watching).toEqual([true]);
    stopSecond?.();
    stopSecond?.();
    expect(watching).toEqual([true, false]);
  });

  it('can be watched before its GPU is open', () => {
    const { observatory, watching, begin } = watchAt();
    const session = begin();
    observatory.watch('abcdef', () => {});
    expect(watching).toEqual([]);
    session.opened('llvmpipe');
    expect(watching).toEqual([true]);
  });

  it('cannot be watched after it has ended', () => {
    const { observatory, begin } = watchAt();
    begin().ended({ code: 'CLOSED', message: 'done' });
    expect(observatory.watch('abcdef', () => {})).toBeUndefined();
  });
});
