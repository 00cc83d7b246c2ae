import { monotonicNow } from '../../link/machine/clock.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import {
  type Allocation,
  answered,
  dutyOf,
  type Facts,
  observed,
  UNKNOWN,
} from '../allocation/allocation.js';
import type { Pool } from '../definition/pool-file.js';
import { isSilence, type JobDescription } from '../engines/engine.js';
import { identityOf, isAlive } from '../engines/process-identity.js';
import { hostJob, jobName } from '../host/job.js';
import { addressOf, folderOf, readReports } from '../host/report.js';
import { type Journal, journalOf } from '../journal/journal.js';
import { Line } from '../journal/line.js';

/** Makes the job of a term that this program has claimed. */
export type JobMaker = (which: { slot: number; term: number; token: string }) => JobDescription;

/** A pool's allocations, as this program knows them from the journal, the engine and the hosts' logs. */
export class PoolView {
  readonly pool: Pool;
  readonly journal: Journal;
  readonly line: Line;
  readonly #jobOf: JobMaker;
  readonly #allocations = new Map<number, Allocation>();
  /** The terms that this program has claimed, by slot. */
  readonly #mine = new Map<number, number>();
  readonly #submitting = new Set<Promise<boolean>>();
  #gaveUp = false;
  /** Why the engine does not answer, if it does not. */
  #silence: string | undefined;

  /** `jobOf`: what this program has the engine run where it claims a term; a host if left out. */
  constructor(pool: Pool, jobOf?: JobMaker) {
    this.pool = pool;
    this.journal = journalOf(pool.key);
    this.line = new Line(this.journal.folder);
    this.#jobOf = jobOf ?? ((which) => hostJob(pool, this.journal, which));
  }

  /** The numbers of the allocations. */
  get slots(): number[] {
    return Array.from({ length: this.pool.max }, (_, at) => at + 1);
  }

  get silence(): string | undefined {
    return this.#silence;
  }

  allocation(slot: number): Allocation {
    return this.#allocations.get(slot) ?? UNKNOWN;
  }

