import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { monotonicNow } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import { FarlightError } from '../../proto/errors.js';
import { joinHost, leaveHost } from '../attach/keeper.js';
import type { HostOfTerm } from '../attach/keeper-thread.js';
import type { Pool } from '../definition/pool-file.js';
import { checkImage, type JobStatus, onlySilent } from '../engines/engine.js';
import { jobPrefix } from '../host/job.js';
import { addressOf, lastWords, readReports } from '../host/report.js';
import { journalOf } from '../journal/journal.js';
import { commandJob } from './command-job.js';
import { type FollowOptions, followCommand } from './follow.js';
import type { Workspace } from './workspace.js';

export interface RunOptions {
  readonly signal: AbortSignal;
  onOutput: FollowOptions['onOutput'];
  /** Gets the reason for the wait, each time that it changes. */
  onState(state: string): void;
}

const LOOK_MS = { here: 50, elsewhere: 500 };

/**
 * Runs a command on the CPU side of a pool, as a job of its engine. The command finds the pool in FARLIGHT_POOL, so that
 * it may offload others, and in FARLIGHT_HOST, so that a program gets its GPU there.
 *
 * @returns its exit code. @throws FarlightError BAD_OPTION, UNREACHABLE, DISCONNECTED (rejects). Rejects with the signal's
 *   reason where it is cancelled.
 */
export async function runOnCpuSide(
  workspace: Workspace,
  command: readonly string[],
  { signal, onOutput, onState }: RunOptions,
): Promise<number> {
  const { pool } = workspace;
  const { engine, cpu, key, address } = pool;
  checkImage(engine, cpu.image);
  const journal = journalOf(key);
  const exchange = workspace.newExchange();
  const name = `${jobPrefix(key)}.cpu-${randomBytes(4).toString('hex')}`;
  const log = journal.logNamed(name);
  const environment = { FARLIGHT_POOL: address, FARLIGHT_HOST: address };
  const asked = { command, folder: workspace.folderFor(process.cwd()), exchange, environment };
  let host: HostOfTerm | undefined;
  try {
    signal.throwIfAborted();
    journal.noteEngine({ engine: engine.name, settings: pool.settings });
    const id = await engine.submit(commandJob(pool, cpu, asked, { name, term: 1, log }));
    const cancel = () => engine.cancelNow(id);
    process.on('exit', cancel);
    try {
      const url = await started(pool, id, { log, signal, onState });
      // It is none of the pool's hosts, so it has no slot, and nobody fences it.
      host = { folder: journal.folder, slot: 0, term: 0, url };
      if (!(await joinHost(host))) throw new FarlightError('UNREACHABLE', unseen(exchange));
      onState('ready');
      const { code, isCutShort } = await followCommand({ engine, id, exchange, onOutput, signal });
      if (isCutShort) signal.throwIfAborted();
      // Its name is its own, so no later job clears it away. A silent engine keeps it until the pool is ended.
      await engine.clear(name).catch(onlySilent);
      return code;
    } catch (error) {
      // The error is dropped: where the engine is silent, the job ends when its lease lapses.
      await engine.cancel(id).catch(() => {});
      signal.throwIfAborted();
      throw error;
    } finally {
      process.off('exit', cancel);
    }
  } finally {
    if (host) void leaveHost(host, false);
    for (const path of [exchange, log]) rmSync(path, { recursive: true, force: true });
  }
}

/** Resolves to the address of the command's job when that runs. */
async function started(
  pool: Pool,
  id: string,
  { log, signal, onState }: Pick<RunOptions, 'signal' | 'onState'> & { log: string },
): Promise<string> {
  const { engine, name, wait } = pool;
  const deadline = monotonicNow() + wait;
  let last = '';
  for (;;) {
    // A scheduler that is started again is silent for a while.
    const status = await engine.status(id).catch(onlySilent);
    const output = (await engine.logs(id, log).catch(onlySilent)) ?? '';
    const { ready } = readReports(output, 1);
    const address = ready && addressOf(ready, status, '');
    if (address !== undefined) return address;
    if (status?.phase === 'ended') {
      const said = lastWords(output);
      throw new FarlightError(
        'UNREACHABLE',
        `the pool ${name} did not start the command: ${said ?? status.why}`,
      );
    }
    const why = whereIs(status);
    if (why !== last) onState(why);
    last = why;
    signal.throwIfAborted();
    if (monotonicNow() > deadline) {
      const message = `the pool ${name} did not start the command within ${wait / 1000} seconds (${why}); try again later, or give it a longer wait`;
      throw new FarlightError('UNREACHABLE', message);
    }
    await pause(engine.isHere ? LOOK_MS.here : LOOK_MS.elsewhere);
  }
}

function whereIs(status: JobStatus | undefined): string {
  if (!status) return 'the engine does not answer';
  return status.phase === 'running' ? `starting: on ${status.node}` : `${status.phase}: ${status.why}`;
}

function unseen(exchange: string): string {
  return `the node does not answer through ${exchange}; name in the pool's file a mount that this machine and the nodes have at the same path`;
}
