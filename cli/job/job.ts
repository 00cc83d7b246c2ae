import { constants } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { JobReport } from '../../jobs/run/jobs.js';
import type { JobPlan } from '../../jobs/run/plan.js';
import { counted } from '../../page/site/format.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless, harmlessJson, harmlessLines } from '../../proto/harmless.js';
import { onEndingSignal } from '../stop-signal.js';
import { styleOf, table } from '../style.js';

export function jobCommand(): Command {
  const command = new Command('job').description(
    'Run programs as jobs of a pool, from stored templates and images.',
  );
  command
    .command('submit <request>')
    .description('Submit the job of a request, a YAML file, and print its id.')
    .option('--wait', 'wait until it is over, and end with its exit code')
    .allowExcessArguments(false)
    .action(submit);
  command
    .command('render <request>')
    .description('Print exactly what submit would send to the engine.')
    .option('--json', 'print it as JSON')
    .allowExcessArguments(false)
    .action(render);
  command
    .command('plan <request>')
    .description('Say which template and images a request gets, and what would run where.')
    .option('--explain', 'and why the others were not chosen')
    .allowExcessArguments(false)
    .action(plan);
  command
    .command('ls [job]')
    .description('List jobs, or the tasks of one, and where they stand.')
    .option('--json', 'print them as JSON')
    .allowExcessArguments(false)
    .action(list);
  command
    .command('logs <job>')
    .description('Print what the tasks of a job have printed.')
    .option('--task <name>', 'of this task alone, such as worker.0')
    .allowExcessArguments(false)
    .action(logs);
  command
    .command('cancel <job>')
    .description('End the tasks of a job that are not over.')
    .allowExcessArguments(false)
    .action(cancel);
  command
    .command('retry <job>')
    .description('Run the tasks of a job again that did not end well.')
    .allowExcessArguments(false)
    .action(retry);
  command
    .command('rm <job>')
    .description('Delete the record of a job that is over, with its logs, output and results.')
    .allowExcessArguments(false)
    .action(remove);
  command.addCommand(eachCommand(), { hidden: true });
  return command;
}

/** The worker of a batch. People do not type it: it stands in a template. */
function eachCommand(): Command {
  return new Command('each')
    .description('Call the function of a program for each file of a folder. The workers of a batch run this.')
    .requiredOption('--boot <file>', 'the module whose default export is the function')
    .requiredOption('--dataset <folder>', 'the files')
    .requiredOption('--results <folder>', 'gets a file for each of them')
    .addOption(new Option('--worker <which>', 'INDEX/COUNT').argParser(parseWorker).makeOptionMandatory())
    .allowExcessArguments(false)
    .action(each);
}

async function submit(file: string, { wait }: { wait?: boolean }): Promise<void> {
  const { planFile, submitJob, awaitJob, exitCodeOf } = await loadJobs();
  const made = planFile(file);
  warn(made);
  const record = await submitJob(made, ({ id }, why) => {
    process.stderr.write(
      `farlight: ${harmless(why)}; ${id} goes on by itself, and farlight job ls ${id} says where it stands\n`,
    );
  });
  process.stdout.write(`${record.id}\n`);
  if (!wait) return;
  onEndingSignal((signal) => {
    process.stderr.write(`farlight: ${record.id} goes on; farlight job cancel ${record.id} ends it\n`);
    process.exit(128 + constants.signals[signal]);
  });
  const shown = new Map<string, string>();
  const report = await awaitJob(record, ({ tasks }) => {
    for (const task of tasks) {
      const name = `${task.type}.${task.index}`;
      const now = stateText(task);
      if (shown.get(name) !== now)
        process.stderr.write(`farlight: ${record.id}: ${name}: ${harmless(now)}\n`);
      shown.set(name, now);
    }
  });
  process.exitCode = exitCodeOf(report);
}

async function render(file: string, { json }: { json?: boolean }): Promise<void> {
  const { planFile, renderPlan, idOf, JobRecord } = await loadJobs();
  const made = planFile(file);
  warn(made);
  const { id, folder } = new JobRecord(idOf(made));
  const jobs = renderPlan(made, id, folder);
  const text = json
    ? JSON.stringify(jobs, null, 2)
    : jobs.map((job) => made.pool.engine.render(job)).join('\n');
  process.stdout.write(json ? `${harmlessJson(text)}\n` : harmlessLines(text));
}

async function plan(file: string, { explain }: { explain?: boolean }): Promise<void> {
  const { planFile, idOf } = await loadJobs();
  const { planText } = await import('./plan-text.js');
  const made = planFile(file);
  warn(made);
  process.stdout.write(
    planText(made, idOf(made), { explain: explain === true, style: styleOf(process.stdout) }),
  );
}

