import { describe, expect, it } from 'vitest';
import { dutyOf, type Facts, observed, type Terms, UNKNOWN } from '#farlight/pool/allocation/allocation.js';
import { choose, type Slot } from '#farlight/pool/allocation/choose.js';
import { HostLease } from '#farlight/pool/allocation/host-lease.js';
import type { JobStatus } from '#farlight/pool/engines/engine.js';

const TERMS: Terms = { lease: 30, margin: 5, submit: 60, start: 100 };
const RUNNING: JobStatus = { phase: 'running', node: 'n', address: 'a', incarnation: '0' };

/** The phase and the duty of a term with these facts, which was first seen so long ago. */
function due(facts: Facts, after = 0, mine = false) {
  const first = observed(UNKNOWN, facts, { now: 1000, mine });
  const later = observed(first, facts, { now: 1000 + after, mine });
  return [later.phase, dutyOf(later, 1000 + after, TERMS).do];
}

describe('an allocation', () => {
  it.each<[string, Facts, number, boolean, [string, string]]>([
    ['is claimed where it has no term', { term: 0 }, 0, false, ['wanted', 'claim']],
    ['is submitted by the program that claimed it', { term: 1 }, 0, true, ['queued', 'submit']],
    ['is not submitted by another', { term: 1 }, 0, false, ['queued', 'wait']],
    ['is fenced where its job was never submitted', { term: 1 }, 60, false, ['queued', 'fence']],
    [
      'is fenced at once where the program that claimed it has ended',
      { term: 1, isAbandoned: true },
      0,
      false,
      ['queued', 'fence'],
    ],
    [
      'is retired at once where that program has ended and nobody knows a job',
      { term: 1, fenced: 'f', isAbandoned: true },
      0,
      false,
      ['releasing', 'retire'],
    ],
    [
      'waits in the queue without an end of its own',
      { term: 1, job: 'j', status: { phase: 'queued', why: '' } },
      9e9,
      true,
      ['queued', 'wait'],
    ],
    ['starts', { term: 1, job: 'j', status: RUNNING }, 99, false, ['starting', 'wait']],
    [
      'is fenced where its host does not get ready',
      { term: 1, job: 'j', status: RUNNING },
      100,
      false,
      ['starting', 'fence'],
    ],
    [
      'is joined where its host is ready',
      { term: 1, job: 'j', status: RUNNING, ready: { url: 'u' } },
      9e9,
      false,
      ['ready', 'join'],
    ],
    [
      'is fenced where its job has ended',
      { term: 1, job: 'j', status: { phase: 'ended', why: '', isCertain: true } },
      0,
      false,
      ['releasing', 'fence'],
    ],
    [
      'is retired at once where the end is certain',
      { term: 1, job: 'j', fenced: 'f', status: { phase: 'ended', why: '', isCertain: true } },
      0,
      false,
      ['releasing', 'retire'],
    ],
    [
      'is retired at once where the host itself has said that it ends',
      { term: 1, job: 'j', fenced: 'f', ended: 'idle' },
      0,
      false,
      ['releasing', 'retire'],
    ],
    [
      'is not retired within the lease where the end is uncertain',
      { term: 1, job: 'j', fenced: 'f', status: { phase: 'ended', why: '', isCertain: false } },
      34,
      false,
      ['releasing', 'wait'],
    ],
    [
      'is retired after lease and margin',
      { term: 1, job: 'j', fenced: 'f', status: { phase: 'ended', why: '', isCertain: false } },
      35,
      false,
      ['releasing', 'retire'],
    ],
    [
      'is cancelled where it is fenced and its job still runs',
      { term: 1, job: 'j', fenced: 'f', status: RUNNING },
      0,
      false,
      ['releasing', 'cancel'],
    ],
    [
      'is claimed again where its term is over',
      { term: 7, retired: { why: '', failed: false } },
      0,
      false,
      ['ended', 'claim'],
    ],
    [
      'has failed where its host was never ready',
      { term: 7, retired: { why: '', failed: true } },
      0,
      false,
      ['failed', 'claim'],
    ],
  ])('%s', (_, facts, after, mine, expected) => {
    expect(due(facts, after, mine)).toEqual(expected);
  });

  it('keeps what the engine said last while the engine does not answer', () => {
    const before = observed(
      UNKNOWN,
      { term: 1, job: 'j', status: RUNNING, ready: { url: 'u' } },
      { now: 0, mine: false },
    );
    expect(observed(before, { term: 1, job: 'j', ready: { url: 'u' } }, { now: 1, mine: false }).phase).toBe(
      'ready',
    );
  });
});

