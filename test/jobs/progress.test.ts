import { describe, expect, it } from 'vitest';
import { type AttemptFacts, progressOf } from '#farlight/jobs/record/progress.js';
import type { JobStatus } from '#farlight/pool/engines/engine.js';

const RETRIES = { most: 2, ms: 1000 };
const NODE_FAILED = { why: 'its node failed', bySite: true };

function attempt(number: number, changes: Partial<AttemptFacts> = {}): AttemptFacts {
  return { attempt: number, id: `job-${number}`, isCancelled: false, isRetried: false, ...changes };
}

const ended = (status: Partial<JobStatus & { phase: 'ended' }>): JobStatus => ({
  phase: 'ended',
  why: 'it ended',
  isCertain: true,
  ...status,
});

describe('a task of a job', () => {
  it('is submitted first', () => {
    expect(progressOf([], undefined, RETRIES).due).toEqual({ do: 'submit', attempt: 1, afterMs: 0 });
  });

  it('is looked for in the engine while nobody says which job it is', () => {
    const { id, ...claimed } = attempt(1);
    expect(progressOf([claimed], undefined, RETRIES)).toEqual({
      state: { phase: 'queued', why: 'it is being submitted' },
      due: { do: 'look', attempt: 1 },
    });
  });

  it('is where its engine says, and an engine that is silent changes nothing', () => {
    const running = { phase: 'running', node: 'gpu1', address: '10.0.0.1', incarnation: '0' } as const;
    expect(progressOf([attempt(1)], running, RETRIES)).toEqual({
      state: { phase: 'running', node: 'gpu1' },
      due: { do: 'nothing' },
    });
    const { state, due } = progressOf([attempt(1)], undefined, RETRIES);
    expect([state, due]).toEqual([{ phase: 'queued', why: 'the engine does not answer' }, { do: 'nothing' }]);
  });

  it('has succeeded if its program ended with 0, and is not run again if it ended with another code', () => {
    const well = progressOf([attempt(1)], ended({ code: 0 }), RETRIES);
    expect(well).toEqual({
      state: { phase: 'succeeded' },
      due: { do: 'end', attempt: 1, end: { why: 'it ended', code: 0 } },
    });
    const badly = { why: 'it ended with exit code 3', code: 3 };
    expect(progressOf([attempt(1, { end: badly })], undefined, RETRIES)).toEqual({
      state: { phase: 'failed', ...badly },
      due: { do: 'stop' },
    });
  });

  it('is not run again if its time limit or a signal ended it', () => {
    const why = 'it ran into its time limit';
    expect(progressOf([attempt(1)], ended({ why }), RETRIES).state).toEqual({ phase: 'failed', why });
  });

  it('is submitted again where the site ended it, each time after twice as long, and not for ever', () => {
    const first = progressOf([attempt(1)], ended(NODE_FAILED), RETRIES);
    expect(first.due).toEqual({ do: 'end', attempt: 1, end: NODE_FAILED });
    expect(first.state).toEqual({ phase: 'retrying', why: 'its node failed; it is submitted again' });
    const one = attempt(1, { end: NODE_FAILED });
    expect(progressOf([one], undefined, RETRIES).due).toEqual({ do: 'submit', attempt: 2, afterMs: 1000 });
    const two = attempt(2, { end: NODE_FAILED });
    expect(progressOf([one, two], undefined, RETRIES).due).toEqual({
      do: 'submit',
      attempt: 3,
      afterMs: 2000,
    });
    const three = attempt(3, { end: NODE_FAILED });
    expect(progressOf([one, two, three], undefined, RETRIES)).toEqual({
      state: { phase: 'failed', why: 'its node failed' },
      due: { do: 'stop' },
    });
  });

  it('waits ten minutes at most before an attempt', () => {
    const all = Array.from({ length: 40 }, (_, at) => attempt(at + 1, { end: NODE_FAILED }));
    expect(progressOf(all, undefined, { most: 100, ms: 1000 }).due).toMatchObject({ afterMs: 600_000 });
  });

  it('is lost, and not run again, where the engine does not know how it ended: it may have ended well', () => {
    const { state, due } = progressOf([attempt(1)], ended({ why: 'forgotten', isCertain: false }), RETRIES);
    expect(state).toEqual({ phase: 'lost', why: 'forgotten' });
    expect(due).toEqual({ do: 'end', attempt: 1, end: { why: 'forgotten', isLost: true } });
  });

  it('that is cancelled is ended in its engine, is not run again, and has succeeded if it ended well before', () => {
    const queued = { phase: 'queued', why: 'no node is free' } as const;
    const one = attempt(1, { isCancelled: true });
    expect(progressOf([one], queued, RETRIES).due).toEqual({ do: 'cancel', attempt: 1, id: 'job-1' });
    expect(progressOf([one], ended(NODE_FAILED), RETRIES).state).toMatchObject({ phase: 'cancelled' });
    expect(progressOf([{ ...one, end: NODE_FAILED }], undefined, RETRIES).due).toEqual({ do: 'stop' });
    expect(progressOf([one], ended({ code: 0 }), RETRIES).state).toEqual({ phase: 'succeeded' });
  });

  it('is submitted once more where a person says so, and the site may then fail as often again', () => {
    const failed = attempt(1, { end: { why: 'exit code 1', code: 1 }, isRetried: true });
    expect(progressOf([failed], undefined, RETRIES).due).toEqual({ do: 'submit', attempt: 2, afterMs: 0 });
    const next = attempt(2, { end: NODE_FAILED });
    expect(progressOf([failed, next], undefined, RETRIES).due).toMatchObject({ attempt: 3, afterMs: 1000 });
    const cancelled = attempt(1, { end: { why: 'it was cancelled' }, isCancelled: true, isRetried: true });
    expect(progressOf([cancelled], undefined, RETRIES).due).toMatchObject({ do: 'submit', attempt: 2 });
  });
});