async function list(id: string | undefined, { json }: { json?: boolean }): Promise<void> {
  const { lookAtJob, lookAtJobs, JobRecord } = await loadJobs();
  const jobs = id === undefined ? await lookAtJobs() : [await lookAtJob(JobRecord.find(id))];
  if (json) {
    process.stdout.write(`${harmlessJson(JSON.stringify(jobs, null, 2))}\n`);
    return;
  }
  if (jobs.length === 0) {
    process.stdout.write('no jobs\n');
    return;
  }
  const rows = id === undefined ? jobs.map(jobRow) : jobs.flatMap(taskRows);
  const heads =
    id === undefined ? ['job', 'phase', 'tasks', 'submitted', 'why'] : ['task', 'attempt', 'state'];
  process.stdout.write(`${table(heads, rows, styleOf(process.stdout)).join('\n')}\n`);
  if (id === undefined) return;
  const { folder } = JobRecord.find(id);
  process.stdout.write(`its logs, output and results are in ${folder}\n`);
}

function jobRow({ id, phase, tasks, submittedAt, problem }: JobReport): string[] {
  const ended = tasks.filter(({ state }) => state.phase === 'succeeded').length;
  const first = tasks.find(({ state }) => state.phase === phase);
  const why = problem ?? (first && 'why' in first.state ? first.state.why : '');
  return [id, phase, `${ended}/${tasks.length}`, submittedAt.replace(/\..*/, 'Z'), why];
}

function taskRows({ tasks }: JobReport): string[][] {
  return tasks.map((task) => [`${task.type}.${task.index}`, String(task.attempt), stateText(task)]);
}

function stateText({ state }: JobReport['tasks'][number]): string {
  if (state.phase === 'running') return `running on ${state.node}`;
  return 'why' in state ? `${state.phase}: ${state.why}` : state.phase;
}

async function logs(id: string, { task }: { task?: string }): Promise<void> {
  const { JobRecord, logsOf } = await loadJobs();
  const found = await logsOf(JobRecord.find(id), task);
  const style = styleOf(process.stdout);
  for (const { name, text } of found) {
    if (found.length > 1) process.stdout.write(`${style('bold', `== ${name}`)}\n`);
    process.stdout.write(harmlessLines(text));
  }
}

async function cancel(id: string): Promise<void> {
  const { JobRecord, cancelJob } = await loadJobs();
  const count = await cancelJob(JobRecord.find(id));
  process.stdout.write(`cancelled ${count} ${count === 1 ? 'task' : 'tasks'}\n`);
}

async function retry(id: string): Promise<void> {
  const { JobRecord, retryJob } = await loadJobs();
  const count = await retryJob(JobRecord.find(id));
  process.stdout.write(`${count} ${count === 1 ? 'task runs' : 'tasks run'} again\n`);
}

async function remove(id: string): Promise<void> {
  const { JobRecord, deleteJob } = await loadJobs();
  await deleteJob(JobRecord.find(id));
  process.stdout.write(`deleted ${id}\n`);
}

async function each(options: {
  boot: string;
  dataset: string;
  results: string;
  worker: { index: number; count: number };
}): Promise<void> {
  const { eachFile } = await import('../../jobs/batch/each.js');
  const { worker, ...rest } = options;
  const { done, skipped, failed } = await eachFile({ ...rest, ...worker });
  process.stdout.write(
    `${counted(done, 'file')} done, ${skipped} ${skipped === 1 ? 'was' : 'were'} done before, ${failed.length} failed\n`,
  );
  for (const { item, why } of failed) process.stderr.write(`farlight: ${harmless(item)}: ${harmless(why)}\n`);
  if (failed.length > 0)
    throw new FarlightError('BAD_OPTION', `${counted(failed.length, 'file')} failed; the log says why`);
}

function parseWorker(text: string): { index: number; count: number } {
  const [, index, count] = /^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? [];
  if (!(Number(index) < Number(count))) throw new InvalidArgumentError('Give INDEX/COUNT, such as 0/4.');
  return { index: Number(index), count: Number(count) };
}

function warn({ warnings }: JobPlan): void {
  for (const warning of warnings) process.stderr.write(`farlight: ${harmless(warning)}\n`);
}

async function loadJobs() {
  const [jobs, plans, { JobRecord }] = await Promise.all([
    import('../../jobs/run/jobs.js'),
    import('../../jobs/run/plan.js'),
    import('../../jobs/record/record.js'),
  ]);
  return { ...jobs, ...plans, JobRecord };
}
