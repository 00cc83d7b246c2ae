import { fileURLToPath } from 'node:url';
import { fitsUnixSocket } from '../../link/address/unix-path.js';
import { packageProgram } from '../../link/machine/package-files.js';
import type { Pool, Side } from '../definition/pool-file.js';
import type { Engine, JobDescription } from '../engines/engine.js';
import { hashOf, type Journal } from '../journal/journal.js';

/** How long a host waits for a first renewal, in milliseconds: the programs that wait look more often. */
const FIRST_MS = 60_000;

/** Variables of a process of this machine that its GPU's driver, or its folders, depend on. None is a secret. */
const HERE =
  /^(PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+|DISPLAY|LD_LIBRARY_PATH|(VK|CUDA|NVIDIA|MESA|DRI|LIBGL)_\w+)$/;
/** On another machine the others mean nothing. */
const ELSEWHERE = /^(PATH|HOME|USER|LANG|LC_\w+|TZ)$/;
/** An image has folders and users of its own. */
const IN_AN_IMAGE = /^(LANG|LC_\w+|TZ)$/;

/** The beginning of the names of a pool's jobs. */
export function jobPrefix(key = ''): string {
  return `farlight.${key}`;
}

/** The name of the jobs of one allocation of a pool, of whatever term. */
export function jobName(key: string, slot: number): string {
  return `${jobPrefix(key)}.${slot}`;
}

/** The pool's key and the allocation of a job with such a name; undefined for other jobs, such as those of the CPU side. */
export function hostNamed(name: string): { key: string; slot: number } | undefined {
  const [, key, slot] = /^farlight\.(.+)\.(\d+)$/.exec(name) ?? [];
  return key === undefined ? undefined : { key, slot: Number(slot) };
}

/** The variables of this process that a job of one side gets. None is a secret. */
export function ownVariables(
  { isHere }: Pick<Engine, 'isHere'>,
  { image }: Pick<Side, 'image'>,
): Record<string, string> {
  const wanted = image !== undefined ? IN_AN_IMAGE : isHere ? HERE : ELSEWHERE;
  const own = Object.entries(process.env).filter(([name]) => wanted.test(name));
  return Object.fromEntries(own) as Record<string, string>;
}

/** How farlight is started on the nodes of one side: as the pool's file says, as its image has it, or as here. */
export function farlightCommand({ command, image }: Pick<Side, 'command' | 'image'>): readonly string[] {
  if (command) return command;
  return image !== undefined
    ? ['farlight']
    : [process.execPath, fileURLToPath(packageProgram('cli/main.js'))];
}

/** The job that is the host of a term. It has the hash of the term's token, and nothing that is a secret. */
export function hostJob(
  pool: Pool,
  journal: Journal,
  which: { slot: number; term: number; token: string },
): JobDescription {
  const { slot, term, token } = which;
  const { engine, gpu, terms } = pool;
  const socket = `${journal.folder}/${slot}.${term}.sock`;
  const isNear =
    engine.isHere && pool.line === 'auto' && process.platform !== 'win32' && fitsUnixSocket(socket);
  const isHere = engine.isHere && pool.line !== 'network';
  const listen = isNear ? `unix:${socket}` : `grpcs://${isHere ? '127.0.0.1' : '0.0.0.0'}:0`;
  const options = {
    term,
    listen,
    adapter: gpu.adapter,
    lease: terms.lease / 1000,
    idle: pool.idle / 1000,
    first: FIRST_MS / 1000,
    ...(!isNear && { 'token-sha256': hashOf(token) }),
    ...(pool.park !== undefined && { park: pool.park / 1000 }),
  };
  return {
    name: jobName(pool.key, slot),
    term,
    command: [
      ...farlightCommand(gpu),
      'pool',
      'host',
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
    environment: { ...ownVariables(engine, gpu), ...gpu.environment },
    log: journal.logOf(slot, term),
    limits: gpu.limits,
    mounts: gpu.mounts,
    ...(gpu.image !== undefined && { image: gpu.image }),
  };
}
