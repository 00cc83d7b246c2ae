import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageProgram } from '../../link/machine/package-files.js';
import { pause } from '../../link/machine/timer.js';
import type { Engine } from '../../pool/engines/engine.js';
import { identityOf, isAlive } from '../../pool/engines/process-identity.js';
import { codeOf } from '../../proto/errors.js';
import { replaceFile } from '../../server/trust/private-folder.js';
import type { JobRecord } from '../record/record.js';
import { JobDriver } from './drive.js';

/** How long between two looks at an engine, in milliseconds: of this machine, and of a site that others use too. */
const HERE = { first: 100, growth: 1.2, longest: 1000 };
const SITE = { first: 500, growth: 1.3, longest: 15_000 };

/** How often to look at the jobs of an engine. */
export function paceOf({ isHere }: Pick<Engine, 'isHere'>): typeof HERE {
  return isHere ? HERE : SITE;
}

/** Does what is due for a job until it is over. */
export async function watchJob(record: JobRecord): Promise<void> {
  const driver = new JobDriver(record);
  const { first, growth, longest } = paceOf(driver.pool.engine);
  let seen = '';
  // A person may delete the record of a job as soon as it is over.
  for (let ms = first; record.exists; ms = Math.min(ms * growth, longest)) {
    const { tasks, isOver } = await driver.pass();
    if (isOver) return;
    const now = JSON.stringify(tasks);
    if (now !== seen) ms = first;
    seen = now;
    await pause(ms);
  }
}

/** Starts a process that looks after a job, unless one of this machine does. It outlives this one. */
export async function startWatcher(record: JobRecord): Promise<void> {
  if (isWatched(record)) return;
  const program = fileURLToPath(packageProgram('jobs/run/watcher.js'));
  // Addresses with tokens are no business of a job's.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS$|FARLIGHT_)/.test(name)),
  );
  const child = spawn(process.execPath, [program, record.id], {
    cwd: '/',
    env,
    detached: true,
    stdio: 'ignore',
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
  // Told here, so that this process does not start another one meanwhile.
  const identity = child.pid === undefined ? undefined : identityOf(child.pid);
  if (identity && record.exists) replaceFile(record.folder, watcherName(), JSON.stringify(identity));
}

function isWatched(record: JobRecord): boolean {
  try {
    return isAlive(JSON.parse(readFileSync(join(record.folder, watcherName()), 'utf8')));
  } catch (error) {
    // A file that is no JSON names no process.
    if (codeOf(error) !== 'ENOENT' && !(error instanceof SyntaxError)) throw error;
    return false;
  }
}

/** The file that names the watcher of this machine: others cannot see whether its process is alive. */
function watcherName(): string {
  return `watcher.${hostname()}`;
}
