import { createHash } from 'node:crypto';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { checkFile, problemText, schemaIn } from '../../link/files/checked-file.js';
import { configFolder } from '../../link/machine/folders.js';
import { FarlightError } from '../../proto/errors.js';
import { redact } from '../../proto/token.js';
import type { Terms } from '../allocation/allocation.js';
import { checkLimits, type Engine, type JobLimits } from '../engines/engine.js';
import { ENGINES } from '../engines/engines.js';

/** A pool file, as its schema allows it. */
interface PoolFile {
  name?: string;
  engine?: keyof typeof ENGINES;
  max?: number;
  idle?: number;
  wait?: number;
  lease?: number;
  line?: 'auto' | 'tls';
  gpu?: {
    adapter?: string;
    command?: string[];
    environment?: Record<string, string>;
    start?: number;
    limits?: Omit<JobLimits, 'gpus'> & { gpus?: string | number };
  };
}

/** A pool by its file, with defaults for all that the file leaves out. Times are milliseconds. */
export interface Pool {
  readonly name: string;
  /** The pool's name, and which file it is: the same for all programs of this user. */
  readonly key: string;
  readonly engine: Engine;
  readonly max: number;
  readonly idle: number;
  readonly wait: number;
  readonly line: 'auto' | 'tls';
  readonly terms: Terms;
  readonly gpu: {
    readonly adapter: string;
    readonly command: readonly string[] | undefined;
    readonly environment: Readonly<Record<string, string>>;
    readonly limits: JobLimits;
  };
}

/** How long a program may take to submit its job, in milliseconds: longer than a scheduler's command may take. */
const SUBMIT_MS = 60_000;
/** Clocks of two machines run apart by far less than a sixth, and a pause of either is in it. */
const MARGIN = 1 / 6;
/** The pool that is there without a file. */
const BUILT_IN = 'local';

const schema = schemaIn<PoolFile>(new URL('./pool.schema.json', import.meta.url));

/** The folder of the pools that `pool://NAME` names. */
function poolsFolder(): string {
  return join(configFolder(), 'pools');
}

/** The names of the pools in that folder, and the one that is always there. */
export function poolNames(): string[] {
  let found: string[] = [];
  try {
    found = readdirSync(poolsFolder()).flatMap((name) => /^(.+)\.yaml$/.exec(name)?.[1] ?? []);
  } catch {
    // There is no such folder.
  }
  return [...new Set([BUILT_IN, ...found])].sort();
}

/**
 * Reads the pool of an address: `pool://NAME` or `pool:FILE`.
 *
 * @throws FarlightError BAD_URL where it is no such address; BAD_OPTION where the file is wrong, by line and column.
 */
export function readPool(address: string): Pool {
  const [, name, file] = /^pool:(?:\/\/([A-Za-z0-9][A-Za-z0-9_-]*)\/?|(?!\/\/)(.+))$/.exec(address) ?? [];
  if (file !== undefined) return poolIn(resolve(file));
  if (name === undefined) {
    const text = redact(address);
    throw new FarlightError('BAD_URL', `"${text}" names no pool; write pool://NAME, or pool:FILE`);
  }
  const path = join(poolsFolder(), `${name}.yaml`);
  if (existsSync(path)) return poolIn(path, name);
  if (name === BUILT_IN) return poolOf({}, { name, key: name });
  throw new FarlightError(
    'BAD_OPTION',
    `there is no pool ${name}; write ${path}, or name a file (pool:FILE) or one of: ${poolNames().join(', ')}`,
  );
}

function poolIn(path: string, called?: string): Pool {
  const { checked, problems } = checkFile(path, schema);
  if (!checked) throw new FarlightError('BAD_OPTION', problems.map(problemText).join('; '));
  const { value, problem } = checked;
  const name =
    value.name ??
    called ??
    basename(path)
      .replace(/\.[^.]*$/, '')
      .replace(/[^A-Za-z0-9_-]/g, '-');
  const file = createHash('sha256').update(realpathSync(path)).digest('hex').slice(0, 8);
  const pool = poolOf(value, { name, key: `${name}.${file}` });
  try {
    checkLimits(pool.engine, pool.gpu.limits);
  } catch (error) {
    throw new FarlightError(
      'BAD_OPTION',
      problemText(problem(['gpu', 'limits'], (error as Error).message, 'key')),
    );
  }
  return pool;
}

function poolOf(file: PoolFile, { name, key }: { name: string; key: string }): Pool {
  const { engine = 'local', max = 1, idle = 60, wait = 600, lease = 30, line = 'auto', gpu = {} } = file;
  const { gpus, ...limits } = gpu.limits ?? {};
  return {
    name,
    key,
    engine: ENGINES[engine](),
    max,
    idle: idle * 1000,
    wait: wait * 1000,
    line,
    terms: {
      lease: lease * 1000,
      margin: lease * 1000 * MARGIN,
      submit: SUBMIT_MS,
      start: (gpu.start ?? 120) * 1000,
    },
    gpu: {
      adapter: gpu.adapter ?? 'auto',
      command: gpu.command,
      environment: gpu.environment ?? {},
      limits: { ...limits, ...(gpus !== undefined && { gpus: String(gpus) }) },
    },
  };
}
