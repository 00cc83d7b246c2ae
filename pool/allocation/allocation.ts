import type { JobStatus } from '../engines/engine.js';

/**
 * The state of an allocation: the right to have one host, of one term after another. A pool has `max` of them.
 *
 * - *wanted*: nobody has claimed a term yet, or the last one is over. Leaves by `claim`.
 * - *queued*: a term is claimed, and its job waits. *starting*: its job runs, and its host is not ready.
 * - *ready*: its host takes sessions.
 * - *releasing*: nobody renews the host's lease any more. Leaves when the host has ended for certain, or its lease has
 *   lapsed for certain.
 * - *ended*, *failed*: the term is over; `failed`: its host was never ready. The next term may be claimed.
 */
export type Phase = 'wanted' | 'queued' | 'starting' | 'ready' | 'releasing' | 'ended' | 'failed';

/** How long things may take, in milliseconds. */
export interface Terms {
  /** How long a host is valid after a renewal. */
  readonly lease: number;
  /** How far clocks of two machines may run apart in that time, with some to spare. */
  readonly margin: number;
  /** How long the program that claimed a term may take to submit its job. */
  readonly submit: number;
  /** How long a host may take from its job's start until it is ready. */
  readonly start: number;
}

export interface Claimant {
  /** Undefined where the program did not wait in line. */
  readonly ticket?: string;
  readonly tenant: string;
}

/** A host that is ready. */
export interface ReadyHost {
  /** The address at which it takes sessions and renewals. One that runs a program's command takes renewals alone. */
  readonly url: string;
  readonly isExclusive?: boolean;
}

/** All that is written down and said of an allocation's latest term, at one moment. */
export interface Facts {
  /** 0: there was none. */
  readonly term: number;
  /** The program that claimed it, by its ticket, and its tenant. */
  readonly claimedBy?: Claimant | undefined;
  /** That program is known to have ended, and nobody has written down a job. So nobody ever has joined its host. */
  readonly isAbandoned?: boolean;
  /** The engine's id of the term's job, once it was submitted. */
  readonly job?: string | undefined;
  /** No program renews the term's host from now on. */
  readonly fenced?: string | undefined;
  /** The term is over. */
  readonly retired?: { readonly why: string; readonly failed: boolean } | undefined;
  /** The job's status; undefined where the engine does not answer. */
  readonly status?: JobStatus | undefined;
  /** The host's own reports in its log. */
  readonly ready?: ReadyHost | undefined;
  readonly ended?: string | undefined;
}

/** An allocation as one program knows it. Times are milliseconds of this program's own steady clock. */
export interface Allocation {
  readonly phase: Phase;
  readonly facts: Facts;
  /** Why it is not ready, or what ended it: for a person. */
  readonly why: string;
  /** This program has claimed the term, so it submits the job. */
  readonly isMine: boolean;
  /** When this program saw the term, the job's start and the fence for the first time. */
  readonly seen: { readonly term: number; readonly start?: number; readonly fence?: number };
  /** Since when its host does not answer this program. */
  readonly silentSince?: number | undefined;
}

export const UNKNOWN: Allocation = {
  phase: 'wanted',
  facts: { term: 0 },
  why: 'no host was asked for',
  isMine: false,
  seen: { term: 0 },
};

/** The allocation after new facts. `mine`: this program has claimed that term. */
export function observed(
  before: Allocation,
  facts: Facts,
  { now, mine }: { now: number; mine: boolean },
): Allocation {
  const known = before.facts.term === facts.term ? before : UNKNOWN;
  const isNew = known === UNKNOWN;
  // While the engine does not answer, what it said last counts.
  const status = facts.status ?? known.facts.status;
  const { start = status?.phase === 'running' ? now : undefined } = known.seen;
  const { fence = facts.fenced === undefined ? undefined : now } = known.seen;
  const seen = {
    term: isNew ? now : known.seen.term,
    ...(start !== undefined && { start }),
    ...(fence !== undefined && { fence }),
  };
  const all = { ...facts, status };
  return { ...phaseOf(all), facts: all, isMine: mine, seen, silentSince: known.silentSince };
}