describe("a host's lease", () => {
  const terms = { lease: 30, idle: 60, first: 100 };

  it('is not valid before the first renewal, and ends where none comes', () => {
    const lease = new HostLease(terms, 0);
    expect([lease.isValid(0), lease.reasonToEnd(0, 99), lease.reasonToEnd(0, 100)]).toEqual([
      false,
      undefined,
      'no program came',
    ]);
  });

  it('counts from the challenge, and not from the renewal', () => {
    const lease = new HostLease(terms, 0);
    lease.renew(lease.challenge(10), 'one', 25);
    expect([lease.isValid(39), lease.isValid(40)]).toEqual([true, false]);
  });

  it('is not renewed after it has lapsed, or by a number that was never a challenge', () => {
    const lease = new HostLease(terms, 0);
    lease.renew(99, 'one', 1);
    expect(lease.isValid(1)).toBe(false);
    lease.renew(lease.challenge(0), 'one', 1);
    const late = lease.challenge(20);
    lease.renew(late, 'one', 30);
    expect([lease.isValid(30), lease.reasonToEnd(1, 30)]).toEqual([false, 'no program renewed its lease']);
  });

  it('ends when nobody has used the host for a while', () => {
    const lease = new HostLease({ ...terms, lease: 1000, idle: 600 }, 0);
    lease.renew(lease.challenge(0), 'one', 0);
    // The program holds the host for half a lease after its last renewal.
    expect(lease.reasonToEnd(0, 500)).toBeUndefined();
    lease.renew(lease.challenge(500), 'one', 500);
    expect(lease.reasonToEnd(1, 1001)).toBeUndefined();
    expect(lease.reasonToEnd(0, 1499)).toBeUndefined();
    const short = new HostLease({ ...terms, lease: 1000, idle: 100 }, 0);
    short.renew(short.challenge(0), 'one', 0);
    expect(short.reasonToEnd(0, 499)).toBeUndefined();
    expect(short.reasonToEnd(0, 598)).toBeUndefined();
    expect(short.reasonToEnd(0, 599)).toBe('nobody used it');
  });

  it('ends soon when the last program that holds the host releases it', () => {
    const lease = new HostLease({ lease: 100_000, idle: 60_000, first: 100 }, 0);
    lease.renew(lease.challenge(0), 'one', 0);
    lease.renew(lease.challenge(0), 'other', 0);
    lease.release('one', 1000);
    expect(lease.reasonToEnd(0, 10_000)).toBeUndefined();
    lease.release('other', 10_000);
    expect(lease.reasonToEnd(0, 10_999)).toBeUndefined();
    expect(lease.reasonToEnd(0, 11_000)).toBe('nobody used it');
    // A program that comes before it has ended counts.
    lease.renew(lease.challenge(11_001), 'third', 11_001);
    expect(lease.reasonToEnd(0, 61_001)).toBeUndefined();
    // It has not released the host, which is unused for its whole time.
    expect(lease.reasonToEnd(0, 100_000)).toBeUndefined();
  });

  it('ends soon, too, where the last session of a program ends after the program has released the host', () => {
    const lease = new HostLease({ lease: 100_000, idle: 60_000, first: 100 }, 0);
    lease.renew(lease.challenge(0), 'one', 0);
    lease.release('one', 1000);
    expect(lease.reasonToEnd(1, 1200)).toBeUndefined();
    expect(lease.reasonToEnd(1, 9000)).toBeUndefined();
    expect(lease.reasonToEnd(0, 9999)).toBeUndefined();
    expect(lease.reasonToEnd(0, 10_000)).toBe('nobody used it');
  });
});

