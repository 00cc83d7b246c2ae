import { readFile } from 'node:fs/promises';
import { codeOf, FarlightError, tooManyFiles } from '../../proto/errors.js';

/** The limits of a job. An engine refuses a limit that it does not know (`checkLimits`). */
export interface JobLimits {
  /** How many minutes it may run. */
  minutes?: number;
  /** Its processor cores. */
  cpus?: number;
  /** Its memory, in MiB. */
  memory?: number;
  /** Its GPUs, as the engine names them: `1`, or `a100:1`. */
  gpus?: string;
  /** The part of the site that runs it, the account that pays, and its urgency: Slurm's own words. */
  partition?: string;
  account?: string;
  qos?: string;
  constraint?: string;
}

/** A job, as every engine understands it. No text of it is a secret: engines show jobs to other users. */
export interface JobDescription {
  /** Letters, digits and `.-_`. Jobs with one name never run at the same time: the later one waits in the queue. */
  readonly name: string;
  /** Which of the jobs with this name it is. */
  readonly term: number;
  readonly command: readonly string[];
  /** All variables that the job gets from us. */
  readonly environment: Readonly<Record<string, string>>;
  /** The file that gets what it prints, by an absolute path that both sides have. Read it by `Engine.logs`. */
  readonly log: string;
  readonly limits: JobLimits;
  /** The folder in which the command runs, by an absolute path that both sides have; the engine's own choice if absent. */
  readonly folder?: string;
  /**
   * The image of the job's container, pinned by its digest (`NAME@sha256:…`, or `sha256:…`); for an engine whose `images`
   * is `bundle`, the absolute path of an unpacked OCI bundle. Without it the job runs on the node itself;
   * an engine whose `images` is `registry` needs it.
   */
  readonly image?: string;
  /** Files and folders that a container sees at the same absolute paths, where its engine can give it some. */
  readonly mounts?: readonly string[];
}

/**
 * Where a job stands. `isCertain`: the engine has seen its processes end. Where it has only lost sight of them, as on a
 * node that is cut off, they may still run.
 */
export type JobStatus =
  | { readonly phase: 'queued'; readonly why: string }
  | {
      readonly phase: 'starting';
      readonly why: string;
      /** It stays so until a person mends something, such as the name of an image. */
      readonly isBlocked?: boolean;
    }
  | {
      readonly phase: 'running';
      readonly node: string;
      /** The node's address, as this machine reaches it. */
      readonly address: string;
      /** Which run of the job it is: it changes if the engine runs the job again. */
      readonly incarnation: string;
    }
  | {
      readonly phase: 'ended';
      readonly why: string;
      readonly isCertain: boolean;
      /** Absent where it did not end by itself. */
      readonly code?: number;
      /** The site ended it, and neither its program nor a person: its node failed, or a more urgent job took its place. */
      readonly bySite?: boolean;
    };

export interface ListedJob {
  readonly id: string;
  readonly name: string;
  readonly term: number;
  readonly status: JobStatus;
}

/** A way to run jobs: processes of this machine, or a site's scheduler. It never runs a job again by itself. */
export interface Engine {
  readonly name: 'local' | 'slurm' | 'docker' | 'kubernetes';
  /** The limits that it enforces. */
  readonly limits: readonly (keyof JobLimits)[];
  /** How it is given the image of a job: not at all, as the name in a registry, or as an unpacked bundle. */
  readonly images: 'none' | 'registry' | 'bundle';
  /** Whether its jobs run on this machine, as this user. */
  readonly isHere: boolean;
  /** The job that `submit` sends, as a text for a person. */
  render(job: JobDescription): string;
  /** @returns the job's id. @throws FarlightError BAD_OPTION, UNREACHABLE (rejects) */
  submit(job: JobDescription): Promise<string>;
  /** @throws FarlightError UNREACHABLE (rejects) where the engine does not say. */
  status(id: string): Promise<JobStatus>;
  /** The jobs of this user that are not over, with names that begin so. @throws FarlightError UNREACHABLE (rejects) */
  list(prefix: string): Promise<ListedJob[]>;
  /**
   * The output of a job until now; empty where the engine does not know it. `log`: the file of the job's description,
   * which some engines write.
   *
   * @throws FarlightError UNREACHABLE (rejects)
   */
  logs(id: string, log: string): Promise<string>;
  /** Ends a job, if it is not over. Resolves when the engine has been told. @throws FarlightError UNREACHABLE (rejects) */
  cancel(id: string): Promise<void>;
  /** The same, from a process that is about to end: it has been tried when this returns. */
  cancelNow(id: string): void;
  /** Has the engine forget this user's jobs that are over, with names that begin so. (rejects) */
  clear(prefix: string): Promise<void>;
}

/** @throws FarlightError BAD_OPTION where an image is not of the kind that the engine is given. */
export function checkImage(engine: Pick<Engine, 'name' | 'images'>, image: string | undefined): void {
  const { name, images } = engine;
  if (image === undefined) {
    if (images !== 'registry') return;
    const why = `the engine ${name} runs containers only; name an image by its digest (NAME@sha256:…)`;
    throw new FarlightError('BAD_OPTION', why);
  }
  if (images === 'none') {
    const why = `the engine ${name} runs jobs without a container; leave the image out, or name another engine`;
    throw new FarlightError('BAD_OPTION', why);
  }
  if (image.startsWith('/') !== (images === 'bundle') || (images === 'registry' && !PINNED.test(image))) {
    const kinds = { bundle: 'the path of an OCI bundle', registry: 'an image by its digest (NAME@sha256:…)' };
    throw new FarlightError('BAD_OPTION', `the engine ${name} needs ${kinds[images]}, and not ${image}`);
  }
}

/** An image that is always the same one: a tag alone may name another one tomorrow. */
const PINNED = /^([^\s@]+@)?sha256:[0-9a-f]{64}$/;

/** @throws FarlightError BAD_OPTION where a limit is one that the engine does not enforce. */
export function checkLimits(engine: Pick<Engine, 'name' | 'limits'>, limits: JobLimits): void {
  const unknown = Object.keys(limits).find((name) => !engine.limits.includes(name as keyof JobLimits));
  if (unknown === undefined) return;
  const known = engine.limits.join(', ') || 'none';
  throw new FarlightError(
    'BAD_OPTION',
    `the engine ${engine.name} cannot limit a job's ${unknown}; leave it out, or name another engine (it knows: ${known})`,
  );
}

/** Whether an engine does not answer now. */
export function isSilence(error: unknown): boolean {
  return error instanceof FarlightError && error.code === 'UNREACHABLE';
}

/** For a question that is asked again later: undefined where the engine does not answer. @throws any other error. */
export function onlySilent(error: unknown): undefined {
  if (!isSilence(error)) throw error;
  return undefined;
}

/** The logs of an engine whose jobs write them to a file. */
export async function readLog(log: string): Promise<string> {
  try {
    return await readFile(log, 'utf8');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw tooManyFiles(error) ?? error;
    return '';
  }
}
