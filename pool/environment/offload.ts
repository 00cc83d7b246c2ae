import { rmSync } from 'node:fs';
import { FarlightError, invariant } from '../../proto/errors.js';
import { leaveHost } from '../attach/keeper.js';
import { PoolView } from '../attach/pool-view.js';
import { seekHosts } from '../attach/seek.js';
import { type Pool, readPool } from '../definition/pool-file.js';
import { checkLimits } from '../engines/engine.js';
import { jobName } from '../host/job.js';
import { commandJob } from './command-job.js';
import { type FollowOptions, followCommand, print } from './follow.js';
import { Workspace } from './workspace.js';

export interface OffloadOptions {
  /** The pool: `pool://NAME`, or `pool:FILE`; FARLIGHT_POOL if left out. */
  readonly pool?: string | undefined;
  /** The GPUs of the node, as the pool's engine names them: `a100`, `a100:2`; those of the pool's file if left out. */
  readonly gpu?: string | undefined;
  /** Files and folders that the command reads, beside those that the pool's file names. */
  readonly inputs?: readonly string[] | undefined;
  /** The program's folder; its current one if left out. The command runs in the same one, where both sides see that. */
  readonly folder?: string | undefined;
  /** Variables of the command. They are no place for secrets: engines show them. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Cancels the command. */
  readonly signal?: AbortSignal | undefined;
  /** Gets the output as it comes; this process's own stdout and stderr if left out. */
  readonly onOutput?: FollowOptions['onOutput'] | undefined;
  /** Gets the reason for the wait, each time that it changes. */
  readonly onState?: ((state: string) => void) | undefined;
}

/**
 * Runs a command on a GPU node of a pool. Its inputs are replicated first, then the node is allocated for it alone, and it is
 * given back when the command has ended.
 *
 * @returns the command's exit code. @throws FarlightError BAD_OPTION for the pool, the GPU or an input; UNREACHABLE where
 *   there is no node in time; DISCONNECTED where the node is lost (rejects). Rejects with the signal's reason where it is
 *   cancelled.
 */
export async function offload(command: readonly string[], options: OffloadOptions = {}): Promise<number> {
  const { inputs = [], environment, onState, folder = process.cwd() } = options;
  const { signal = new AbortController().signal, onOutput = print } = options;
  const pool = withGpu(poolFor(options.pool), options.gpu);
  const workspace = new Workspace(pool);
  await workspace.replicate(inputs, folder, signal);
  const exchange = workspace.newExchange();
  const asked = { command, folder: workspace.folderFor(folder), exchange, environment };
  const view: PoolView = new PoolView(pool, ({ slot, term }) =>
    commandJob(pool, pool.gpu, asked, {
      name: jobName(pool.key, slot),
      term,
      log: view.journal.logOf(slot, term),
    }),
  );
  try {
    const want = { hosts: 1, isExclusive: true };
    const [host] = await seekHosts(view, want, { signal, ...(onState && { shown: onState }) });
    const id = host && view.allocation(host.slot).facts.job;
    invariant(host && id !== undefined, 'a command that has its node has a job');
    const cancel = () => pool.engine.cancelNow(id);
    process.on('exit', cancel);
    try {
      const followed = await followCommand({ engine: pool.engine, id, exchange, onOutput, signal });
      // The engine has said that the job is over, so the next term may begin at once.
      view.retire(host, 'its command has ended');
      if (followed.isCutShort) signal.throwIfAborted();
      return followed.code;
    } catch (error) {
      // Its processes may still run. Others wait for the engine's word, or for the lease to lapse.
      view.journal.write(host.slot, host.term, 'fence', { why: 'its command was lost' });
      signal.throwIfAborted();
      throw error;
    } finally {
      process.off('exit', cancel);
      void leaveHost(host, false);
    }
  } finally {
    rmSync(exchange, { recursive: true, force: true });
  }
}

/** @throws FarlightError BAD_OPTION where neither the program nor its environment names a pool. */
function poolFor(named: string | undefined): Pool {
  const address = named ?? process.env.FARLIGHT_POOL;
  if (address) return readPool(address);
  throw new FarlightError(
    'BAD_OPTION',
    'no pool is named; start the program with farlight pool run, or name one with --pool NAME (or FARLIGHT_POOL)',
  );
}

function withGpu(pool: Pool, kind: string | undefined): Pool {
  if (kind === undefined) return pool;
  const limits = { ...pool.gpu.limits, gpus: /^\d+$|:/.test(kind) ? kind : `${kind}:1` };
  checkLimits(pool.engine, limits);
  return { ...pool, gpu: { ...pool.gpu, limits } };
}
