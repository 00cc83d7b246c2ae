import type { JobDescription } from '../engine.js';
import type { JobFacts, ListedFacts } from './job-facts.js';

/** A way to ask a site's Slurm: by its commands, or by its REST interface. */
export interface SlurmClient {
  /** What `submit` sends, for a person. */
  render(job: JobDescription): string;
  /** @returns the job's id. @throws FarlightError BAD_OPTION where Slurm refuses; UNREACHABLE (rejects) */
  submit(job: JobDescription): Promise<string>;
  /** Undefined where the controller has forgotten the job, or never had it. @throws FarlightError UNREACHABLE (rejects) */
  job(id: string): Promise<JobFacts | undefined>;
  /** The same from the accounting; undefined where the site has none, or it does not answer. */
  accounted(id: string): Promise<JobFacts | undefined>;
  /** This user's jobs that this engine has submitted. @throws FarlightError UNREACHABLE (rejects) */
  jobs(): Promise<ListedFacts[]>;
  /** Ends a job, if Slurm knows it. @throws FarlightError UNREACHABLE (rejects) */
  cancel(id: string): Promise<void>;
  /** The same, from a process that is about to end. */
  cancelNow(id: string): void;
  /** The address of a node; its name where Slurm has no other. @throws FarlightError UNREACHABLE (rejects) */
  addressOf(node: string): Promise<string>;
}
