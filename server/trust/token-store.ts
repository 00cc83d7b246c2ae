import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clearInterval, setInterval, wallClock } from '../../link/machine/clock.js';
import { FarlightError, invariant } from '../../proto/errors.js';
import { TOKEN_BYTES, TOKEN_PREFIX } from '../../proto/token.js';
import { checkPrivate, codeOf, deleteFile, hostFolder, unusable, writeFirst } from './private-folder.js';
import {
  areTenantLimits,
  type LimitChange,
  type LimitChanges,
  limitsAfter,
  statedLimits,
  type TenantLimits,
} from './tenant-limits.js';

/** What a host knows of a token. The token itself is not kept anywhere. */
export interface TokenEntry {
  /** Ten hexadecimal digits; no secret. */
  readonly id: string;
  /** Whose it is: tenants share nothing that the host keeps. */
  readonly tenant: string;
  /** ISO 8601. */
  readonly created: string;
  readonly note?: string;
  /** What its tenant may have, where that is other than what all may, whichever of its tokens that was said with. */
  readonly limits?: TenantLimits;
}

export interface NewToken {
  tenant?: string | undefined;
  note?: string | undefined;
  /** What its tenant may have from now on. */
  limits?: LimitChanges | undefined;
  /** Milliseconds since 1970. Default: now. */
  now?: number;
}

interface KnownToken extends Omit<TokenEntry, 'limits'> {
  readonly digest: Buffer;
  /** Farlight 0.1 wrote a tenant's limits into the token's file. */
  readonly limits?: LimitChanges;
}

export const DEFAULT_TENANT = 'default';

const ID = /^[0-9a-f]{10}$/;
const TENANT = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
/** A file of limits: an id, and the tenant whose they are, which has to be known also where the file is damaged. */
const LIMITS = /^limits-[0-9a-f]{10}-([A-Za-z0-9][A-Za-z0-9._@-]{0,63})$/;
/** No control characters: the list goes to a terminal. */
const NOTE = /^\P{Cc}{1,200}$/u;
const POLL_MS = 1000;

/**
 * The tokens of a host: a folder with a file for each, named by its id. A token's file is written once, never
 * changed, and deleted to revoke it. So processes that add and revoke at once need no lock, and a host sees what
 * happened by the names alone, which it looks at whenever a token is used. A change of a tenant's limits is a file of
 * its own, written once likewise, which stays when tokens go: a tenant gets its next token with the limits that it had.
 *
 * A token is 256 random bits, and what is kept is its SHA-256. A slow hash defends what people choose, which can
 * be guessed; of 2^256 tokens none can be, and a fast one costs the host nothing when somebody tries.
 */
export class TokenStore {
  readonly #folder: string;
  readonly #known = new Map<string, KnownToken>();
  /** By the names of their files; undefined where one is damaged. */
  readonly #changes = new Map<string, LimitChange | undefined>();
  readonly #listeners = new Set<(id: string) => void>();

  /** @throws FarlightError TRUST_UNUSABLE where the folder exists and others may look into it. */
  constructor(folder: string = join(hostFolder(), 'tokens')) {
    this.#folder = folder;
    checkPrivate(folder);
  }

  /**
   * Makes a token. It is returned here and never again.
   *
   * @throws FarlightError BAD_OPTION for a tenant or note that cannot be; TRUST_UNUSABLE.
   */
  add({ tenant = DEFAULT_TENANT, note, limits = {}, now = wallClock() }: NewToken = {}): {
    token: string;
    entry: TokenEntry;
  } {
    if (!TENANT.test(tenant)) {
      throw new FarlightError(
        'BAD_OPTION',
        `${JSON.stringify(tenant)} cannot be a tenant's name; use up to 64 letters, digits and . _ @ -, beginning with a letter or digit`,
      );
    }
    if (note !== undefined && !NOTE.test(note))
      throw new FarlightError('BAD_OPTION', 'a note is one line of 1 to 200 characters; shorten it');
    const token = TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url');
    const stated = statedLimits(limits);
    invariant(!stated || areTenantLimits(stated), 'limits are numbers above 0');
    const created = new Date(now).toISOString();
    const facts = { tenant, created, ...(note !== undefined && { note }) };
    // Before the token is there, nobody can use it without its limits.
    if (stated) this.#writeNew((id) => `limits-${id}-${tenant}`, { tenant, created, limits: stated });
    const id = this.#writeNew((id) => id, { ...facts, sha256: digestOf(token).toString('hex') });
    return { token, entry: { id, ...facts, ...(stated && { limits: this.limitsOf(tenant) }) } };
  }

