import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clearInterval, setInterval, wallClock } from '../../link/machine/clock.js';
import { codeOf, FarlightError, invariant } from '../../proto/errors.js';
import { TOKEN_BYTES, TOKEN_PREFIX } from '../../proto/token.js';
import { checkPrivate, deleteFile, hostFolder, unusable, writeFirst } from './private-folder.js';
import {
  type LimitChange,
  type LimitChanges,
  limitsAfter,
  parseLimits,
  statedLimits,
  type TenantLimits,
} from './tenant-limits.js';

/** The host's record of a token. It does not hold the token itself. */
export interface TokenEntry {
  /** Ten hexadecimal digits; not a secret. */
  readonly id: string;
  /** The tenant that the token names: tenants share nothing that the host keeps. */
  readonly tenant: string;
  /** ISO 8601. */
  readonly created: string;
  readonly note?: string;
  /** The tenant's own limits, whichever of its tokens they came with; absent where it has none. */
  readonly limits?: TenantLimits;
}

export interface NewToken {
  tenant?: string | undefined;
  note?: string | undefined;
  /** New limits for the tenant. */
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
/** The name of a file of limits: an id, and the tenant, which must be known even where the file is damaged. */
const LIMITS = /^limits-[0-9a-f]{10}-([A-Za-z0-9][A-Za-z0-9._@-]{0,63})$/;
/** No control characters: a terminal shows the notes. */
const NOTE = /^\P{Cc}{1,200}$/u;
const POLL_MS = 1000;

/**
 * The tokens of a host: a folder with one file for each token, named by its id. A token's file is written once, never
 * changed, and deleted to revoke the token. So processes that add and revoke at once need no lock. A host learns of
 * changes from the file names alone, and lists them whenever somebody uses a token. Each change of a tenant's limits is
 * a file too, also written once. It stays when tokens go: a tenant's next token has the limits of the last.
 *
 * A token has 256 random bits, and the file holds its SHA-256. A slow hash protects passwords, which people choose and
 * others can guess. Nobody guesses one of 2^256 tokens, and a fast hash makes each try cheap for the host.
 */
export class TokenStore {
  readonly #folder: string;
  readonly #known = new Map<string, KnownToken>();
  /** By file name; undefined where the file is damaged. */
  readonly #changes = new Map<string, LimitChange | undefined>();
  readonly #listeners = new Set<(id: string) => void>();

  /** @throws FarlightError TRUST_UNUSABLE where the folder exists and other users may read it. */
  constructor(folder: string = join(hostFolder(), 'tokens')) {
    this.#folder = folder;
    checkPrivate(folder);
  }

  /**
   * Makes a token. Only this call ever returns it.
   *
   * @throws FarlightError BAD_OPTION for an invalid tenant or note; TRUST_UNUSABLE.
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
    invariant(!stated || parseLimits(stated), 'limits are numbers above 0');
    const created = new Date(now).toISOString();
    const facts = { tenant, created, ...(note !== undefined && { note }) };
    // The limits first, so that nobody uses the token without them.
    if (stated) this.#writeNew((id) => `limits-${id}-${tenant}`, { tenant, created, limits: stated });
    const id = this.#writeNew((id) => id, { ...facts, sha256: digestOf(token).toString('hex') });
    return { token, entry: { id, ...facts, ...(stated && { limits: this.limitsOf(tenant) }) } };
  }

  /**
   * Admits a token that somebody else has made: this host knows only its hash.
   *
   * @param sha256 of the token, in hexadecimal digits.
   * @throws FarlightError BAD_OPTION where it is no hash; TRUST_UNUSABLE.
   */
  addHash(sha256: string, now: number = wallClock()): void {
    if (!/^[0-9a-f]{64}$/.test(sha256))
      throw new FarlightError('BAD_OPTION', 'the SHA-256 of a token has 64 hexadecimal digits');
    this.#writeNew((id) => id, { tenant: DEFAULT_TENANT, created: new Date(now).toISOString(), sha256 });
  }

