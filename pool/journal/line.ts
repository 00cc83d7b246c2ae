import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../../link/files/make-folder.js';
import { monotonicNow, wallClock } from '../../link/machine/clock.js';
import { codeOf } from '../../proto/errors.js';
import type { Claimant } from '../allocation/allocation.js';
import type { Ticket, Want } from '../allocation/line.js';

/** A program touches its ticket so often, in milliseconds. Some file systems keep whole seconds. */
const TOUCH_MS = 2000;
/** The ticket of a program that has not touched it for so long is thrown away, in milliseconds. */
const DEAD_MS = 20_000;

const NAME = /^(\d+)\.([0-9a-f]{16})\.(\d+)(x?)\.([A-Za-z0-9_-]*)$/;

/**
 * The programs that wait for hosts of a pool, each with a ticket: an empty file whose name says what it wants. A program
 * that waits touches its ticket. Where it has ended or sleeps, the others throw the ticket away, and it takes another
 * one when it goes on.
 */
export class Line {
  readonly #folder: string;
  readonly #tenant: string;
  #mine: string | undefined;
  #touched = 0;
  /** The tickets at the last look, by the names of their files. */
  #last: ReadonlyMap<string, Ticket> = new Map();
  /** When a ticket was last seen with another time. */
  readonly #seen = new Map<string, { time: number; at: number }>();

  constructor(journal: string, tenant = userInfo().username) {
    this.#folder = join(journal, 'line');
    this.#tenant = tenant;
  }

  get hasTicket(): boolean {
    return this.#mine !== undefined;
  }

  /** This program, as its claims name it. */
  get claimant(): Claimant {
    return {
      tenant: this.#tenant,
      ...(this.#mine !== undefined && { ticket: ticketOf(this.#mine).id }),
    };
  }

  /** Whether a ticket was there at the last look. */
  has(id: string | undefined): boolean {
    return id !== undefined && [...this.#last.values()].some((ticket) => ticket.id === id);
  }

  /** Takes a ticket behind all others. */
  take({ hosts, isExclusive }: Want): void {
    makeFolder(this.#folder, 0o700);
    const number = Math.max(0, ...this.#names().map((name) => Number.parseInt(name, 10))) + 1;
    const tenant = Buffer.from(this.#tenant).toString('base64url');
    const want = `${hosts}${isExclusive ? 'x' : ''}`;
    this.#mine = `${number}.${randomBytes(8).toString('hex')}.${want}.${tenant}`;
    this.#touched = monotonicNow();
    writeFileSync(join(this.#folder, this.#mine), '', { mode: 0o600 });
  }

  /** Gives the ticket back: the program has what it wants, or wants it no more. */
  leave(): void {
    if (this.#mine !== undefined) rmSync(join(this.#folder, this.#mine), { force: true });
    this.#mine = undefined;
  }

  /** The tickets now. `mine`: the id of this program's; undefined where it has none, or others have thrown it away. */
  look(): { tickets: readonly Ticket[]; mine: string | undefined } {
    const names = this.#names();
    if (this.#mine !== undefined && !names.includes(this.#mine)) this.#mine = undefined;
    this.#touch();
    this.#last = new Map(names.map((name) => [name, ticketOf(name)]));
    return { tickets: [...this.#last.values()], mine: this.#mine && ticketOf(this.#mine).id };
  }

  /** Throws away those of these tickets of the last look whose programs have ended. */
  check(tickets: readonly Ticket[]): void {
    for (const name of this.#seen.keys()) if (!this.#last.has(name)) this.#seen.delete(name);
    for (const [name, ticket] of this.#last) {
      if (!tickets.includes(ticket) || name === this.#mine) continue;
      const time = statSync(join(this.#folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
      const seen = this.#seen.get(name);
      if (seen?.time !== time) this.#seen.set(name, { time, at: monotonicNow() });
      else if (monotonicNow() - seen.at > DEAD_MS) rmSync(join(this.#folder, name), { force: true });
    }
  }

  #touch(): void {
    if (this.#mine === undefined || monotonicNow() - this.#touched < TOUCH_MS) return;
    this.#touched = monotonicNow();
    const seconds = wallClock() / 1000;
    try {
      utimesSync(join(this.#folder, this.#mine), seconds, seconds);
    } catch (error) {
      // It was thrown away just now. The next look tells.
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }

  #names(): string[] {
    try {
      return readdirSync(this.#folder).filter((name) => NAME.test(name));
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      return [];
    }
  }
}

function ticketOf(name: string): Ticket {
  const [, number, id = '', hosts, exclusive, tenant = ''] = NAME.exec(name) ?? [];
  return {
    id,
    number: Number(number),
    tenant: Buffer.from(tenant, 'base64url').toString(),
    want: { hosts: Number(hosts), isExclusive: exclusive === 'x' },
  };
}