  /** Writes a file that nobody has written before. @returns its id. */
  #writeNew(nameOf: (id: string) => string, content: object): string {
    const text = `${JSON.stringify(content)}\n`;
    let id: string;
    do id = randomBytes(5).toString('hex');
    while (!writeFirst(this.#folder, nameOf(id), text));
    return id;
  }

  /**
   * Whose tokens there are, each tenant as often as it has tokens. A tenant whose limits cannot be read is among them: it
   * alone is not let in.
   *
   * @throws FarlightError TRUST_UNUSABLE where the folder, or a token in it, cannot be read.
   */
  tenants(): string[] {
    const unread = this.#look();
    if (unread !== undefined && !LIMITS.test(unread)) throw this.#damaged(unread);
    return [...this.#known.values()].map(({ tenant }) => tenant);
  }

  /** The oldest first. @throws FarlightError TRUST_UNUSABLE where the folder or a file in it cannot be read. */
  list(): TokenEntry[] {
    const unread = this.#look();
    if (unread !== undefined) throw this.#damaged(unread);
    return [...this.#known.values()]
      .map((known) => {
        const limits = statedLimits(this.limitsOf(known.tenant));
        return { ...entryOf(known), ...(limits && { limits }) };
      })
      .sort((a, b) => (a.created + a.id < b.created + b.id ? -1 : 1));
  }

  /**
   * What a tenant may have, as far as the host knows: of what was said with its tokens, those that were revoked among
   * them, the newest that names a limit decides on it.
   */
  limitsOf(tenant: string): TenantLimits {
    const changes: LimitChange[] = [];
    for (const change of this.#changes.values()) if (change && change.tenant === tenant) changes.push(change);
    for (const { tenant: whose, created, limits } of this.#known.values()) {
      if (limits && whose === tenant) changes.push({ tenant, created, limits });
    }
    return limitsAfter(changes);
  }

  /** @returns false where there is no such token. @throws FarlightError TRUST_UNUSABLE */
  revoke(id: string): boolean {
    if (!ID.test(id)) return false;
    const old = this.#read(id);
    if (old?.limits) {
      const { tenant, created, limits } = old;
      writeFirst(this.#folder, `limits-${id}-${tenant}`, `${JSON.stringify({ tenant, created, limits })}\n`);
    }
    const revoked = deleteFile(this.#folder, id);
    if (revoked) this.refresh();
    return revoked;
  }

  /**
   * Whose token this is, as the folder is now; undefined where it is nobody's. Every token is compared in full,
   * so that the time tells neither how much of it was right nor which there are.
   *
   * @throws FarlightError TRUST_UNUSABLE where the folder cannot be read: then nobody is let in; or where the tenant's
   *   limits cannot.
   */
  verify(token: string): TokenEntry | undefined {
    this.#look();
    const digest = digestOf(token);
    let found: KnownToken | undefined;
    for (const each of this.#known.values()) {
      const same = timingSafeEqual(digest, each.digest);
      found = same ? each : found;
    }
    if (!found) return undefined;
    // Nobody is let in of whom it is not known how much they may have.
    for (const [name, change] of this.#changes) {
      if (!change && LIMITS.exec(name)?.[1] === found.tenant) throw this.#damaged(name);
    }
    return entryOf(found);
  }

  /** Calls back with the id of each token that is found to be revoked. @returns what ends that. */
  onRevoked(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the folder now. @throws FarlightError TRUST_UNUSABLE */
  refresh(): void {
    this.#look();
  }

  /**
   * Looks at the folder from time to time, so that sessions of a revoked token can be ended although nobody uses
   * a token meanwhile. Does not keep the process alive.
   *
   * @param intervalMs milliseconds.
   * @returns what ends it.
   */
  watch(intervalMs: number = POLL_MS): () => void {
    const timer = setInterval(() => {
      try {
        this.#look();
      } catch {
        // Open sessions outlast a folder that cannot be read for a moment; new ones are refused meanwhile.
      }
    }, intervalMs).unref();
    return () => clearInterval(timer);
  }

  #damaged(name: string): FarlightError {
    const [, tenant] = LIMITS.exec(name) ?? [];
    const path = join(this.#folder, name);
    return unusable(
      tenant === undefined
        ? `${path} is not a token that farlight wrote; delete that file and add a new one`
        : `${path} does not say what the tenant ${tenant} may have; delete that file, and say it again with: farlight token add --tenant ${tenant}`,
    );
  }

  /** Brings what is known up to date. @returns a file that has the name of one of ours and is none. */
  #look(): string | undefined {
    const names = this.#names();
    let unread = this.#lookAtLimits(names.filter((name) => LIMITS.test(name)));
    const ids = new Set(names.filter((name) => ID.test(name)));
    for (const id of ids) {
      if (this.#known.has(id)) continue;
      const entry = this.#read(id);
      if (entry) this.#known.set(id, entry);
      else if (entry === undefined) unread = id;
    }
    const gone = [...this.#known.keys()].filter((id) => !ids.has(id));
    for (const id of gone) this.#known.delete(id);
    // Last, when this store is consistent: a listener may use it.
    for (const id of gone) for (const listener of [...this.#listeners]) listener(id);
    return unread;
  }

  /** @returns a file of limits that cannot be read. */
  #lookAtLimits(names: readonly string[]): string | undefined {
    for (const name of this.#changes.keys()) if (!names.includes(name)) this.#changes.delete(name);
    for (const name of names) if (!this.#changes.get(name)) this.#changes.set(name, this.#readLimits(name));
    return names.find((name) => !this.#changes.get(name));
  }

  #readLimits(name: string): LimitChange | undefined {
    const [, tenant = ''] = LIMITS.exec(name) ?? [];
    try {
      const { created, limits } = JSON.parse(readFileSync(join(this.#folder, name), 'utf8'));
      if (!Number.isNaN(Date.parse(created)) && areTenantLimits(limits)) return { tenant, created, limits };
    } catch {
      // Nothing is known of it then but its name, which says whose it is.
    }
    return undefined;
  }

  #names(): string[] {
    try {
      return readdirSync(this.#folder);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw unusable(
        `the tokens in ${this.#folder} cannot be read (${codeOf(error)}); see that it is a folder of this user's`,
        error,
      );
    }
  }

  /** Undefined for what is no token, null for one that was revoked meanwhile. */
  #read(id: string): KnownToken | undefined | null {
    try {
      const content = JSON.parse(readFileSync(join(this.#folder, id), 'utf8'));
      const { tenant, created, note, limits, sha256 } = content;
      const digest = Buffer.from(String(sha256), 'hex');
      const whole = TENANT.test(tenant) && !Number.isNaN(Date.parse(created)) && digest.length === 32;
      if (!whole || (note !== undefined && !NOTE.test(note))) return undefined;
      if (limits !== undefined && !areTenantLimits(limits)) return undefined;
      return { id, tenant, created, ...(note !== undefined && { note }), ...(limits && { limits }), digest };
    } catch (error) {
      return codeOf(error) === 'ENOENT' ? null : undefined;
    }
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function entryOf({ digest: _, limits: __, ...entry }: KnownToken): TokenEntry {
  return entry;
}
