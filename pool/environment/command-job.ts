import type { Pool, Side } from '../definition/pool-file.js';
import type { JobDescription } from '../engines/engine.js';
import { farlightCommand, ownVariables } from '../host/job.js';

export interface Command {
  readonly command: readonly string[];
  /** The folder in which it runs. */
  readonly folder: string;
  /** The folder through which the two sides meet. */
  readonly exchange: string;
  /** Variables beside those of the pool's file. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/** How long a command's job waits for its program's first renewal, in milliseconds. */
const FIRST_MS = 60_000;

/** The job that runs a program's command. It runs only while the program renews its lease, through files. */
export function commandJob(
  pool: Pool,
  side: Side,
  { command, folder, exchange, environment }: Command,
  { name, term, log }: Pick<JobDescription, 'name' | 'term' | 'log'>,
): JobDescription {
  const { engine, terms, files } = pool;
  const options = { term, exchange, folder, lease: terms.lease / 1000, first: FIRST_MS / 1000 };
  const { image, mounts } = side;
  return {
    name,
    term,
    command: [
      ...farlightCommand(side),
      'pool',
      'command',
      ...Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)]),
      // This machine's own engine signals all processes of a job; others only the first.
      ...(engine.name === 'local' ? [] : ['--forward']),
      '--',
      ...command,
    ],
    environment: { ...ownVariables(engine, side), ...side.environment, ...environment },
    log,
    limits: side.limits,
    mounts: [...mounts, ...(files ? [files.mount] : [])],
    ...(image !== undefined && { image }),
  };
}
