import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stateFolder } from '../../link/machine/folders.js';
import { codeOf } from '../../proto/errors.js';
import { checkPrivate, replaceFile } from '../../server/trust/private-folder.js';
import type { SavedBooking } from './booking.js';

/** The costs of a tenant in a pool. GPU seconds are those of running hosts: with a session, and without one. */
export interface Cost {
  used: number;
  idle: number;
  hosts: number;
  bookings: number;
}

/** The term of an allocation that the portal has claimed, and for whom. */
export interface OwnTerm {
  readonly slot: number;
  readonly term: number;
  readonly tenant: string;
}

/** A portal's knowledge of a pool that neither the journal nor the engine has. */
export interface PoolState {
  /** The journal's mark of the last time when all hosts were ended. */
  readonly mark?: string | undefined;
  readonly bookings: readonly SavedBooking[];
  readonly terms: readonly OwnTerm[];
  readonly recent: Readonly<Record<string, number>>;
  readonly costs: Readonly<Record<string, Cost>>;
}

const NOTHING: PoolState = { bookings: [], terms: [], recent: {}, costs: {} };

/** The file in which a portal keeps its state of a pool, so that it goes on after it was killed. */
export class StateFile {
  readonly #folder: string;
  readonly #name: string;

  /** @throws FarlightError TRUST_UNUSABLE where others may read the folder. */
  constructor(key: string, folder: string = join(stateFolder(), 'portal')) {
    this.#folder = folder;
    this.#name = `${key}.json`;
    checkPrivate(folder);
  }

  /** A file that is not whole counts as none: hosts that nobody knows end by themselves. */
  read(): PoolState {
    try {
      const read = JSON.parse(readFileSync(join(this.#folder, this.#name), 'utf8'));
      return Array.isArray(read.bookings) && Array.isArray(read.terms) ? { ...NOTHING, ...read } : NOTHING;
    } catch (error) {
      if (error instanceof SyntaxError || codeOf(error) === 'ENOENT') return NOTHING;
      throw error;
    }
  }

  /** @throws FarlightError TRUST_UNUSABLE */
  write(state: PoolState): void {
    replaceFile(this.#folder, this.#name, JSON.stringify(state));
  }
}