  /** The terms that this program has claimed and that are not over. */
  get mine(): { slot: number; term: number }[] {
    return [...this.#mine].map(([slot, term]) => ({ slot, term }));
  }

  /** Looks at all allocations, and does each duty that needs no choice of a program. */
  async look(): Promise<void> {
    this.#silence = undefined;
    await Promise.all(this.slots.map((slot) => this.#lookAt(slot)));
  }

  /** The host of an allocation has answered, or has not. */
  answered(slot: number, did: boolean): void {
    this.#allocations.set(slot, answered(this.allocation(slot), did, monotonicNow()));
  }

  /** @returns false where another program was first. */
  claim(slot: number, term: number): boolean {
    const { engine } = this.pool;
    const self = engine.isHere ? identityOf(process.pid) : undefined;
    if (this.#gaveUp || !this.journal.claim(slot, term, this.line.claimant, self)) return false;
    this.journal.noteEngine({ engine: engine.name, settings: this.pool.settings });
    this.#mine.set(slot, term);
    return true;
  }

  /** Takes back a claim whose job was not submitted. */
  unclaim(slot: number): void {
    const term = this.#mine.get(slot);
    if (term === undefined) return;
    this.retire({ slot, term }, 'the program did not get all hosts that it needs');
    this.disown(slot);
  }

  /** The engine has ended the job of a term for certain. */
  retire({ slot, term }: { slot: number; term: number }, why: string): void {
    this.journal.retire(slot, term, { why, failed: false });
  }

  /** Ends a term that an earlier life of this program has claimed and whose job nobody knows: nobody submits it any more. */
  async abandon({ slot, term }: { slot: number; term: number }): Promise<void> {
    const latest = this.journal.latest(slot);
    if (latest.term !== term || latest.job || latest.end) return;
    const why = 'the program that claimed it was started again before it submitted the job';
    this.journal.write(slot, term, 'fence', { why });
    if (await this.#withdraw(slot, term)) this.journal.write(slot, term, 'end', { why, failed: false });
  }

  /** How many hosts each tenant has asked for that are not over. */
  get held(): Map<string, number> {
    const held = new Map<string, number>();
    for (const { phase, facts } of this.#allocations.values()) {
      const tenant = facts.claimedBy?.tenant;
      if (tenant === undefined || phase === 'ended' || phase === 'failed') continue;
      held.set(tenant, (held.get(tenant) ?? 0) + 1);
    }
    return held;
  }

  /** The program that claimed a term leaves it to all: it does not end the term when it gives up. */
  disown(slot: number): void {
    this.#mine.delete(slot);
  }

  /** Ends what this program has claimed, also a job that is being submitted. */
  async giveUp(why: string): Promise<void> {
    this.#gaveUp = true;
    this.line.leave();
    for (const { slot, term } of this.mine) this.journal.write(slot, term, 'fence', { why });
    await Promise.allSettled(this.#submitting);
    for (const { slot, term } of this.mine) {
      const job = this.#jobOfTerm(slot, term);
      // The error is dropped: the term is fenced, so the next program that looks cancels the job.
      if (job) await this.pool.engine.cancel(job.id).catch(() => {});
      this.disown(slot);
    }
  }

  /** The same, from a process that is about to end. */
  giveUpNow(why: string): void {
    this.#gaveUp = true;
    this.line.leave();
    for (const { slot, term } of this.mine) {
      this.journal.write(slot, term, 'fence', { why });
      const job = this.#jobOfTerm(slot, term);
      if (job) this.pool.engine.cancelNow(job.id);
      this.disown(slot);
    }
  }

  /** Undefined where the term is over: the job of the next one may be another program's. */
  #jobOfTerm(slot: number, term: number): { readonly id: string } | undefined {
    const latest = this.journal.latest(slot);
    return latest.term === term ? latest.job : undefined;
  }

  async #lookAt(slot: number): Promise<void> {
    // Again, where something was done: it may make the next thing due. To fence a term and to retire it are two.
    for (let round = 0; round < 3; round += 1) {
      const facts = await this.#facts(slot);
      const now = monotonicNow();
      const mine = this.#mine.get(slot) === facts.term;
      const allocation = observed(this.allocation(slot), facts, { now, mine });
      this.#allocations.set(slot, allocation);
      if (!(await this.#do(slot, allocation))) return;
    }
  }

  /** Does what is due. @returns whether to look again at once. */
  async #do(slot: number, allocation: Allocation): Promise<boolean> {
    const duty = dutyOf(allocation, monotonicNow(), this.pool.terms);
    const { term, job } = allocation.facts;
    switch (duty.do) {
      case 'submit': {
        const submitting = this.#submit(slot, term);
        this.#submitting.add(submitting);
        return submitting.finally(() => this.#submitting.delete(submitting));
      }
      case 'fence':
        return this.journal.write(slot, term, 'fence', { why: duty.why });
      case 'retire':
        if (job === undefined && !(await this.#withdraw(slot, term))) return false;
        if (duty.failed && job !== undefined)
          this.journal.keepLog(slot, term, await this.#output(slot, term, job));
        return this.journal.write(slot, term, 'end', { why: duty.why, failed: duty.failed });
      case 'cancel':
        if (job !== undefined) await this.pool.engine.cancel(job).catch((error) => this.#heard(error));
        return false;
      default:
        return false;
    }
  }

  async #submit(slot: number, term: number): Promise<boolean> {
    const { journal, pool } = this;
    const { claim, fence } = journal.latest(slot);
    if (!claim || fence) return false;
    try {
      const id = await pool.engine.submit(this.#jobOf({ slot, term, token: claim.token }));
      journal.write(slot, term, 'job', { id });
      // It was given up, or fenced by another program, in the meantime.
      if (journal.isFenced(slot, term)) await pool.engine.cancel(id);
      return true;
    } catch (error) {
      const why = messageOf(error);
      journal.write(slot, term, 'fence', { why });
      // A refused job is none. Where the engine is silent, it may have one: until its lease would have lapsed.
      if (!isSilence(error) || (await this.#withdraw(slot, term)))
        journal.write(slot, term, 'end', { why, failed: true });
      throw error;
    }
  }

  /**
   * Ends a term's job that was submitted by a program that has died then, or that was never told so.
   *
   * @returns whether the engine has none now, as far as it knows.
   */
  async #withdraw(slot: number, term: number): Promise<boolean> {
    const { engine, key } = this.pool;
    const name = jobName(key, slot);
    try {
      const jobs = await engine.list(name);
      for (const job of jobs) if (job.name === name && job.term === term) await engine.cancel(job.id);
      return true;
    } catch (error) {
      if (!(error instanceof FarlightError)) throw error;
      this.#silence = error.message;
      return false;
    }
  }

  async #facts(slot: number): Promise<Facts> {
    const { term, claim, job, ready: known, fence, end } = this.journal.latest(slot);
    if (term === 0) return { term };
    const base = { term, claimedBy: claim?.by, job: job?.id, fenced: fence?.why, retired: end };
    if (end) return base;
    if (!job) {
      const isGone = this.pool.engine.isHere && claim?.process !== undefined && !isAlive(claim.process);
      // Read the job again: this program may have slept, and the other one may have submitted it before it ended.
      return { ...base, isAbandoned: isGone && this.#jobOfTerm(slot, term) === undefined };
    }
    const status = await this.pool.engine.status(job.id).catch((error) => this.#heard(error));
    // After the status: a job that has ended has said all that it had to say.
    const reports = readReports(await this.#output(slot, term, job.id), term);
    const { ended, ready = known } = reports;
    // An engine may not have the beginning of a long output for ever.
    if (ready && !known) this.journal.write(slot, term, 'ready', ready);
    const url = ready && addressOf(ready, status ?? this.allocation(slot).facts.status, claim?.token ?? '');
    const isExclusive = url !== undefined && folderOf(url) !== undefined;
    // A host whose job has ended has no address any more, and was ready all the same.
    return { ...base, status, ended, ready: ready && { url: url ?? '', isExclusive } };
  }

  /** The output of a term's job until now; empty where the engine does not answer. */
  async #output(slot: number, term: number, job: string): Promise<string> {
    const log = this.journal.logOf(slot, term);
    return (await this.pool.engine.logs(job, log).catch((error) => this.#heard(error))) ?? '';
  }

  /** @throws the error, unless the engine is silent. A portal goes on after it, and tells its tenants why nothing happens. */
  #heard(error: unknown): undefined {
    if (error instanceof FarlightError) this.#silence = error.message;
    if (!isSilence(error)) throw error;
    return undefined;
  }
}
