import {
  checkImage,
  checkLimits,
  type Engine,
  type JobDescription,
  type JobStatus,
  type ListedJob,
  readLog,
} from '../engine.js';
import { statusOf } from './job-facts.js';
import type { SlurmClient } from './slurm-client.js';
import { SlurmCommands } from './slurm-commands.js';
import { SlurmRest, type SlurmSettings } from './slurm-rest.js';

/**
 * Runs jobs in a site's Slurm. By its own commands, which find the site as they do for any user (SLURM_CONF); or, where
 * the pool's file names it, by its REST interface.
 */
export class SlurmEngine implements Engine {
  readonly name = 'slurm';
  readonly limits = [
    'minutes',
    'cpus',
    'memory',
    'gpus',
    'partition',
    'account',
    'qos',
    'constraint',
  ] as const;
  readonly images = 'bundle';
  readonly isHere = false;
  readonly #client: SlurmClient;

  /** @throws FarlightError BAD_OPTION where the REST interface has no address that a token may be sent to. */
  constructor(settings?: SlurmSettings) {
    this.#client = settings ? new SlurmRest(settings) : new SlurmCommands();
  }

  render(job: JobDescription): string {
    return this.#client.render(job);
  }

  async submit(job: JobDescription): Promise<string> {
    checkLimits(this, job.limits);
    checkImage(this, job.image);
    return this.#client.submit(job);
  }

  async status(id: string): Promise<JobStatus> {
    const facts = (await this.#client.job(id)) ?? (await this.#client.accounted(id));
    if (!facts) return { phase: 'ended', why: 'Slurm knows no such job', isCertain: false };
    const status = statusOf(facts);
    if (status.phase !== 'running') return status;
    return { ...status, address: await this.#client.addressOf(status.node) };
  }

  async list(prefix: string): Promise<ListedJob[]> {
    const ours = (await this.#client.jobs()).filter(({ name }) => name.startsWith(prefix));
    const all = ours.map(({ id, name, term, ...facts }) => ({ id, name, term, status: statusOf(facts) }));
    return all.filter(({ status }) => status.phase !== 'ended');
  }

  cancel(id: string): Promise<void> {
    return this.#client.cancel(id);
  }

  cancelNow(id: string): void {
    this.#client.cancelNow(id);
  }

  logs(_id: string, log: string): Promise<string> {
    return readLog(log);
  }

  /** Slurm forgets by itself. */
  async clear(): Promise<void> {}
}
