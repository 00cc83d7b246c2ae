import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { FarlightError } from '../../../proto/errors.js';
import type { JobDescription } from '../engine.js';
import { CANCEL_MS, type CommandResult, commandEnvironment, runCommand } from '../run-command.js';
import {
  endIn,
  factsIn,
  fieldsOf,
  jobScript,
  queuedLines,
  quoted,
  SQUEUE_FORMAT,
  sbatchArguments,
} from './command-text.js';
import type { JobFacts, ListedFacts } from './job-facts.js';
import type { SlurmClient } from './slurm-client.js';

/** Slurm's error for a job that it has forgotten, or never had. */
const UNKNOWN = /Invalid job id/i;
/** The controller was not reached, or has not answered: it may have taken a job all the same. */
const UNANSWERED =
  /Unable to contact slurm controller|Socket timed out|Zero Bytes were transmitted|(connection|send|receive|shutdown) failure/i;

/** Asks a site's Slurm by its own commands. */
export class SlurmCommands implements SlurmClient {
  render(job: JobDescription): string {
    return `sbatch ${sbatchArguments(job).map(quoted).join(' ')} <<'END'\n${jobScript(job)}END\n`;
  }

  async submit(job: JobDescription): Promise<string> {
    const result = await run('sbatch', sbatchArguments(job), jobScript(job));
    // With --parsable: the id, and the cluster behind a semicolon where there are several.
    const [, id] = /^(\d+)(;|$)/m.exec(result.stdout) ?? [];
    if (id !== undefined) return id;
    if (UNANSWERED.test(result.stderr)) throw silent(result);
    throw new FarlightError('BAD_OPTION', `Slurm refuses the job: ${saidBy(result)}`);
  }

  async job(id: string): Promise<JobFacts | undefined> {
    const result = await run('scontrol', ['--oneliner', 'show', 'job', id]);
    if (result.code === 0) return factsIn(result.stdout);
    if (UNKNOWN.test(result.stderr)) return undefined;
    throw silent(result);
  }

  async accounted(id: string): Promise<JobFacts | undefined> {
    const fields = '--format=State,ExitCode';
    const known = await run('sacct', ['-X', '-n', '-P', fields, '--jobs', id]).catch(() => undefined);
    const [, state, code] = /^(\w+)[^|\n]*\|(\S+)/.exec(known?.code === 0 ? known.stdout : '') ?? [];
    return state === undefined ? undefined : { state, ...endIn(code) };
  }

  async jobs(): Promise<ListedFacts[]> {
    const states = '--states=PENDING,CONFIGURING,RUNNING,SUSPENDED,COMPLETING,STOPPED';
    const result = await run('squeue', ['--me', '--noheader', states, '--format', SQUEUE_FORMAT]);
    if (result.code !== 0) throw silent(result);
    return queuedLines(result.stdout);
  }

  async cancel(id: string): Promise<void> {
    const result = await run('scancel', [id]);
    if (result.code !== 0 && !UNKNOWN.test(result.stderr)) throw silent(result);
  }

  cancelNow(id: string): void {
    spawnSync('scancel', [id], { env: commandEnvironment(), timeout: CANCEL_MS, stdio: 'ignore' });
  }

  async addressOf(node: string): Promise<string> {
    const result = await run('scontrol', ['--oneliner', 'show', 'node', node]);
    return fieldsOf(result.stdout).get('NodeAddr') ?? node;
  }
}

/** Slurm's commands are installed, and no site is. */
const NO_SITE = /configuration source|SLURM_CONF/i;

/** @throws FarlightError as `runCommand`; BAD_OPTION also where there is no site (rejects). */
async function run(file: string, args: readonly string[], input?: string): Promise<CommandResult> {
  // The commands wait a minute for a file that is not there.
  const { SLURM_CONF } = process.env;
  if (SLURM_CONF && !existsSync(SLURM_CONF)) throw noSite();
  const result = await runCommand(file, args, input);
  if (result.code !== 0 && NO_SITE.test(result.stderr)) throw noSite();
  return result;
}

function noSite(): FarlightError {
  const { SLURM_CONF } = process.env;
  const where = SLURM_CONF ? `in ${SLURM_CONF}, where SLURM_CONF says` : 'here';
  const why = `Slurm has no configuration ${where}; run the program where it has one, or set SLURM_CONF`;
  return new FarlightError('BAD_OPTION', why);
}

function silent(result: CommandResult): FarlightError {
  return new FarlightError(
    'UNREACHABLE',
    `Slurm does not answer: ${saidBy(result)}; see that its controller runs (scontrol ping)`,
  );
}

/** The errors that a command of Slurm's printed, in one line. */
function saidBy({ stderr, code }: CommandResult): string {
  const said = stderr
    .split('\n')
    .map((line) => line.replace(/^\w+: (error: )?/, '').trim())
    .filter(Boolean);
  return said.join('; ') || `it ended with code ${code}`;
}
