/** Writes the arguments and scripts of Slurm's commands, and reads their output. */
import type { JobDescription } from '../engine.js';
import { commentOf, type JobFacts, type ListedFacts, termIn } from './job-facts.js';

/** The arguments of `sbatch`. The script comes on stdin. */
export function sbatchArguments({ name, term, log, limits, folder, image }: JobDescription): string[] {
  const { minutes, cpus, memory, gpus, partition, account, qos, constraint } = limits;
  const given = {
    'job-name': name,
    comment: commentOf(term),
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

export function jobScript({ command, environment, folder, image }: JobDescription): string {
  const variables = Object.entries(environment).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  // A container begins in the folder that its bundle names.
  const change = image !== undefined && folder !== undefined ? `cd ${quoted(folder)} || exit 1\n` : '';
  // `sbatch` hands the user's token on, where it is shown one. `exec`, so that Slurm's signals reach the command itself.
  return `#!/bin/sh\numask 077\nunset SLURM_JWT\n${variables.join('')}${change}exec ${command.map(quoted).join(' ')}\n`;
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

/** A job in a line of `scontrol --oneliner show job`. */
export function factsIn(line: string): JobFacts {
  const fields = fieldsOf(line);
  return {
    state: fields.get('JobState') ?? '',
    reason: fields.get('Reason'),
    node: fields.get('BatchHost') ?? fields.get('NodeList'),
    restarts: Number(fields.get('Restarts') ?? 0),
    ...endIn(fields.get('ExitCode')),
  };
}

/** The exit code and the signal, as Slurm's commands write them: `CODE:SIGNAL`. */
export function endIn(text = ''): Pick<JobFacts, 'code' | 'signal'> {
  const [code = 0, signal = 0] = text.split(':').map(Number);
  return { code, signal };
}

/** The jobs in the lines of `squeue` with the format of `SQUEUE_FORMAT`, each with its id. */
export const SQUEUE_FORMAT = '%i|%T|%r|%j|%k';

export function queuedLines(text: string): ListedFacts[] {
  return text.split('\n').flatMap((line) => {
    const [id = '', state = '', reason = '', name = '', comment = ''] = line.trim().split('|');
    const term = termIn(comment);
    return /^\d+$/.test(id) && term !== undefined ? [{ id, state, reason, name, term }] : [];
  });
}
