/** Writes the arguments and scripts of Slurm's commands, and reads their output. */
import type { JobDescription, JobStatus } from './engine.js';

/** The arguments of `sbatch`. The script comes on stdin. */
export function sbatchArguments({ name, term, log, limits, folder, image }: JobDescription): string[] {
  const { minutes, cpus, memory, gpus, partition, account, qos, constraint } = limits;
  const given = {
    'job-name': name,
    comment: `${TERM}${term}`,
    output: log.replaceAll('%', '%%'),
    'open-mode': 'append',
    // The job after this one of the same name begins when this one has ended.
    dependency: 'singleton',
    // All that `sbatch` has. NONE and lists of names would have a login shell run on the node first.
    export: 'ALL',
    time: minutes,
    'cpus-per-task': cpus,
    mem: memory === undefined ? undefined : `${memory}M`,
    gres: gpus === undefined ? undefined : `gpu:${gpus}`,
    partition,
    account,
    qos,
    constraint,
    chdir: folder,
    container: image,
  };
  const stated = Object.entries(given).filter(([, value]) => value !== undefined);
  // Slurm must not run a host again: its token and key are for one term.
  return ['--parsable', '--no-requeue', ...stated.map(([option, value]) => `--${option}=${value}`)];
}

const TERM = 'farlight-term-';

export function jobScript({ command, environment, folder, image }: JobDescription): string {
  const variables = Object.entries(environment).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  // A container begins in the folder that its bundle names.
  const change = image !== undefined && folder !== undefined ? `cd ${quoted(folder)} || exit 1\n` : '';
  // `exec`, so that Slurm's signals reach the command itself.
  return `#!/bin/sh\numask 077\n${variables.join('')}${change}exec ${command.map(quoted).join(' ')}\n`;
}

/** One word of a shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The fields of one line of `scontrol --oneliner show`. A value with blanks is cut at the first one: use none such. */
export function fieldsOf(line: string): Map<string, string> {
  return new Map(
    [...line.matchAll(/(?:^|\s)([A-Za-z:]+)=(\S*)/g)].map(([, name = '', value = '']) => [name, value]),
  );
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

/** A job's status from the line of `scontrol --oneliner show job`; `address` is its node's, where it has one. */
export function statusOf(line: string, address = ''): JobStatus {
  const fields = fieldsOf(line);
  const state = fields.get('JobState') ?? '';
  const node = fields.get('BatchHost') ?? fields.get('NodeList') ?? '';
  if (QUEUED.includes(state)) {
    const reason = fields.get('Reason') ?? 'None';
    return { phase: 'queued', why: REASONS[reason.split(',')[0] ?? ''] ?? reason };
  }
  if (STARTING.includes(state))
    return { phase: 'starting', why: `${node || 'its node'} is being powered up` };
  if (RUNNING.includes(state))
    return { phase: 'running', node, address, incarnation: fields.get('Restarts') ?? '0' };
  const [code = 0, signal = 0] = (fields.get('ExitCode') ?? '').split(':').map(Number);
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

/** The jobs in the lines of `squeue` with the format of `SQUEUE_FORMAT`, each with its id. */
export const SQUEUE_FORMAT = '%i|%T|%r|%j|%k';

export interface QueuedLine {
  readonly id: string;
  readonly name: string;
  readonly term: number;
  readonly state: string;
  readonly reason: string;
}

export function queuedLines(text: string): QueuedLine[] {
  return text.split('\n').flatMap((line) => {
    const [id = '', state = '', reason = '', name = '', comment = ''] = line.trim().split('|');
    if (!/^\d+$/.test(id) || !comment.startsWith(TERM)) return [];
    return [{ id, state, reason, name, term: Number(comment.slice(TERM.length)) }];
  });
}
