import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { packageProgram } from '../../link/machine/package-files.js';
import { codeOf, FarlightError } from '../../proto/errors.js';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How long a command of a scheduler may take, in milliseconds. */
const TIMEOUT_MS = 30_000;
/** How long a synchronous cancel may take, in milliseconds. */
export const CANCEL_MS = 20_000;
const MOST_BYTES = 8 << 20;
/** The variables that a scheduler's commands need. */
const VARIABLES =
  /^(PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|KRB5CCNAME|(SLURM|SBATCH|SQUEUE|SCANCEL|SACCT|MUNGE)_\w+)$/;

/** The variables of this process that are no secrets: a scheduler keeps and shows the environment of jobs. */
export function commandEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => VARIABLES.test(name)));
}

/**
 * Runs a command of a scheduler to its end.
 *
 * @param input its stdin. Other users see its arguments, and not its stdin.
 * @param timeoutMs how long it may take.
 * @throws FarlightError BAD_OPTION where it is not installed; UNREACHABLE where it does not end (rejects).
 */
export function runCommand(
  file: string,
  args: readonly string[],
  input = '',
  timeoutMs: number = TIMEOUT_MS,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env: commandEnvironment() });
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      // A site's own script may have started the command. That lives on, and keeps the pipes open.
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    const printed = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        if (printed[name].length < MOST_BYTES) printed[name] += text;
      });
    }
    child.on('error', (error) => {
      clearTimeout(late);
      reject(notRun(file, error));
    });
    child.on('close', (code) => {
      clearTimeout(late);
      if (code !== null) resolve({ code, ...printed });
      else {
        const why = `${file} did not end within ${timeoutMs / 1000} seconds; see that the scheduler answers`;
        reject(new FarlightError('UNREACHABLE', why));
      }
    });
    // A command that ends early does not read it. Its code says why it ended.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** A job to cancel: of an engine with these settings. */
export interface Cancellation {
  readonly engine: string;
  readonly settings: object;
  readonly id: string;
}

/** Has another process cancel a job, and waits for it, for a process that is about to end and can wait for no answer. */
export function cancelInProcess(cancellation: Cancellation): void {
  const program = fileURLToPath(packageProgram('pool/engines/cancel-now.js'));
  spawnSync(process.execPath, [program, JSON.stringify(cancellation)], {
    // Without options for Node that this program was given.
    env: { ...process.env, NODE_OPTIONS: '' },
    timeout: CANCEL_MS,
    stdio: 'ignore',
  });
}

function notRun(file: string, error: Error): FarlightError {
  const why =
    codeOf(error) === 'ENOENT'
      ? `${file} is not installed here; run the program where Slurm's commands are, name the site's slurmrestd in the pool's file (slurm: rest), or name another engine`
      : `${file} cannot be run (${codeOf(error)})`;
  return new FarlightError('BAD_OPTION', why, { cause: error });
}
