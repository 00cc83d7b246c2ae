import { createHash } from 'node:crypto';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, normalize, resolve } from 'node:path';
import { isPortalAddress } from '../../link/address/pool-address.js';
import { type CheckedFile, checkFile, type Path, problemText } from '../../link/files/checked-file.js';
import { configFolder } from '../../link/machine/folders.js';
import { packageSchema } from '../../link/machine/package-files.js';
import { FarlightError } from '../../proto/errors.js';
import { redact } from '../../proto/token.js';
import type { Terms } from '../allocation/allocation.js';
import { checkImage, checkLimits, type Engine, type JobLimits } from '../engines/engine.js';
import { ENGINES, type EngineSettings } from '../engines/engines.js';
import type { Source } from '../files/replicate.js';

/** A pool file, as its schema allows it. */
interface PoolFile extends EngineSettings {
  name?: string;
  portal?: string;
  engine?: keyof typeof ENGINES;
  max?: number;
  idle?: number;
  park?: number;
  wait?: number;
  lease?: number;
  line?: 'auto' | 'tls';
  sessions?: number;
  files?: { mount: string; replicate?: string[] };
  cpu?: SideInFile;
  gpu?: SideInFile & { adapter?: string; start?: number };
}

interface SideInFile {
  command?: string[];
  environment?: Record<string, string>;
  image?: string;
  mounts?: string[];
  limits?: Omit<JobLimits, 'gpus'> & { gpus?: string | number };
}

/** The jobs of one side of a pool. */
export interface Side {
  /** How farlight is started there; as here where undefined. */
  readonly command: readonly string[] | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly image: string | undefined;
  readonly mounts: readonly string[];
  readonly limits: JobLimits;
}

/** A pool by its file, with defaults for all that the file leaves out. Times are milliseconds. */
export interface Pool {
  readonly name: string;
  /** The pool's name, and which file it is: the same for all programs of this user. */
  readonly key: string;
  /** How other programs of this user name it, in whatever folder they run. */
  readonly address: string;
  readonly engine: Engine;
  readonly settings: EngineSettings;
  readonly max: number;
  readonly idle: number;
  /** After how long without a command a program with a device keeps its session itself; undefined: never. */
  readonly park: number | undefined;
  readonly wait: number;
  /** `network`: in TLS, also from other machines where the host runs on this one. A portal chooses it. */
  readonly line: 'auto' | 'tls' | 'network';
  /** How many programs one host serves at a time. */
  readonly sessions: number;
  readonly terms: Terms;
  /** The folder that both sides see, and what is copied into it. */
  readonly files: { readonly mount: string; readonly sources: readonly Source[] } | undefined;
  readonly cpu: Side;
  readonly gpu: Side & { readonly adapter: string };
}

/** How long a program may take to submit its job, in milliseconds: longer than a scheduler's command may take. */
const SUBMIT_MS = 60_000;
/** Clocks of two machines run apart by far less than a sixth, and a pause of either is in it. */
const MARGIN = 1 / 6;
/** A portal's user would run the commands of all tenants as itself. So it gives hosts alone. */
const PORTALS =
  'this pool is a portal’s: programs book its hosts by FARLIGHT_HOST, and farlight pool ls, describe and down take --portal; for commands and jobs, name a pool with an engine';
/** The pool that is there without a file. */
const BUILT_IN = 'local';

const schema = packageSchema<PoolFile>('pool/definition/pool');

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
  const file = fileOf(address);
  return file ? poolIn(file, readFile(file)) : builtIn();
}

/** A pool that a portal serves, by the name that it has there. */
export interface ServedPool {
  readonly portal: string;
  readonly name: string;
}

/** The same, also where the pool's file names a portal. @throws as `readPool`. */
export function readPoolOrPortal(address: string): Pool | ServedPool {
  const file = fileOf(address);
  if (!file) return builtIn();
  const read = readFile(file);
  const { portal } = read.value;
  return portal === undefined ? poolIn(file, read) : { portal, name: read.name };
}

function builtIn(): Pool {
  return poolOf({}, { name: BUILT_IN, key: BUILT_IN, address: `pool://${BUILT_IN}`, folder: '.' });
}

interface FileOfPool {
  readonly path: string;
  /** The pool's name in its address; undefined where that names the file. */
  readonly called?: string | undefined;
}

/** Undefined for the pool that is there without a file. */
function fileOf(address: string): FileOfPool | undefined {
  const [, name, file] = /^pool:(?:\/\/([A-Za-z0-9][A-Za-z0-9_-]*)\/?|(?!\/\/)(.+))$/.exec(address) ?? [];
  if (file !== undefined) return { path: resolve(file) };
  if (isPortalAddress(address)) throw new FarlightError('BAD_OPTION', PORTALS);
  if (name === undefined) {
    const text = redact(address);
    throw new FarlightError('BAD_URL', `"${text}" names no pool; write pool://NAME, or pool:FILE`);
  }
  const path = join(poolsFolder(), `${name}.yaml`);
  if (existsSync(path)) return { path, called: name };
  if (name === BUILT_IN) return undefined;
  throw new FarlightError(
    'BAD_OPTION',
    `there is no pool ${name}; write ${path}, or name a file (pool:FILE) or one of: ${poolNames().join(', ')}`,
  );
}

