/** Where a task of a job stands, and what is due for it. Pure: it takes facts and times, and does nothing. */
import type { JobStatus } from '../../pool/engines/engine.js';

/** How an attempt ended. */
export interface AttemptEnd {
  readonly why: string;
  readonly code?: number;
  /** The site ended it, or never took it: another attempt may end better. */
  readonly bySite?: boolean;
  /** The engine no longer knows how it ended. */
  readonly isLost?: boolean;
}

export interface AttemptFacts {
  readonly attempt: number;
  /** The engine's name for it; absent while it is being submitted. */
  readonly id?: string;
  readonly end?: AttemptEnd;
  readonly isCancelled: boolean;
  readonly isRetried: boolean;
}

/** How often the site's faults are forgiven, and how long to wait before the first next attempt, in milliseconds. */
export interface Retries {
  readonly most: number;
  readonly ms: number;
}

export type TaskState =
  | { readonly phase: 'queued' | 'starting' | 'retrying'; readonly why: string }
  | { readonly phase: 'running'; readonly node: string }
  | { readonly phase: 'succeeded' }
  | { readonly phase: 'failed' | 'cancelled' | 'lost'; readonly why: string; readonly code?: number };

export type Due =
  | { readonly do: 'nothing' }
  /** Nothing will change any more. */
  | { readonly do: 'stop' }
  /** Claim this attempt and submit it, not before so many milliseconds from the end of the last one. */
  | { readonly do: 'submit'; readonly attempt: number; readonly afterMs: number }
  /** Write down how an attempt ended. */
  | { readonly do: 'end'; readonly attempt: number; readonly end: AttemptEnd }
  | { readonly do: 'cancel'; readonly attempt: number; readonly id: string }
  /** Find out whether the engine has a job that its submitter has told nobody of, or was never told of. */
  | { readonly do: 'look'; readonly attempt: number };

const LONGEST_MS = 10 * 60_000;
const CANCELLED = 'it was cancelled';

/**
 * @param status of the last attempt's job by the engine; absent where it has none, has ended, or the engine is silent.
 */
export function progressOf(
  attempts: readonly AttemptFacts[],
  status: JobStatus | undefined,
  retries: Retries,
): { state: TaskState; due: Due } {
  const last = attempts.at(-1);
  if (!last)
    return {
      state: { phase: 'queued', why: 'it is being submitted' },
      due: { do: 'submit', attempt: 1, afterMs: 0 },
    };
  const { attempt, id, end, isCancelled } = last;
  if (end) return afterEnd(attempts, last, end, retries);
  if (id === undefined)
    return { state: { phase: 'queued', why: 'it is being submitted' }, due: { do: 'look', attempt } };
  if (status?.phase === 'ended') {
    const ended = endOf(status, isCancelled);
    const { state } = afterEnd(attempts, last, ended, retries);
    return { state, due: { do: 'end', attempt, end: ended } };
  }
  const due: Due = isCancelled ? { do: 'cancel', attempt, id } : { do: 'nothing' };
  if (!status) return { state: { phase: 'queued', why: 'the engine does not answer' }, due };
  if (status.phase === 'running') return { state: { phase: 'running', node: status.node }, due };
  return { state: { phase: status.phase, why: status.why }, due };
}

function endOf(status: JobStatus & { phase: 'ended' }, isCancelled: boolean): AttemptEnd {
  const { why, code, bySite, isCertain } = status;
  if (isCancelled && code !== 0) return { why: CANCELLED };
  if (code !== undefined) return { why, code };
  if (bySite) return { why, bySite };
  // It may have ended well, so that it is not run again without a person.
  return { why, ...(!isCertain && { isLost: true }) };
}

function afterEnd(
  attempts: readonly AttemptFacts[],
  { attempt, isCancelled, isRetried }: AttemptFacts,
  end: AttemptEnd,
  { most, ms }: Retries,
): { state: TaskState; due: Due } {
  const { why, code } = end;
  const next = { do: 'submit', attempt: attempt + 1 } as const;
  if (isRetried && code !== 0)
    return { state: { phase: 'queued', why: 'it is being submitted again' }, due: { ...next, afterMs: 0 } };
  const stop = { do: 'stop' } as const;
  if (code === 0) return { state: { phase: 'succeeded' }, due: stop };
  if (isCancelled) return { state: { phase: 'cancelled', why: CANCELLED }, due: stop };
  // The attempts since a person asked for one.
  const asked = attempts.findLastIndex((each) => each.isRetried);
  const used = attempts.length - 1 - asked - 1;
  if (end.bySite && used < most) {
    const seconds = Math.min(ms * 2 ** used, LONGEST_MS);
    return {
      state: { phase: 'retrying', why: `${why}; it is submitted again` },
      due: { ...next, afterMs: seconds },
    };
  }
  const phase = end.isLost ? 'lost' : 'failed';
  return { state: { phase, why, ...(code !== undefined && { code }) }, due: stop };
}
