import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../../link/files/make-folder.js';
import { stateFolder } from '../../link/machine/folders.js';
import { codeOf, FarlightError, tooManyFiles } from '../../proto/errors.js';
import { makePrivate, writeFirst } from '../../server/trust/private-folder.js';
import type { ImageFile } from '../images/images.js';
import {
  type Attempt,
  attemptName,
  type JobParts,
  outputOf,
  resultsOf,
  type Task,
  taskName,
  tasksOf,
} from '../render/render.js';
import type { JobRequest } from '../request/request-file.js';
import { parseTemplate } from '../templates/template-file.js';
import type { AttemptEnd, AttemptFacts } from './progress.js';

/** The job as it was submitted: the request, and copies of what was selected for it. */
interface JobFile {
  readonly request: JobRequest;
  readonly template: string;
  readonly images: JobParts['images'];
  /** When it was submitted, for a person. */
  readonly at: string;
}

/** The files of an attempt, each written once. */
interface Files {
  /** A process submits it, and no other. */
  claim: true;
  job: { readonly id: string };
  end: AttemptEnd;
  cancel: { readonly why: string };
  /** A person wants another attempt after this one. */
  retry: true;
}

/** The file that makes a folder the record of a job. */
const JOB = 'job.json';
const ID = /^[a-z][a-z0-9-]{0,39}-[1-9]\d{0,8}$/;
const CLAIM = /^([a-z][a-z0-9-]*\.\d+)\.(\d+)\.claim$/;

/** The folder of the records of all jobs of this user. */
export function recordsFolder(): string {
  return join(stateFolder(), 'job-records');
}

/** The ids of all jobs that have a record, the latest one of each name last. */
export function recordedJobs(): string[] {
  const parts = (id: string): [string, number] => [id.replace(/-\d+$/, ''), Number(/\d+$/.exec(id)?.[0])];
  return names(recordsFolder())
    .filter((name) => ID.test(name))
    .sort((a, b) => {
      const [first, one] = parts(a);
      const [second, two] = parts(b);
      return first === second ? one - two : first < second ? -1 : 1;
    });
}

/** The id that the next job of this name gets. */
export function nextId(name: string): string {
  const numbers = names(recordsFolder()).flatMap((each) => {
    const [, of, number] = /^(.+)-(\d+)$/.exec(each) ?? [];
    return of === name ? [Number(number)] : [];
  });
  return `${name}-${Math.max(0, ...numbers) + 1}`;
}

/**
 * The record of one job, in a folder that only this user can read. Its files are written once, and the first writer wins:
 * so any process of this user may go on with the job, on any machine that has the folder.
 */
export class JobRecord {
  readonly id: string;
  readonly folder: string;
  #parts: JobParts | undefined;

  constructor(id: string) {
    this.id = id;
    this.folder = join(recordsFolder(), id);
  }

  /** @throws FarlightError BAD_OPTION where there is no such job. */
  static find(id: string): JobRecord {
    const record = new JobRecord(id);
    if (ID.test(id) && record.exists) return record;
    const known = recordedJobs().slice(-10).join(', ');
    throw new FarlightError(
      'BAD_OPTION',
      `there is no job ${id}; ${known ? `there are: ${known}` : 'none was submitted'}`,
    );
  }

  get exists(): boolean {
    return this.#text(JOB) !== undefined;
  }