interface ReadFile {
  readonly value: PoolFile;
  readonly problem: CheckedFile<PoolFile>['problem'];
  readonly name: string;
}

function readFile({ path, called }: FileOfPool): ReadFile {
  const { checked, problems } = checkFile(path, schema);
  if (!checked) throw new FarlightError('BAD_OPTION', problems.map(problemText).join('; '));
  const { value, problem } = checked;
  const name =
    value.name ??
    called ??
    basename(path)
      .replace(/\.[^.]*$/, '')
      .replace(/[^A-Za-z0-9_-]/g, '-');
  return { value, problem, name };
}

function poolIn({ path, called }: FileOfPool, { value, problem, name }: ReadFile): Pool {
  if (value.portal !== undefined) {
    throw new FarlightError('BAD_OPTION', problemText(problem(['portal'], PORTALS, 'key')));
  }
  const file = createHash('sha256').update(realpathSync(path)).digest('hex').slice(0, 8);
  const { engine = BUILT_IN } = value;
  const other = SETTINGS.find((each) => value[each] && each !== engine);
  if (other) {
    const why = `these are settings of the engine ${other}, and the engine is ${engine}; leave them out`;
    throw new FarlightError('BAD_OPTION', problemText(problem([other], why, 'key')));
  }
  const pool = guarded(problem, [engine in value ? engine : 'engine'], () =>
    poolOf(value, {
      name,
      key: `${name}.${file}`,
      address: called === undefined ? `pool:${path}` : `pool://${called}`,
      folder: dirname(path),
    }),
  );
  for (const side of ['cpu', 'gpu'] as const) {
    if (side === 'cpu' && !value.cpu) continue;
    guarded(problem, [side, 'limits'], () => checkLimits(pool.engine, pool[side].limits));
    guarded(problem, value[side]?.image === undefined ? ['engine'] : [side, 'image'], () =>
      checkImage(pool.engine, pool[side].image),
    );
  }
  return pool;
}

/** The engines that have settings in a pool's file, under their names. */
const SETTINGS = ['docker', 'kubernetes', 'slurm'] satisfies (keyof EngineSettings)[];

/** Says of an error where in the file it is. */
function guarded<T>(problem: CheckedFile<PoolFile>['problem'], path: Path, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new FarlightError('BAD_OPTION', problemText(problem(path, (error as Error).message, 'key')));
  }
}

interface Place {
  readonly name: string;
  readonly key: string;
  readonly address: string;
  /** The folder that the file's paths are relative to. */
  readonly folder: string;
}

function poolOf(file: PoolFile, { name, key, address, folder }: Place): Pool {
  const { engine = 'local', max = 1, idle = 60, wait = 600, lease = 30, line = 'auto' } = file;
  const { files, sessions = Number.POSITIVE_INFINITY, cpu = {}, gpu = {} } = file;
  const settings: EngineSettings = {
    ...(file.docker && { docker: file.docker }),
    ...(file.kubernetes && { kubernetes: file.kubernetes }),
    ...(file.slurm && { slurm: file.slurm }),
  };
  return {
    name,
    key,
    address,
    engine: ENGINES[engine](settings),
    settings,
    max,
    idle: idle * 1000,
    park: file.park === undefined ? undefined : file.park * 1000,
    wait: wait * 1000,
    line,
    sessions,
    terms: {
      lease: lease * 1000,
      margin: lease * 1000 * MARGIN,
      submit: SUBMIT_MS,
      start: (gpu.start ?? 120) * 1000,
    },
    files: files && {
      mount: normalize(files.mount),
      sources: (files.replicate ?? []).map((path) => sourceOf(path, folder)),
    },
    cpu: sideOf(cpu),
    gpu: { ...sideOf(gpu), adapter: gpu.adapter ?? 'auto' },
  };
}

function sideOf({ command, environment = {}, image, mounts = [], limits = {} }: SideInFile): Side {
  const { gpus, ...others } = limits;
  return {
    command,
    environment,
    image,
    mounts,
    limits: { ...others, ...(gpus !== undefined && { gpus: String(gpus) }) },
  };
}

/** A path keeps its place relative to the pool's file. One from elsewhere is copied beside the others, by its name. */
function sourceOf(path: string, folder: string): Source {
  const from = resolve(folder, path);
  const isBelow = !isAbsolute(path) && !normalize(path).startsWith('..');
  return { from, to: isBelow ? normalize(path) : basename(from) };
}