  /** Writes a file under a new id. @returns the id. */
  #writeNew(nameOf: (id: string) => string, content: object): string {
    const text = `${JSON.stringify(content)}\n`;
    let id: string;
    do id = randomBytes(5).toString('hex');
    while (!writeFirst(this.#folder, nameOf(id), text));
    return id;
  }

  /**
   * The tenants, each as often as it has tokens. They include a tenant whose limits are damaged, though `verify` refuses
   * that one.
   *
   * @throws FarlightError TRUST_UNUSABLE where the folder, or a token in it, cannot be read.
   */
  tenants(): string[] {
    const unread = this.#look();
    if (unread !== undefined && !LIMITS.test(unread)) throw this.#damaged(unread);
    return [...this.#known.values()].map(({ tenant }) => tenant);
  }

  /** All tokens, the oldest first. @throws FarlightError TRUST_UNUSABLE where the folder or a file in it cannot be read. */
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
   * A tenant's limits, as of the last look at the folder. Limits given with revoked tokens count too: the newest change
   * that names a limit decides it.
   */
  limitsOf(tenant: string): TenantLimits {
    const changes: LimitChange[] = [];
    for (const change of this.#changes.values()) if (change && change.tenant === tenant) changes.push(change);
    for (const { tenant: whose, created, limits } of this.#known.values()) {
      if (limits && whose === tenant) changes.push({ tenant, created, limits });
    }
    return limitsAfter(changes);
  }

  /** Revokes a token. @returns false where there is no such token. @throws FarlightError TRUST_UNUSABLE */
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
   * Finds a token in the folder as it is now; undefined where it is not there. Compares each known token in full, so
   * that the time tells neither how much of a guess was right nor which tokens exist.
   *
   * @throws FarlightError TRUST_UNUSABLE where the folder or the tenant's limits cannot be read. Admit nobody then.
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
    // Admit no tenant whose limits are unknown.
    for (const [name, change] of this.#changes) {
      if (!change && LIMITS.exec(name)?.[1] === found.tenant) throw this.#damaged(name);
    }
    return entryOf(found);
  }

  /** Calls back with the id of each token that turns out to be revoked. @returns a function that stops it. */
  onRevoked(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the folder now. @throws FarlightError TRUST_UNUSABLE */
  refresh(): void {
    this.#look();
  }

  /**
   * Reads the folder at intervals, so that the sessions of a revoked token end even while nobody uses a token. Does not
   * keep the process alive.
   *
   * @param intervalMs milliseconds.
   * @returns a function that stops it.
   */
  watch(intervalMs: number = POLL_MS): () => void {
    const timer = setInterval(() => {
      try {
        this.#look();
      } catch {
        // Open sessions survive an unreadable folder; `verify` refuses new ones meanwhile.
      }
    }, intervalMs).unref();
    return () => clearInterval(timer);
  }

  #damaged(name: string): FarlightError {
    const [, tenant] = LIMITS.exec(name) ?? [];
    const path = join(this.#folder, name);
    return unusable(
      tenant === undefined
        ? `${path} is not a token file that farlight wrote; delete it and add a new token`
        : `${path} should hold the limits of the tenant ${tenant}, and is damaged; delete it, and set the limits again with: farlight token add --tenant ${tenant}`,
    );
  }

  /** Reads what is new in the folder. @returns the name of a damaged file, if there is one. */
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
    // Last, when this store is consistent: a listener may call it.
    for (const id of gone) for (const listener of [...this.#listeners]) listener(id);
    return unread;
  }

  /** @returns the name of a damaged file of limits, if there is one. */
  #lookAtLimits(names: readonly string[]): string | undefined {
    for (const name of this.#changes.keys()) if (!names.includes(name)) this.#changes.delete(name);
    for (const name of names) if (!this.#changes.get(name)) this.#changes.set(name, this.#readLimits(name));
    return names.find((name) => !this.#changes.get(name));
  }

  #readLimits(name: string): LimitChange | undefined {
    const [, tenant = ''] = LIMITS.exec(name) ?? [];
    try {
      const { created, limits: json } = JSON.parse(readFileSync(join(this.#folder, name), 'utf8'));
      const limits = parseLimits(json);
      if (!Number.isNaN(Date.parse(created)) && limits) return { tenant, created, limits };
    } catch {
      // The file is damaged. Its name still says which tenant's it is.
    }
    return undefined;
  }

  #names(): string[] {
    try {
      return readdirSync(this.#folder);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw unusable(
        `the tokens in ${this.#folder} cannot be read (${codeOf(error)}); check that the folder belongs to this user`,
        error,
      );
    }
  }

  /** Undefined for a damaged file, null for a token that was revoked meanwhile. */
  #read(id: string): KnownToken | undefined | null {
    try {
      const content = JSON.parse(readFileSync(join(this.#folder, id), 'utf8'));
      const { tenant, created, note, sha256 } = content;
      const limits = content.limits === undefined ? undefined : parseLimits(content.limits);
      const digest = Buffer.from(String(sha256), 'hex');
      const whole = TENANT.test(tenant) && !Number.isNaN(Date.parse(created)) && digest.length === 32;
      if (!whole || (note !== undefined && !NOTE.test(note))) return undefined;
      if (content.limits !== undefined && !limits) return undefined;
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
