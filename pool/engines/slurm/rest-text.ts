/** Writes the jobs that slurmrestd gets, and reads what it says of them. */
import type { JobDescription } from '../engine.js';
import { jobScript } from './command-text.js';
import { commentOf, type JobFacts, type ListedFacts, termIn } from './job-facts.js';

/** A version of the interface, such as `v0.0.38`. Each Slurm has three of them. */
export type RestVersion = `v0.0.${number}`;

/** From this one on, numbers that may be absent are objects, and variables are a list. */
const WITH_OBJECTS = 39;

/** The body of the request that submits a job. `folder`: where it runs if its description does not say it. */
export function submissionOf(
  job: JobDescription,
  { version, folder }: { version: RestVersion; folder: string },
): object {
  const { name, term, log, limits, image } = job;
  const { minutes, cpus, memory, gpus, partition, account, qos, constraint } = limits;
  const isOld = Number(version.slice('v0.0.'.length)) < WITH_OBJECTS;
  const number = (value: number | undefined) => {
    if (value === undefined) return undefined;
    return isOld ? Math.ceil(value) : { set: true, infinite: false, number: Math.ceil(value) };
  };
  const gres = gpus === undefined ? undefined : `gpu:${gpus}`;
  // Slurm wants at least one. The script sets all that the job has.
  const variables = { PATH: '/usr/bin:/bin', ...job.environment };
  return {
    script: jobScript(job),
    job: {
      name,
      comment: commentOf(term),
      standard_output: log.replaceAll('%', '%%'),
      open_mode: isOld ? 'append' : ['APPEND'],
      current_working_directory: job.folder ?? folder,
      environment: isOld
        ? variables
        : Object.entries(variables).map(([variable, value]) => `${variable}=${value}`),
      // The job after this one of the same name begins when this one has ended.
      dependency: 'singleton',
      // Slurm must not run a host again: its token and key are for one term. The old version accepts `requeue` and ignores it.
      ...(isOld ? { no_requeue: true } : { requeue: false }),
      time_limit: number(minutes),
      cpus_per_task: cpus,
      memory_per_node: number(memory),
      ...(isOld ? { gres } : { tres_per_node: gres === undefined ? undefined : `gres/${gres}` }),
      partition,
      account,
      qos,
      constraints: constraint,
      container: image,
    },
  };
}

/** A job as slurmrestd shows it: states were one word once, and numbers were no objects. */
export interface RestJob {
  readonly job_id?: number;
  readonly name?: string;
  readonly user_name?: string;
  readonly comment?: string | { readonly job?: string };
  readonly job_state?: string | readonly string[];
  /** In the accounting. */
  readonly state?: { readonly current?: string | readonly string[]; readonly reason?: string };
  readonly state_reason?: string;
  readonly batch_host?: string;
  readonly nodes?: string;
  readonly restart_cnt?: number;
  readonly exit_code?: number | RestEnd;
}

type RestNumber = number | { readonly number?: number };

interface RestEnd {
  readonly return_code?: RestNumber;
  readonly signal?: { readonly id?: RestNumber; readonly signal_id?: RestNumber };
}

/** Slurm adds these to another state, and its commands show them in its place. */
const FLAGS = ['CONFIGURING', 'COMPLETING'];

export function factsOf(job: RestJob): JobFacts {
  const states = [job.job_state ?? job.state?.current ?? ''].flat();
  return {
    state: states.find((state) => FLAGS.includes(state)) ?? states[0] ?? '',
    reason: job.state_reason ?? job.state?.reason,
    node: job.batch_host || job.nodes || undefined,
    restarts: job.restart_cnt,
    ...endOf(job.exit_code),
  };
}

/** The jobs of one user that this engine has submitted. */
export function listedOf(jobs: readonly RestJob[], user: string): ListedFacts[] {
  return jobs.flatMap((job) => {
    const { job_id: id, name = '', comment = '', user_name: owner } = job;
    const term = typeof comment === 'string' ? termIn(comment) : undefined;
    return id === undefined || term === undefined || owner !== user
      ? []
      : [{ ...factsOf(job), id: String(id), name, term }];
  });
}

function endOf(exit: RestJob['exit_code']): Pick<JobFacts, 'code' | 'signal'> {
  // As wait(2) has it.
  if (typeof exit === 'number') return { code: exit >> 8, signal: exit & 127 };
  const { id, signal_id: former } = exit?.signal ?? {};
  return { code: plain(exit?.return_code), signal: plain(id ?? former) };
}

function plain(value: RestNumber | undefined): number {
  return (typeof value === 'object' ? value.number : value) ?? 0;
}
