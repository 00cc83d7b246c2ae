import { poolAddress } from '../../link/address/pool-address.js';
import { monotonicNow } from '../../link/machine/clock.js';
import { type Pool, readPool } from '../../pool/definition/pool-file.js';
import { isSilence, onlySilent, readLog } from '../../pool/engines/engine.js';
import { FarlightError } from '../../proto/errors.js';
import {
  type AttemptEnd,
  type AttemptFacts,
  type Due,
  progressOf,
  type Retries,
  type TaskState,
} from '../record/progress.js';
import type { JobRecord } from '../record/record.js';
import { type Attempt, attemptName, JOB_PREFIX, renderAttempt, type Task } from '../render/render.js';

/** A task, and where it stands. */
export interface TaskReport extends Attempt {
  readonly state: TaskState;
}

/** How long a process may take to submit what it has claimed, in milliseconds: longer than an engine's command may. */
const SUBMIT_MS = 60_000;
const USUAL_RETRIES: Retries = { most: 3, ms: 5000 };

/**
 * Does for one job what is due. Any number of processes may do so at once: what one of them does, it claims first in the
 * job's record.
 */
export class JobDriver {
  #pool: Pool | undefined;
  readonly #record: JobRecord;
  readonly #retries: Retries;
  #silence: string | undefined;
  /** When this process first saw something, by its name. */
  readonly #seen = new Map<string, number>();

  constructor(record: JobRecord) {
    this.#record = record;
    const { request, template } = record.parts;
    const { most = USUAL_RETRIES.most, seconds } = template.file.retries ?? {};
    this.#retries = {
      most: request.retries ?? most,
      ms: seconds === undefined ? USUAL_RETRIES.ms : seconds * 1000,
    };
  }

  /** Read when it is first needed: a job that is over needs none. @throws FarlightError BAD_OPTION */
  get pool(): Pool {
    this.#pool ??= readPool(poolAddress(this.#record.parts.request.pool));
    return this.#pool;
  }

  /** Why the engine has not said whether it has taken a job of this process, if so. */
  get silence(): string | undefined {
    return this.#silence;
  }

  /** The output of an attempt until now. @throws FarlightError BAD_OPTION (rejects) */
  async logOf(which: Attempt): Promise<string> {
    const log = this.#record.logOf(which);
    const id = this.#record.read(which, 'job')?.id;
    // The engine may have forgotten an attempt that has ended.
    if (id === undefined || this.#record.read(which, 'end')) return readLog(log);
    return (await this.pool.engine.logs(id, log).catch(onlySilent)) ?? '';
  }

  /** Where every task stands. It does nothing. @throws FarlightError BAD_OPTION where the pool's file is wrong (rejects). */
  async look(): Promise<TaskReport[]> {
    const reports: TaskReport[] = [];
    const numbers = this.#record.attemptNumbers();
    for (const task of this.#record.tasks) reports.push((await this.#look(task, numbers)).report);
    return reports;
  }

  /** Does what is due now. Resolves with where every task stands, and whether nothing will change any more. */
  async pass(): Promise<{ tasks: TaskReport[]; isOver: boolean }> {
    const tasks: TaskReport[] = [];
    let isOver = true;
    // An attempt that another process claims meanwhile is one that this one cannot claim.
    const numbers = this.#record.attemptNumbers();
    for (const task of this.#record.tasks) {
      const { report, attempts, due } = await this.#look(task, numbers);
      if (due.do !== 'stop') isOver = false;
      await this.#act(task, attempts, due);
      tasks.push(report);
    }
    return { tasks, isOver };
  }

  /** Has the engine delete what it keeps of a job that is over. */
  async forget(): Promise<void> {
    try {
      await this.pool.engine.clear(`${JOB_PREFIX}${this.#record.id}.`);
    } catch (error) {
      // The pool's file may be gone, and a person has not asked for more than to forget the job.
      if (!(error instanceof FarlightError)) throw error;
    }
  }

  async #look(
    task: Task,
    numbers: ReturnType<JobRecord['attemptNumbers']>,
  ): Promise<{ report: TaskReport; attempts: readonly AttemptFacts[]; due: Due }> {
    const attempts = this.#record.attempts(task, numbers);
    const last = attempts.at(-1);
    const status =
      last?.id === undefined || last.end
        ? undefined
        : await this.pool.engine.status(last.id).catch(onlySilent);
    const { state, due } = progressOf(attempts, status, this.#retries);
    return { report: { ...task, attempt: last?.attempt ?? 0, state }, attempts, due };
  }

  async #act(task: Task, attempts: readonly AttemptFacts[], due: Due): Promise<void> {
    const record = this.#record;
    switch (due.do) {
      case 'submit': {
        const which = { ...task, attempt: due.attempt };
        if (this.#age(`submit ${attemptName(which)}`) < due.afterMs) return;
        if (record.claim(which)) await this.#submit(which, attempts.at(-1));
        return;
      }
      case 'end': {
        const which = { ...task, attempt: due.attempt };
        // An engine forgets what a job has printed, or somebody deletes it.
        const log = await this.logOf(which);
        if (log !== '') record.keepLog(which, log);
        record.write(which, 'end', due.end);
        return;
      }
      case 'cancel':
        await this.pool.engine.cancel(due.id).catch(onlySilent);
        return;
      case 'look':
        await this.#find({ ...task, attempt: due.attempt });
        return;
      default:
    }
  }

  async #submit(which: Attempt, before: AttemptFacts | undefined): Promise<void> {
    const record = this.#record;
    // A cancel of the attempt before may have come since it was looked at. Later ones see the claim.
    if (before && !before.isRetried && record.read({ ...which, attempt: before.attempt }, 'cancel')) {
      record.write(which, 'end', { why: 'it was cancelled' });
      record.write(which, 'cancel', { why: 'the attempt before it was cancelled' });
      return;
    }
    const { engine } = this.pool;
    let id: string;
    try {
      id = await engine.submit(renderAttempt(record.parts, this.pool, which));
    } catch (error) {
      if (!(error instanceof FarlightError)) throw error;
      // A silent engine may have taken it all the same. Later passes find it there, or give it up.
      if (isSilence(error)) this.#silence = error.message;
      else record.write(which, 'end', { why: error.message });
      return;
    }
    record.write(which, 'job', { id });
    // Another process has given this one up for dead.
    if (record.read(which, 'end')) await engine.cancel(id).catch(onlySilent);
  }

  /** Finds the job of an attempt whose submitter does not know it, or gives the attempt up. */
  async #find(which: Attempt): Promise<void> {
    const { name } = renderAttempt(this.#record.parts, this.pool, which);
    const jobs = await this.pool.engine.list(name).catch(onlySilent);
    const found = jobs?.find((job) => job.name === name && job.term === which.attempt);
    if (found) this.#record.write(which, 'job', { id: found.id });
    else if (jobs && this.#age(`claim ${attemptName(which)}`) > SUBMIT_MS) {
      const end: AttemptEnd = {
        why: 'its submission came to nothing: the engine was silent, or the process that submitted it has ended',
        bySite: true,
      };
      this.#record.write(which, 'end', end);
    }
  }

  /** How long this process has seen something, in milliseconds. */
  #age(what: string): number {
    const now = monotonicNow();
    const since = this.#seen.get(what) ?? now;
    this.#seen.set(what, since);
    return now - since;
  }
}
