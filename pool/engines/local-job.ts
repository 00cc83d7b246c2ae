import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { wallClock } from '../../link/machine/clock.js';
import { codeOf, tooManyFiles } from '../../proto/errors.js';
import { makePrivate } from '../../server/trust/private-folder.js';
import type { JobDescription, JobStatus } from './engine.js';
import { isAlive, type ProcessIdentity } from './process-identity.js';

/** How a job of this machine ended. */
export interface LocalEnd {
  readonly why: string;
  readonly code?: number;
}

/**
 * The files in the folder of a job of this machine, each written once: the description, the process that looks after the
 * job, that it waits for the job before it, that it is cancelled, that its process starts, that process, and how it ended.
 */
interface Files {
  job: JobDescription;
  runner: ProcessIdentity;
  waits: true;
  cancelled: true;
  starts: true;
  process: ProcessIdentity;
  ended: LocalEnd;
}

/** How long the process that looks after a job may take to begin, and then to start the job's own, in milliseconds. */
const BEGIN_MS = 30_000;

/** The folder of one job of this machine. Only this user can read it. */
export class LocalJob {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  write<Name extends keyof Files>(name: Name, content: Files[Name]): void {
    makePrivate(this.folder);
    const path = join(this.folder, name);
    // Whole or not at all. Not flushed to the disk: when the power fails, the job is over.
    const temporary = `${path}.${process.pid}`;
    writeFileSync(temporary, `${JSON.stringify(content)}\n`, { mode: 0o600 });
    renameSync(temporary, path);
  }

  /** Undefined where there is no such file. Throws where it cannot be read: then the job may not be over. */
  read<Name extends keyof Files>(name: Name): Files[Name] | undefined {
    try {
      return JSON.parse(readFileSync(join(this.folder, name), 'utf8'));
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw tooManyFiles(error) ?? error;
      return undefined;
    }
  }

  /** The process that looks after the job, if it runs. */
  get runner(): number | undefined {
    return alive(this.read('runner'));
  }

  /** The job's own process, if it runs. */
  get process(): number | undefined {
    return alive(this.read('process'));
  }

  status(node: string): JobStatus {
    // Before the end is looked for: the process that looks after the job writes it last. And once: it may begin meanwhile.
    const looksAfter = this.read('runner');
    const runner = alive(looksAfter);
    const { process } = this;
    const ended = this.read('ended');
    if (ended) return { phase: 'ended', ...ended, isCertain: true };
    if (process !== undefined || (runner !== undefined && this.read('process')))
      return { phase: 'running', node, address: '127.0.0.1', incarnation: '1' };
    const starts = this.read('starts');
    if (runner !== undefined) {
      if (!starts && this.read('waits'))
        return { phase: 'queued', why: 'the job of the same name before it still runs' };
      if (this.#ageMs(starts ? 'starts' : 'job') < BEGIN_MS)
        return { phase: 'starting', why: 'its process starts' };
      const why = `the process that looks after it does nothing; end that process (${runner})`;
      return { phase: 'starting', why, isBlocked: true };
    }
    if (looksAfter && starts && !this.read('process')) {
      const why = 'the process that looks after it was killed while it started the job, which may still run';
      return { phase: 'ended', why, isCertain: false };
    }
    if (looksAfter) return { phase: 'ended', why: 'its process was killed', isCertain: true, bySite: true };
    if (this.ageMs < BEGIN_MS) return { phase: 'starting', why: 'its process starts' };
    return { phase: 'ended', why: 'this machine knows no such job', isCertain: false };
  }

  /** How long ago the job was submitted. Its folder is there before its description. */
  get ageMs(): number {
    return this.#ageMs('job');
  }

  #ageMs(name: keyof Files): number {
    const quiet = { throwIfNoEntry: false } as const;
    const stats = statSync(join(this.folder, name), quiet) ?? statSync(this.folder, quiet);
    return stats ? wallClock() - stats.mtimeMs : Number.POSITIVE_INFINITY;
  }
}

function alive(identity: ProcessIdentity | undefined): number | undefined {
  return identity && isAlive(identity) ? identity.pid : undefined;
}
