import { monotonicNow } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import { counted } from '../../page/site/format.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless } from '../../proto/harmless.js';
import { PoolView } from '../attach/pool-view.js';
import type { Pool } from '../definition/pool-file.js';
import type { Engine, ListedJob } from '../engines/engine.js';
import { ENGINES } from '../engines/engines.js';
import { runsCommands, Workspace } from '../environment/workspace.js';
import { hostJob, hostNamed, jobPrefix } from '../host/job.js';
import { allJournals, type Journal, journalOf } from '../journal/journal.js';

export { poolNames, readPool } from '../definition/pool-file.js';

/** How long ended jobs may take to be over, in milliseconds: an engine first asks them to end, and then kills them. */
const END_MS = 60_000;
const LOOK_MS = 100;
/** A portal looks more often whether its hosts are to end, in milliseconds. */
const PORTAL_MS = 1500;

type FoundJob = ListedJob & { readonly engine: Engine };

interface Everywhere {
  readonly jobs: FoundJob[];
  /** The engines that answer. */
  readonly engines: Engine[];
  /** Which engines do not, and why. */
  readonly silent: string[];
}

/** The jobs of hosts in all engines, of every program of this user. */
export async function jobsEverywhere(): Promise<Everywhere> {
  const jobs = new Map<string, FoundJob>();
  const engines: Engine[] = [];
  // Two pools may have one site, and the same is wrong for both.
  const silent = new Set<string>();
  for (const { make, wasUsed } of enginesEverywhere()) {
    try {
      const engine = make();
      // Two pools may name one site in two ways.
      for (const job of await engine.list(jobPrefix()))
        jobs.set(`${engine.name} ${job.id}`, { ...job, engine });
      engines.push(engine);
    } catch (error) {
      if (!(error instanceof FarlightError)) throw error;
      // A site without that engine has no jobs in it. Where a pool was used, only the engine knows what is left.
      if (wasUsed || error.code !== 'BAD_OPTION') silent.add(error.message);
    }
  }
  return { jobs: [...jobs.values()], engines, silent: [...silent] };
}

/**
 * The engines as the environment names them, and as the pools name them that were used. A cluster is asked only where a
 * pool has used it: it may ask for a password.
 */
function enginesEverywhere(): { make: () => Engine; wasUsed: boolean }[] {
  const found = new Map(
    Object.entries<() => Engine>(ENGINES).map(([name, make]) => [`${name} {}`, { make, wasUsed: false }]),
  );
  found.delete('kubernetes {}');
  for (const { engine, settings } of allJournals().flatMap((journal) => journal.engines())) {
    const make = () => ENGINES[engine as Engine['name']](settings);
    found.set(`${engine} ${JSON.stringify(settings)}`, { make, wasUsed: true });
  }
  return [...found.values()];
}

/** Ends the hosts of every pool, and has the engines forget those that have ended. */
export async function endAll(): Promise<{ ended: number; silent: string[] }> {
  const journals = allJournals();
  for (const journal of journals) journal.markDown();
  const { ended, last } = await endFound(jobsEverywhere, journals);
  const { engines, silent } = last;
  for (const engine of engines) await engine.clear(jobPrefix());
  return { ended, silent };
}

/** Ends the hosts and the commands of one pool, and deletes what killed programs have left in its folders. */
export async function endPool(pool: Pool): Promise<{ ended: number; silent: string[] }> {
  const { engine, key } = pool;
  const journal = journalOf(key);
  journal.markDown();
  const find = async () => {
    const jobs = await engine.list(`${jobPrefix(key)}.`);
    return { jobs: jobs.map((job) => ({ ...job, engine })) };
  };
  const { ended } = await endFound(find, [journal]);
  if (runsCommands(pool)) new Workspace(pool).clear();
  return { ended, silent: [] };
}

/**
 * Ends jobs until there are none. A portal may be about to start a host: it sees within a second that its hosts are to
 * end, and then starts no more for the programs that wait.
 *
 * @returns how many it has ended, and the last thing that was found.
 */
async function endFound<Found extends { jobs: FoundJob[] }>(
  find: () => Promise<Found>,
  journals: readonly Journal[],
): Promise<{ ended: number; last: Found }> {
  const hasPortal = journals.some((journal) => journal.hasPortal);
  const ended = new Set<string>();
  for (;;) {
    const found = await find();
    await endJobs(found.jobs);
    for (const { engine, id } of found.jobs) ended.add(`${engine.name} ${id}`);
    if (!hasPortal) return { ended: ended.size, last: found };
    await pause(PORTAL_MS);
    const last = await find();
    if (last.jobs.length === 0) return { ended: ended.size, last };
  }
}

/** @throws FarlightError UNREACHABLE where one is still there after a minute (rejects). */
async function endJobs(jobs: readonly FoundJob[]): Promise<void> {
  for (const { engine, id } of jobs) await engine.cancel(id);
  const deadline = monotonicNow() + END_MS;
  for (const job of jobs) {
    const { engine, id, name } = job;
    let status = await engine.status(id);
    while (status.phase !== 'ended') {
      if (monotonicNow() > deadline)
        throw new FarlightError(
          'UNREACHABLE',
          `${engine.name} has not ended the job ${id} (${name}); ask the site's administrators`,
        );
      await pause(LOOK_MS);
      status = await engine.status(id);
    }
    if (status.isCertain) retire(job);
  }
}

/** Writes down that the term of a job is over. An engine that forgets the job could not say so, and the next term would wait. */
function retire({ name, term }: FoundJob): void {
  const host = hostNamed(name);
  if (!host) return;
  const journal = journalOf(host.key);
  const latest = journal.latest(host.slot);
  const why = 'all hosts of the pool were ended (farlight pool down)';
  if (latest.term === term) journal.retire(host.slot, term, { why, failed: latest.ready === undefined });
}

/** A pool for a person: its settings, its allocations, and what its engine is told to run. */
export async function describePool(pool: Pool): Promise<string> {
  const view = new PoolView(pool);
  await view.look();
  const { engine, max, idle, wait, terms, files } = pool;
  const settings = [
    `pool ${pool.name}: engine ${engine.name}, at most ${counted(max, 'host')}`,
    `given back after ${idle / 1000} s without use; lease ${terms.lease / 1000} s; a program waits at most ${wait / 1000} s`,
    `journal: ${view.journal.folder}`,
    ...(files
      ? [
          `commands run in ${new Workspace(pool).shared}, which gets ${counted(files.sources.length, 'source')}`,
        ]
      : []),
    ...(view.silence ? [`the engine does not answer: ${view.silence}`] : []),
  ];
  const slots = view.slots.map((slot) => {
    const { phase, why, facts } = view.allocation(slot);
    const job = facts.job === undefined ? '' : `, job ${facts.job}`;
    return `  ${slot}: ${phase}${facts.term === 0 ? '' : ` (term ${facts.term}${job})`}: ${why}`;
  });
  const job = hostJob(pool, view.journal, { slot: 1, term: 1, token: 'TOKEN' });
  const lines = [
    ...settings,
    'allocations:',
    ...slots,
    'its engine is told to run, with another hash for each term:',
  ];
  return [...lines.map(harmless), engine.render(job)].join('\n');
}
