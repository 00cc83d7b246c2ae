import { type StdioOptions, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stateFolder } from '../../link/machine/folders.js';
import { packageProgram } from '../../link/machine/package-files.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { makePrivate } from '../../server/trust/private-folder.js';
import {
  checkImage,
  checkLimits,
  type Engine,
  type JobDescription,
  type JobStatus,
  type ListedJob,
  readLog,
} from './engine.js';
import { LocalJob } from './local-job.js';

/** An ended job is forgotten after so many milliseconds, by the next one that is submitted. */
const FORGET_MS = 60 * 60 * 1000;
const ID = /^[0-9a-f]{16}$/;

/** Runs jobs as processes of this machine. Each has a folder with its state, so that every program of this user sees it. */
export class LocalEngine implements Engine {
  readonly name = 'local';
  readonly limits = ['minutes'] as const;
  readonly images = 'none';
  readonly isHere = true;
  readonly #folder: string;

  constructor(folder: string = join(stateFolder(), 'jobs')) {
    this.#folder = folder;
  }

  render({ name, term, command, environment, log, limits, folder }: JobDescription): string {
    const variables = Object.entries(environment).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    const limit = limits.minutes === undefined ? '' : `, for at most ${limits.minutes} minutes`;
    return [
      `# job ${name}, term ${term}${limit}; output to ${log}`,
      ...(folder === undefined ? [] : [`cd ${JSON.stringify(folder)}`]),
      [...variables, ...command.map((word) => JSON.stringify(word))].join(' '),
      '',
    ].join('\n');
  }

  async submit(job: JobDescription): Promise<string> {
    checkLimits(this, job.limits);
    checkImage(this, job.image);
    this.#forget((old) => old.ageMs > FORGET_MS);
    const id = randomBytes(8).toString('hex');
    const folder = join(this.#folder, id);
    makePrivate(this.#folder);
    const errors = openSync(job.log, 'a', 0o600);
    const own = new LocalJob(folder);
    own.write('job', job);
    const runner = packageProgram('pool/engines/local-runner.js');
    const stdio = ['ignore', 'ignore', errors] satisfies StdioOptions;
    // Nothing of this program's environment, which may hold secrets and options for Node.
    const options = { cwd: '/', env: job.environment, detached: true, stdio };
    const child = spawn(process.execPath, [fileURLToPath(runner), folder], options);
    closeSync(errors);
    // It says itself how its job ended, once it has begun.
    child.once('exit', (code, signal) => {
      try {
        if (own.read('runner') || own.read('ended')) return;
        own.write('ended', {
          why: `the process that looks after it ended at once (${signal ?? `exit code ${code}`})`,
        });
      } catch {
        // Nobody waits for this. Without it the job's status says so when the process has had its time to begin.
      }
    });
    return new Promise((resolve, reject) => {
      child.once('error', (error) => {
        const why = `no process can be started on this machine (${messageOf(error)}); end some that run`;
        reject(new FarlightError('UNREACHABLE', why, { cause: error }));
      });
      child.once('spawn', () => {
        child.unref();
        resolve(id);
      });
    });
  }

  async status(id: string): Promise<JobStatus> {
    return this.#job(id).status(hostname());
  }

  async list(prefix: string): Promise<ListedJob[]> {
    return this.#ids().flatMap((id) => {
      const job = this.#job(id);
      const description = job.read('job');
      const status = job.status(hostname());
      if (!description?.name.startsWith(prefix) || status.phase === 'ended') return [];
      return [{ id, name: description.name, term: description.term, status }];
    });
  }

  async cancel(id: string): Promise<void> {
    this.cancelNow(id);
  }

  cancelNow(id: string): void {
    const job = this.#job(id);
    if (!job.read('job') || job.read('ended')) return;
    // First: the process that looks after the job may be about to begin, and then reads this.
    job.write('cancelled', true);
    const { runner, process: own } = job;
    try {
      if (runner !== undefined) process.kill(runner, 'SIGTERM');
      // Nobody looks after it any more.
      else if (own !== undefined) process.kill(-own, 'SIGKILL');
    } catch {
      // It has ended in the meantime.
    }
  }

  logs(_id: string, log: string): Promise<string> {
    return readLog(log);
  }

  async clear(prefix: string): Promise<void> {
    this.#forget((job) => job.read('job')?.name.startsWith(prefix) === true);
  }

  #job(id: string): LocalJob {
    return new LocalJob(join(this.#folder, ID.test(id) ? id : 'none'));
  }

  #ids(): string[] {
    try {
      return readdirSync(this.#folder).filter((name) => ID.test(name));
    } catch {
      return [];
    }
  }

  #forget(isWanted: (job: LocalJob) => boolean): void {
    for (const id of this.#ids()) {
      const job = this.#job(id);
      if (isWanted(job) && job.status('').phase === 'ended')
        rmSync(job.folder, { recursive: true, force: true });
    }
  }
}
