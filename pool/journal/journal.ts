import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { stateFolder } from '../../link/machine/folders.js';
import { codeOf, tooManyFiles } from '../../proto/errors.js';
import { TOKEN_BYTES, TOKEN_PREFIX } from '../../proto/token.js';
import { checkPrivate, makePrivate, replaceFile, writeFirst } from '../../server/trust/private-folder.js';
import type { Claimant } from '../allocation/allocation.js';

/** The file with which a program claims a term. */
interface Claim {
  /** Clients show it to the term's host. The job has only its hash. */
  readonly token: string;
  readonly by?: Claimant;
  /** The program's process, where all programs of the pool are on one machine: a number, and when the process began. */
  readonly process?: { readonly pid: number; readonly began: string };
}

/**
 * A host that is ready: at a socket of this machine, or at a port with this key; or, where the job runs a program's
 * command, at a folder that both sides have. None of it is a secret.
 */
export type Ready =
  | { readonly socket: string }
  | { readonly port: number; readonly pin: string }
  | { readonly folder: string };

/** The files of a term, each written once. */
interface Files {
  claim: Claim;
  job: { readonly id: string };
  ready: Ready;
  fence: { readonly why: string };
  end: { readonly why: string; readonly failed: boolean };
}

/** An engine, by its name and the settings that a pool has for it. */
export interface JournalEngine {
  readonly engine: string;
  readonly settings: object;
}

const ENGINE = '.engine';

/** The contents of a term's files. */
export type Written = { readonly [Name in keyof Files]?: Files[Name] } & { readonly term: number };

const FILE = /^(\d+)\.(\d+)\.(claim|job|ready|fence|end|log)$/;
/** The file that says that all hosts were ended, and the one of a pool that a portal has served. */
const DOWN = 'down';
const PORTAL = 'portal';
/** How many terms before the latest one keep their files, for a person who looks for a mistake. */
const KEPT_TERMS = 3;

/** The folder of the journals of this user's pools. */
export function journalsFolder(): string {
  return join(stateFolder(), 'pools');
}

/** The journal of a pool, by the pool's key. @throws FarlightError TRUST_UNUSABLE where others may read it. */
export function journalOf(key: string): Journal {
  return new Journal(join(journalsFolder(), key));
}

/** The journals of all pools that were used. */
export function allJournals(): Journal[] {
  return namesIn(journalsFolder()).map(journalOf);
}

/**
 * A folder in which the programs of one user share facts of a pool. Only that user can read it. Each file is written
 * once, whole or not at all, and the first writer wins. So programs need no lock, and one that is killed leaves nothing
 * half done.
 */
export class Journal {
  readonly folder: string;

  /** @throws FarlightError TRUST_UNUSABLE where others may read the folder. */
  constructor(folder: string) {
    this.folder = folder;
    checkPrivate(folder);
  }

  /** The latest term of an allocation; term 0 where there was none. */
  latest(slot: number): Written {
    const term = Math.max(0, ...this.#terms(slot));
    return {
      term,
      ...(term > 0 && {
        ...this.#read(slot, term, 'claim'),
        ...this.#read(slot, term, 'job'),
        ...this.#read(slot, term, 'ready'),
        ...this.#read(slot, term, 'fence'),
        ...this.#read(slot, term, 'end'),
      }),
    };
  }

  /** Claims a term. @returns false where another program was first. */
  claim(slot: number, term: number, by?: Claimant, process?: Claim['process']): boolean {
    const token = TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url');
    if (!this.write(slot, term, 'claim', { token, ...(by && { by }), ...(process && { process }) }))
      return false;
    for (const old of this.#terms(slot)) if (old < term - KEPT_TERMS) this.#delete(slot, old);
    // This program may have slept since it looked: later terms have come, and the files of this one are deleted.
    return Math.max(...this.#terms(slot)) === term;
  }

  /** @returns false where the file is there already. */
  write<Name extends keyof Files>(slot: number, term: number, name: Name, content: Files[Name]): boolean {
    return writeFirst(this.folder, `${slot}.${term}.${name}`, `${JSON.stringify(content)}\n`);
  }

  /** The engine has ended the job of a term for certain. */
  retire(slot: number, term: number, end: Files['end']): void {
    this.write(slot, term, 'fence', { why: end.why });
    this.write(slot, term, 'end', end);
  }

  isFenced(slot: number, term: number): boolean {
    return this.#has(slot, term, 'fence') || Math.max(...this.#terms(slot)) > term;
  }

  /** The file for the output of a term's host. Its folder is there. */
  logOf(slot: number, term: number): string {
    return this.logNamed(`${slot}.${term}`);
  }

  /** The same for a job that is no host of the pool. */
  logNamed(name: string): string {
    makePrivate(this.folder);
    return join(this.folder, `${name}.log`);
  }

  /** Keeps the output of a term's job, where the engine has not written it there. */
  keepLog(slot: number, term: number, output: string): void {
    writeFirst(this.folder, `${slot}.${term}.log`, output);
  }

  /** The settings of the engines that the pool's jobs were given to. A pool file may have changed since. */
  engines(): JournalEngine[] {
    const files = namesIn(this.folder).filter((name) => name.endsWith(ENGINE));
    return files.map((name) => JSON.parse(readFileSync(join(this.folder, name), 'utf8')));
  }

  noteEngine(engine: JournalEngine): void {
    const text = `${JSON.stringify(engine)}\n`;
    writeFirst(this.folder, `${hashOf(text).slice(0, 16)}${ENGINE}`, text);
  }

  /** A portal serves the pool from now on. */
  notePortal(): void {
    writeFirst(this.folder, PORTAL, '');
  }

  get hasPortal(): boolean {
    return namesIn(this.folder).includes(PORTAL);
  }

  /** Tells portals, also one that is stopped at the moment, that a person ends all hosts: those who wait get no others. */
  markDown(): void {
    if (this.hasPortal) replaceFile(this.folder, DOWN, randomBytes(8).toString('hex'));
  }

  /** Differs after each `markDown`; empty where there was none. */
  downMark(): string {
    try {
      return readFileSync(join(this.folder, DOWN), 'utf8');
    } catch (error) {
      checkMissing(error);
      return '';
    }
  }

  #has(slot: number, term: number, name: keyof Files): boolean {
    return this.#read(slot, term, name) !== undefined;
  }

  #terms(slot: number): number[] {
    return namesIn(this.folder).flatMap((name) => {
      const [, of, term, kind] = FILE.exec(name) ?? [];
      return kind === 'claim' && Number(of) === slot ? [Number(term)] : [];
    });
  }

  #read<Name extends keyof Files>(slot: number, term: number, name: Name): Pick<Written, Name> | undefined {
    try {
      const text = readFileSync(join(this.folder, `${slot}.${term}.${name}`), 'utf8');
      return { [name]: JSON.parse(text) } as unknown as Pick<Written, Name>;
    } catch (error) {
      checkMissing(error);
      return undefined;
    }
  }

  #delete(slot: number, term: number): void {
    for (const kind of ['job', 'ready', 'fence', 'end', 'log', 'claim'])
      rmSync(join(this.folder, `${slot}.${term}.${kind}`), { force: true });
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    checkMissing(error);
    return [];
  }
}

/** Throws the error, unless a file is not there. A program must not take a fence that it cannot read for none. */
function checkMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw tooManyFiles(error) ?? error;
}

/** The hash of a token, by which a host knows it again. */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