describe('the choice of hosts', () => {
  const slot = (number: number, facts: Facts, sessions?: number, mine = false) => ({
    slot: number,
    allocation: observed(UNKNOWN, facts, { now: 0, mine }),
    sessions,
  });
  const ready = { term: 1, job: 'j', status: RUNNING, ready: { url: 'u' } };
  const command = { ...ready, ready: { url: 'files:/f', isExclusive: true } };
  const one = { hosts: 1, isExclusive: false };
  const two = { hosts: 2, isExclusive: false };
  const own = { hosts: 1, isExclusive: true };
  const without = { sessions: Number.POSITIVE_INFINITY, ahead: [] };
  const chosen = (slots: readonly Slot[]) => choose(slots, { ...without, want: one });

  it('is one that nobody uses, else a new one, else the one with the fewest sessions', () => {
    expect(chosen([slot(1, ready, 1), slot(2, ready, 0)])).toEqual({ do: 'join', slots: [2] });
    expect(chosen([slot(1, ready, 1), slot(2, { term: 0 })])).toEqual({ do: 'claim', slots: [2] });
    expect(chosen([slot(1, ready, 3), slot(2, ready, 2)])).toEqual({ do: 'join', slots: [2] });
    expect(chosen([slot(1, ready, undefined)])).toEqual({
      do: 'wait',
      why: "queued: the pool's only host is in use",
    });
    expect(chosen([slot(1, { term: 1 })])).toEqual({ do: 'wait', why: 'queued: its job is being submitted' });
  });

  it('waits for the host that was started for the program, and takes one that is unused before that', () => {
    const coming = slot(1, { term: 1, job: 'j' }, undefined, true);
    expect(chosen([coming, slot(2, ready, 1)])).toMatchObject({ do: 'wait' });
    expect(chosen([coming, slot(2, ready, 0)])).toEqual({ do: 'join', slots: [2] });
  });

  it('has several hosts started together, and joins them when all are ready', () => {
    const all = (...slots: ReturnType<typeof slot>[]) => choose(slots, { ...without, want: two });
    expect(all(slot(1, { term: 0 }), slot(2, { term: 0 }), slot(3, { term: 0 }))).toEqual({
      do: 'claim',
      slots: [1, 2],
    });
    expect(all(slot(1, { term: 0 }), slot(2, command))).toMatchObject({ do: 'wait' });
    expect(all(slot(1, ready, 0), slot(2, { term: 1, job: 'j' }, undefined, true))).toMatchObject({
      do: 'wait',
    });
    expect(all(slot(1, ready, 0, true), slot(2, ready, 0, true))).toEqual({ do: 'join', slots: [1, 2] });
  });

  it('gives a command a host of its own', () => {
    const mine = (...slots: ReturnType<typeof slot>[]) => choose(slots, { ...without, want: own });
    expect(mine(slot(1, ready, 0), slot(2, { term: 0 }))).toEqual({ do: 'claim', slots: [2] });
    expect(mine(slot(1, ready, 0))).toMatchObject({ do: 'wait' });
    expect(mine(slot(1, command), slot(2, command, undefined, true))).toEqual({ do: 'join', slots: [2] });
  });

  it('leaves to programs whose turn is before what they need', () => {
    const slots = [slot(1, { term: 0 }), slot(2, { term: 0 }), slot(3, ready, 0)];
    const behind = (ahead: (typeof one)[], want = own, sessions = Number.POSITIVE_INFINITY) =>
      choose(slots, { want, sessions, ahead });
    expect(behind([own])).toEqual({ do: 'claim', slots: [1] });
    expect(behind([own, own])).toEqual({
      do: 'wait',
      why: "queued: 2 programs are before it in the pool's line",
    });
    expect(behind([two])).toEqual({ do: 'claim', slots: [1] });
    expect(behind([two, two], one, 1)).toMatchObject({ do: 'wait' });
    expect(behind([two, two], one, 8)).toEqual({ do: 'join', slots: [3] });
  });

  it('never gives a host more sessions than it may have', () => {
    expect(choose([slot(1, ready, 2)], { want: one, sessions: 2, ahead: [] })).toMatchObject({ do: 'wait' });
    expect(choose([slot(1, ready, 1)], { want: one, sessions: 2, ahead: [] })).toMatchObject({ do: 'join' });
    expect(choose([slot(1, ready, 1)], { want: one, sessions: 2, ahead: [one] })).toMatchObject({
      do: 'wait',
    });
    expect(choose([slot(1, ready, 0)], { want: one, sessions: 1, ahead: [one] })).toMatchObject({
      do: 'wait',
    });
    expect(choose([slot(1, ready, 0)], { want: one, sessions: 2, ahead: [one] })).toMatchObject({
      do: 'join',
    });
  });
});
