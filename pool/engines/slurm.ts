import { spawnSync } from 'node:child_process';
import { FarlightError } from '../../proto/errors.js';
import {
  checkImage,
  checkLimits,
  type Engine,
  type JobDescription,
  type JobStatus,
  type ListedJob,
  readLog,
} from './engine.js';
import { CANCEL_MS, type CommandResult, commandEnvironment, runCommand } from './run-command.js';
import {
  fieldsOf,
  jobScript,
  queuedLines,
  quoted,
  SQUEUE_FORMAT,
  sbatchArguments,
  statusOf,
} from './slurm-text.js';

/** Slurm's error for a job that it has forgotten, or never had. */
const UNKNOWN = /Invalid job id/i;

/** Runs jobs in a site's Slurm, by its own commands. They find the site as they do for any user (SLURM_CONF). */
export class SlurmEngine implements Engine {
  readonly name = 'slurm';
  readonly limits = [
    'minutes',
    'cpus',
    'memory',
    'gpus',
    'partition',
    'account',
    'qos',
    'constraint',
  ] as const;
  readonly images = 'bundle';
  readonly isHere = false;

  render(job: JobDescription): string {
    return `sbatch ${sbatchArguments(job).map(quoted).join(' ')} <<'END'\n${jobScript(job)}END\n`;
  }

  async submit(job: JobDescription): Promise<string> {
    checkLimits(this, job.limits);
    checkImage(this, job.image);
    const result = await runCommand('sbatch', sbatchArguments(job), jobScript(job));
    // With --parsable: the id, and the cluster behind a semicolon where there are several.
    const [, id] = /^(\d+)(;|$)/m.exec(result.stdout) ?? [];
    if (id !== undefined) return id;
    throw new FarlightError('BAD_OPTION', `Slurm refuses the job: ${saidBy(result)}`);
  }

  async status(id: string): Promise<JobStatus> {
    const result = await runCommand('scontrol', ['--oneliner', 'show', 'job', id]);
    if (result.code !== 0) {
      if (UNKNOWN.test(result.stderr)) return this.#forgotten(id);
      throw silent(result);
    }
    const status = statusOf(result.stdout);
    if (status.phase !== 'running') return status;
    return { ...status, address: await this.#addressOf(status.node) };
  }

  async list(prefix: string): Promise<ListedJob[]> {
    const states = '--states=PENDING,CONFIGURING,RUNNING,SUSPENDED,COMPLETING,STOPPED';
    const result = await runCommand('squeue', ['--me', '--noheader', states, '--format', SQUEUE_FORMAT]);
    if (result.code !== 0) throw silent(result);
    const ours = queuedLines(result.stdout).filter(({ name }) => name.startsWith(prefix));
    return ours.map(({ id, name, term, state, reason }) => {
      return { id, name, term, status: statusOf(`JobState=${state} Reason=${reason.replaceAll(' ', '_')}`) };
    });
  }

  async cancel(id: string): Promise<void> {
    const result = await runCommand('scancel', [id]);
    if (result.code !== 0 && !UNKNOWN.test(result.stderr)) throw silent(result);
  }

  cancelNow(id: string): void {
    spawnSync('scancel', [id], { env: commandEnvironment(), timeout: CANCEL_MS, stdio: 'ignore' });
  }

  logs(_id: string, log: string): Promise<string> {
    return readLog(log);
  }

  /** Slurm forgets by itself. */
  async clear(): Promise<void> {}

  /** A job that slurmctld has forgotten; the accounting may know it, where a site has one. */
  async #forgotten(id: string): Promise<JobStatus> {
    const fields = '--format=State,ExitCode';
    const known = await runCommand('sacct', ['-X', '-n', '-P', fields, '--jobs', id]).catch(() => undefined);
    const [, state, code] = /^(\w+)[^|\n]*\|(\S+)/.exec(known?.code === 0 ? known.stdout : '') ?? [];
    if (state !== undefined) return statusOf(`JobState=${state} ExitCode=${code}`);
    return { phase: 'ended', why: 'Slurm knows no such job', isCertain: false };
  }

  async #addressOf(node: string): Promise<string> {
    const result = await runCommand('scontrol', ['--oneliner', 'show', 'node', node]);
    return fieldsOf(result.stdout).get('NodeAddr') ?? node;
  }
}

/** Slurm's commands are installed, and no site is. */
const NO_SITE = /configuration source|SLURM_CONF/i;

function silent(result: CommandResult): FarlightError {
  if (NO_SITE.test(result.stderr)) {
    const why = 'Slurm has no configuration here; run the program where it has one, or set SLURM_CONF';
    return new FarlightError('BAD_OPTION', why);
  }
  return new FarlightError('UNREACHABLE', `Slurm does not answer: ${saidBy(result)}`);
}

/** The errors that a command of Slurm's printed, in one line. */
function saidBy({ stderr, code }: CommandResult): string {
  const said = stderr
    .split('\n')
    .map((line) => line.replace(/^\w+: (error: )?/, '').trim())
    .filter(Boolean);
  return said.join('; ') || `it ended with code ${code}`;
}