/** The host of a term that is ready has answered, or has not. */
export function answered(allocation: Allocation, did: boolean, now: number): Allocation {
  return { ...allocation, silentSince: did ? undefined : (allocation.silentSince ?? now) };
}

function phaseOf(facts: Facts): { phase: Phase; why: string } {
  const { term, job, fenced, retired, status, ready, ended } = facts;
  if (term === 0) return { phase: 'wanted', why: UNKNOWN.why };
  if (retired) return { phase: retired.failed ? 'failed' : 'ended', why: retired.why };
  if (fenced !== undefined) return { phase: 'releasing', why: fenced };
  if (ended !== undefined) return { phase: 'releasing', why: ended };
  if (job === undefined) return { phase: 'queued', why: 'its job is being submitted' };
  if (!status) return { phase: 'queued', why: 'the engine has not answered yet' };
  if (status.phase === 'ended') return { phase: 'releasing', why: status.why };
  if (status.phase === 'starting' && status.isBlocked) return { phase: 'releasing', why: status.why };
  if (status.phase !== 'running') return { phase: status.phase, why: status.why };
  if (ready) return { phase: 'ready', why: `on ${status.node}` };
  return { phase: 'starting', why: `its host starts on ${status.node}` };
}

/**
 * The next thing that a program has to do for an allocation. Each may be done by any program, at any time after it was
 * due, and more than once.
 */
export type Duty =
  /** Claim the next term. */
  | { readonly do: 'claim'; readonly term: number }
  /** Submit the job of the term that this program has claimed, if the term is not fenced. */
  | { readonly do: 'submit' }
  /** Write down that nobody renews this term's host from now on. */
  | { readonly do: 'fence'; readonly why: string }
  /** Tell the engine to end the job, and look again. */
  | { readonly do: 'cancel' }
  /** Write down that the term is over. */
  | { readonly do: 'retire'; readonly why: string; readonly failed: boolean }
  /** Its host can be used. */
  | { readonly do: 'join' }
  | { readonly do: 'wait' };

export function dutyOf(allocation: Allocation, now: number, terms: Terms): Duty {
  const { phase, facts, why, isMine, seen, silentSince } = allocation;
  switch (phase) {
    case 'wanted':
    case 'ended':
    case 'failed':
      return { do: 'claim', term: facts.term + 1 };
    case 'queued':
      if (facts.job !== undefined) return { do: 'wait' };
      if (isMine) return { do: 'submit' };
      if (!facts.isAbandoned && now - seen.term < terms.submit) return { do: 'wait' };
      return { do: 'fence', why: 'the program that claimed it has not submitted its job' };
    case 'starting':
      if (seen.start === undefined || now - seen.start < terms.start) return { do: 'wait' };
      return { do: 'fence', why: `its host was not ready within ${terms.start / 1000} seconds` };
    case 'ready':
      if (silentSince === undefined || now - silentSince < terms.lease + terms.margin) return { do: 'join' };
      return { do: 'fence', why: 'its host does not answer' };
    case 'releasing':
      return dutyOfEnd(allocation, why, now, terms);
  }
}

/** The host must have ended, or its lease must have lapsed, before its term is over. */
function dutyOfEnd({ facts, seen }: Allocation, why: string, now: number, terms: Terms): Duty {
  const { status, ended, ready, fenced, isAbandoned } = facts;
  if (fenced === undefined) return { do: 'fence', why };
  const isCertain =
    ended !== undefined || isAbandoned === true || (status?.phase === 'ended' && status.isCertain);
  // The lease of its host began before the fence, and nobody has renewed it since.
  const isLapsed = seen.fence !== undefined && now - seen.fence >= terms.lease + terms.margin;
  if (isCertain || isLapsed) return { do: 'retire', why, failed: ready === undefined };
  return facts.job === undefined || status?.phase === 'ended' ? { do: 'wait' } : { do: 'cancel' };
}
