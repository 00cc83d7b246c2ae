/** What Slurm says of a job, and what that means. */
import type { JobStatus } from '../engine.js';

/** A job, as Slurm's commands and its REST interface both have it. */
export interface JobFacts {
  /** One of Slurm's words for states. */
  readonly state: string;
  /** Slurm's word for why it waits. */
  readonly reason?: string | undefined;
  readonly node?: string | undefined;
  /** How often Slurm has run it again. */
  readonly restarts?: number | undefined;
  /** The exit code of its script, or the number of the signal that killed it. */
  readonly code?: number | undefined;
  readonly signal?: number | undefined;
}

/** A job of this engine's in Slurm's list. */
export interface ListedFacts extends JobFacts {
  readonly id: string;
  readonly name: string;
  readonly term: number;
}

const TERM = 'farlight-term-';

/** The comment of a job, by which its term is known again. */
export function commentOf(term: number): string {
  return `${TERM}${term}`;
}

/** Undefined where the comment is none of this engine's. */
export function termIn(comment: string): number | undefined {
  return comment.startsWith(TERM) ? Number(comment.slice(TERM.length)) : undefined;
}

const QUEUED = ['PENDING', 'REQUEUED', 'REQUEUE_HOLD', 'REQUEUE_FED', 'SPECIAL_EXIT', 'RESV_DEL_HOLD'];
const STARTING = ['CONFIGURING'];
/** COMPLETING: Slurm has asked its processes to end, and waits for them. */
const RUNNING = ['RUNNING', 'SUSPENDED', 'STOPPED', 'SIGNALING', 'STAGE_OUT', 'RESIZING', 'COMPLETING'];
/** In these the job is still on its node, or Slurm has only lost sight of it. */
const UNCERTAIN = ['NODE_FAIL', 'BOOT_FAIL', 'REVOKED'];
/** The site has ended the job in these. */
const BY_SITE = [...UNCERTAIN, 'PREEMPTED'];

/** Why a job waits, in plain words. The others are told as Slurm says them. */
const REASONS: Readonly<Record<string, string>> = {
  Resources: 'no node is free (Resources)',
  Priority: 'jobs with a higher priority are before it (Priority)',
  Dependency: 'the job of the same name before it still runs (Dependency)',
  None: 'Slurm has not looked at it yet',
  BeginTime: 'its time has not come (BeginTime)',
  QOSMaxGRESPerUser: 'your share of GPUs is in use (QOSMaxGRESPerUser)',
  AssocGrpGRES: "your account's share of GPUs is in use (AssocGrpGRES)",
  PartitionTimeLimit:
    'it may take longer than the partition allows (PartitionTimeLimit); give a shorter time',
  ReqNodeNotAvail: 'the nodes that it needs are not available (ReqNodeNotAvail)',
};

/** A job's status; `address` is its node's, where it has one. */
export function statusOf(
  { state, reason = 'None', node = '', restarts = 0, code = 0, signal = 0 }: JobFacts,
  address = '',
): JobStatus {
  if (QUEUED.includes(state)) return { phase: 'queued', why: REASONS[reason.split(',')[0] ?? ''] ?? reason };
  if (STARTING.includes(state))
    return { phase: 'starting', why: `${node || 'its node'} is being powered up` };
  if (RUNNING.includes(state)) return { phase: 'running', node, address, incarnation: String(restarts) };
  return {
    phase: 'ended',
    why: endOf(state, code, signal),
    isCertain: !UNCERTAIN.includes(state),
    ...(BY_SITE.includes(state) && { bySite: true }),
    ...(state === 'COMPLETED' && { code: 0 }),
    ...(state === 'FAILED' && signal === 0 && { code }),
  };
}

function endOf(state: string, code: number, signal: number): string {
  switch (state) {
    case 'COMPLETED':
      return 'it ended';
    case 'FAILED':
      return signal > 0 ? `it was killed (signal ${signal})` : `it ended with exit code ${code}`;
    case 'CANCELLED':
      return 'it was cancelled';
    case 'TIMEOUT':
      return 'it ran into its time limit';
    case 'NODE_FAIL':
      return 'its node failed';
    case 'PREEMPTED':
      return 'a more urgent job took its place';
    default:
      return `Slurm ended it (${state})`;
  }
}

/** Whether Slurm has ended a job, or has lost it. */
export function isOver(facts: JobFacts): boolean {
  return statusOf(facts).phase === 'ended';
}