  /** Takes the id for a new job. @returns false where another process was first. */
  take(): boolean {
    makePrivate(recordsFolder());
    try {
      mkdirSync(this.folder, { mode: 0o700 });
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  begin({ request, template, images }: Omit<JobParts, 'id' | 'folder'>): void {
    const file: JobFile = { request, template: template.text, images, at: new Date().toISOString() };
    makeFolder(resultsOf(this), 0o700);
    writeFirst(this.folder, JOB, `${JSON.stringify(file, null, 2)}\n`);
  }

  get parts(): JobParts {
    this.#parts ??= this.#read();
    return this.#parts;
  }

  get submittedAt(): string {
    return this.#file().at;
  }

  /** All tasks of the job. */
  get tasks(): Task[] {
    return tasksOf(this.parts);
  }

  /** The numbers of the attempts at each task so far, by the task's name. It reads the folder once for all tasks. */
  attemptNumbers(): ReadonlyMap<string, readonly number[]> {
    const found = new Map<string, number[]>();
    for (const name of names(this.folder)) {
      const [, task, attempt] = CLAIM.exec(name) ?? [];
      if (task === undefined) continue;
      const numbers = found.get(task);
      if (numbers) numbers.push(Number(attempt));
      else found.set(task, [Number(attempt)]);
    }
    return found;
  }

  /** The attempts at a task so far, in their order. */
  attempts(task: Task, numbers = this.attemptNumbers()): AttemptFacts[] {
    return [...(numbers.get(taskName(task)) ?? [])]
      .sort((a, b) => a - b)
      .map((attempt) => {
        const which = { ...task, attempt };
        const end = this.read(which, 'end');
        const job = this.read(which, 'job');
        return {
          attempt,
          ...(job && { id: job.id }),
          ...(end && { end }),
          isCancelled: this.read(which, 'cancel') !== undefined,
          isRetried: this.read(which, 'retry') !== undefined,
        };
      });
  }

  /** Claims an attempt, and makes its folder. @returns false where another process was first. */
  claim(which: Attempt): boolean {
    if (!this.write(which, 'claim', true)) return false;
    makeFolder(outputOf(this, which), 0o700);
    return true;
  }

  read<Name extends keyof Files>(which: Attempt, name: Name): Files[Name] | undefined {
    const text = this.#text(`${attemptName(which)}.${name}`);
    return text === undefined ? undefined : this.#parsed(text);
  }

  /** @returns false where the file is there already. @throws FarlightError BAD_OPTION where the job was deleted. */
  write<Name extends keyof Files>(which: Attempt, name: Name, content: Files[Name]): boolean {
    this.checkKept();
    return writeFirst(this.folder, `${attemptName(which)}.${name}`, `${JSON.stringify(content)}\n`);
  }

  logOf(which: Attempt): string {
    return join(this.folder, `${attemptName(which)}.log`);
  }

  /** Keeps the log of an attempt that has ended, unless its engine has written it there. */
  keepLog(which: Attempt, text: string): void {
    this.checkKept();
    writeFirst(this.folder, `${attemptName(which)}.log`, text);
  }

  /**
   * Without its claims a job would be submitted anew by a process that still has it, so first it is no job any more.
   *
   * @throws FarlightError BAD_OPTION where another process has deleted the record.
   */
  checkKept(): void {
    if (!this.exists) throw new FarlightError('BAD_OPTION', `the job ${this.id} was deleted`);
  }

  delete(): void {
    rmSync(join(this.folder, JOB), { force: true });
    rmSync(this.folder, { recursive: true, force: true });
  }

  #read(): JobParts {
    const { request, template: text, images } = this.#file();
    const { template } = parseTemplate(`the template of ${this.id}`, text);
    if (!template) throw this.#broken();
    return {
      id: this.id,
      request,
      template,
      images: images as Readonly<Record<string, ImageFile>>,
      folder: this.folder,
    };
  }

  #file(): JobFile {
    const text = this.#text(JOB);
    if (text === undefined) throw this.#broken();
    return this.#parsed(text);
  }

  #parsed<Content>(text: string): Content {
    try {
      return JSON.parse(text);
    } catch {
      throw this.#broken();
    }
  }

  #broken(): FarlightError {
    const why = `the record of the job ${this.id} in ${this.folder} is broken; end its jobs with the engine's own commands, delete that folder, and submit the job again`;
    return new FarlightError('BAD_OPTION', why);
  }

  /** Undefined where there is no such file. Throws where it cannot be read: a cancel must not be taken for none. */
  #text(name: string): string | undefined {
    try {
      return readFileSync(join(this.folder, name), 'utf8');
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw tooManyFiles(error) ?? error;
      return undefined;
    }
  }
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw tooManyFiles(error) ?? error;
    return [];
  }
}
