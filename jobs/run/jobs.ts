/** The acts of a person on jobs: submit, look, cancel, retry. */
import { pause } from '../../link/machine/timer.js';
import { FarlightError } from '../../proto/errors.js';
import type { TaskState } from '../record/progress.js';
import { JobRecord, recordedJobs } from '../record/record.js';
import { type Attempt, taskName } from '../render/render.js';
import { JobDriver, type TaskReport } from './drive.js';
import { idOf, type JobPlan } from './plan.js';
import { paceOf, startWatcher } from './watch.js';

/** A job, and where it stands as a whole. */
export interface JobReport {
  readonly id: string;
  readonly submittedAt: string;
  readonly phase: TaskState['phase'];
  readonly tasks: readonly TaskReport[];
  /** Why nobody can say where it stands, such as a pool's file that is gone. */
  readonly problem?: string;
}

/** The phase of a job is the first of these that one of its tasks is in. */
const PHASES = [
  'running',
  'starting',
  'retrying',
  'queued',
  'failed',
  'lost',
  'cancelled',
  'succeeded',
] as const;
const OVER: readonly TaskState['phase'][] = ['failed', 'lost', 'cancelled', 'succeeded'];

/**
 * Submits a job. A process that looks after it is started.
 *
 * @param onSilence is told why the engine does not say whether it has taken the job, if so.
 * @throws FarlightError BAD_OPTION where the engine refuses it: then no task of it goes on (rejects).
 */
export async function submitJob(
  plan: JobPlan,
  onSilence: (record: JobRecord, why: string) => void = () => {},
): Promise<JobRecord> {
  let record = new JobRecord(idOf(plan));
  while (!record.take()) record = new JobRecord(idOf(plan));
  record.begin(plan.parts);
  const driver = new JobDriver(record);
  await driver.pass();
  const refused = (await driver.look()).map(({ state }) => state).find(({ phase }) => phase === 'failed');
  if (refused && 'why' in refused && !('code' in refused)) {
    await cancelJob(record);
    throw new FarlightError('BAD_OPTION', `the job ${record.id} was not submitted: ${refused.why}`);
  }
  if (driver.silence !== undefined) onSilence(record, driver.silence);
  await startWatcher(record);
  return record;
}

/** Where a job stands. Does what is due, and starts a process that does so from now on, unless there is one or it is over. */
export async function lookAtJob(record: JobRecord): Promise<JobReport> {
  record.checkKept();
  const { tasks } = await new JobDriver(record).pass();
  const phase = PHASES.find((each) => tasks.some(({ state }) => state.phase === each)) ?? 'queued';
  if (!isOver(phase)) await startWatcher(record);
  return { id: record.id, submittedAt: record.submittedAt, phase, tasks };
}

/** Every job that has a record. */
export async function lookAtJobs(): Promise<JobReport[]> {
  const reports: JobReport[] = [];
  for (const id of recordedJobs()) {
    const record = new JobRecord(id);
    // It is just being submitted, or was deleted.
    if (!record.exists) continue;
    try {
      reports.push(await lookAtJob(record));
    } catch (error) {
      if (!(error instanceof FarlightError)) throw error;
      if (!record.exists) continue;
      reports.push({ id, submittedAt: '', phase: 'lost', tasks: [], problem: error.message });
    }
  }
  return reports;
}

/** Resolves when the job is over. `onChange` is told each change. */
export async function awaitJob(record: JobRecord, onChange: (report: JobReport) => void): Promise<JobReport> {
  const { first, growth, longest } = paceOf(new JobDriver(record).pool.engine);
  let seen = '';
  for (let ms = first; ; ms = Math.min(ms * growth, longest)) {
    const report = await lookAtJob(record);
    const now = JSON.stringify(report);
    if (now !== seen) {
      ms = first;
      onChange(report);
    }
    seen = now;
    if (isOver(report.phase)) return report;
    await pause(ms);
  }
}

/** Cancels all tasks that are not over. @returns how many. */
export async function cancelJob(record: JobRecord): Promise<number> {
  const driver = new JobDriver(record);
  let cancelled = 0;
  for (const task of await driver.look()) {
    if (isOver(task.state.phase)) continue;
    cancelled += 1;
    cancelTask(record, task);
  }
  if (cancelled > 0) {
    await driver.pass();
    await startWatcher(record);
  }
  return cancelled;
}

function cancelTask(record: JobRecord, task: TaskReport): void {
  for (;;) {
    const attempt = record.attempts(task).at(-1)?.attempt ?? 1;
    const which: Attempt = { ...task, attempt };
    // Without an attempt nobody may submit a first one any more.
    if (record.claim(which)) record.write(which, 'end', { why: 'it was cancelled' });
    record.write(which, 'cancel', { why: 'a person cancelled it' });
    if (record.attempts(task).at(-1)?.attempt === attempt) return;
  }
}

/** Asks for another attempt at each task that did not end well. @throws FarlightError BAD_OPTION (rejects) */
export async function retryJob(record: JobRecord): Promise<number> {
  const { tasks, phase } = await lookAtJob(record);
  const failed = tasks.filter(({ state }) => isOver(state.phase) && state.phase !== 'succeeded');
  if (failed.length === 0) {
    const why = isOver(phase) ? 'all its tasks have succeeded' : 'none of its tasks has failed';
    throw new FarlightError('BAD_OPTION', `${record.id} has nothing to try again: ${why}`);
  }
  for (const task of failed) record.write(task, 'retry', true);
  await startWatcher(record);
  return failed.length;
}

/** Deletes the record of a job that is over, with its output. @throws FarlightError BAD_OPTION (rejects) */
export async function deleteJob(record: JobRecord): Promise<void> {
  const { phase } = await lookAtJob(record).catch((error) => {
    if (!(error instanceof FarlightError)) throw error;
    const why = `nobody can say whether ${record.id} is over: ${error.message}; if it is, delete its folder ${record.folder}`;
    throw new FarlightError('BAD_OPTION', why, { cause: error });
  });
  if (!isOver(phase))
    throw new FarlightError(
      'BAD_OPTION',
      `${record.id} is not over; first: farlight job cancel ${record.id}`,
    );
  await new JobDriver(record).forget();
  record.delete();
}

/** The exit code of a job: that of its first task that failed. */
export function exitCodeOf({ phase, tasks }: JobReport): number {
  if (phase === 'succeeded') return 0;
  const codes = tasks.flatMap(({ state }) =>
    'code' in state && state.code !== undefined ? [state.code] : [],
  );
  return codes[0] || 1;
}

/** The output of a job's attempts until now, in their order; of one task if it is named, such as `worker.0`. */
export async function logsOf(record: JobRecord, name?: string): Promise<{ name: string; text: string }[]> {
  const known = record.tasks.map(taskName);
  if (name !== undefined && !known.includes(name))
    throw new FarlightError('BAD_OPTION', `${record.id} has no task ${name}; it has: ${known.join(', ')}`);
  const driver = new JobDriver(record);
  const logs: { name: string; text: string }[] = [];
  const numbers = record.attemptNumbers();
  for (const task of record.tasks) {
    const own = taskName(task);
    if (name !== undefined && own !== name) continue;
    for (const { attempt } of record.attempts(task, numbers))
      logs.push({ name: `${own}, attempt ${attempt}`, text: await driver.logOf({ ...task, attempt }) });
  }
  return logs;
}

export function isOver(phase: TaskState['phase']): boolean {
  return OVER.includes(phase);
}
