import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { clearInterval, setInterval, wallClock } from '../../link/clock.js';
import { FarlightError } from '../../proto/errors.js';
import { TOKEN_BYTES, TOKEN_PREFIX } from '../../proto/token.js';
import { checkPrivate, codeOf, deleteFile, hostFolder, unusable, writeFirst } from './private-folder.js';
import { areTenantLimits, statedLimits, type TenantLimits } from './tenant-limits.js';

/** What a host knows of a token. The token itself is not kept anywhere. */
export interface TokenEntry {
  /** Ten hexadecimal digits; no secret. */
  readonly id: string;
  /** Whose it is: tenants share nothing that the host keeps. */
  readonly tenant: string;
  /** ISO 8601. */
  readonly created: string;
  readonly note?: string;
  /** What its tenant may have, where that is other than what all may. */
  readonly limits?: TenantLimits;
}

export interface NewToken {
  tenant?: string | undefined;
  note?: string | undefined;
  limits?: TenantLimits | undefined;
  /** Milliseconds since 1970. Default: now. */
  now?: number;
}

interface KnownToken extends TokenEntry {
  readonly digest: Buffer;
}

export const DEFAULT_TENANT = 'default';

const ID = /^[0-9a-f]{10}$/;
const TENANT = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
/** No control characters: the list goes to a terminal. */
const NOTE = /^\P{Cc}{1,200}$/u;
const POLL_MS = 1000;

/**
 * The tokens of a host: a folder with a file for each, named by its id. A token's file is written once, never
 * changed, and deleted to revoke it. So processes that add and revoke at once need no lock, and a host sees what
 * happened by the names alone, which it looks at whenever a token is used.
 *
 * A token is 256 random bits, and what is kept is its SHA-256. A slow hash defends what people choose, which can
 * be guessed; of 2^256 tokens none can be, and a fast one costs the host nothing when somebody tries.
 */
export class TokenStore {
  readonly #folder: string;
  readonly #known = new Map<string, KnownToken>();
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
    const created = new Date(now).toISOString();
    const facts = { tenant, created, ...(note !== undefined && { note }), ...(stated && { limits: stated }) };
    const text = `${JSON.stringify({ ...facts, sha256: digestOf(token).toString('hex') })}\n`;
    let id: string;
    do id = randomBytes(5).toString('hex');
    while (!writeFirst(this.#folder, id, text));
    return { token, entry: { id, ...facts } };
  }

  /** The oldest first. @throws FarlightError TRUST_UNUSABLE where the folder or a file in it cannot be read. */
  list(): TokenEntry[] {
    const unread = this.#look();
    if (unread !== undefined) {
      throw unusable(
        `${join(this.#folder, unread)} is not a token that farlight wrote; delete that file and add a new one`,
      );
    }
    return [...this.#known.values()]
      .map(({ digest: _, ...entry }) => entry)
      .sort((a, b) => (a.created + a.id < b.created + b.id ? -1 : 1));
  }

  /**
   * What a tenant may have: of its tokens, as far as the host knows them, the newest that names a limit decides on it.
   */
  limitsOf(tenant: string): TenantLimits {
    const own = [...this.#known.values()].filter((each) => each.tenant === tenant);
    own.sort((a, b) => (a.created + a.id < b.created + b.id ? -1 : 1));
    return Object.assign({}, ...own.map(({ limits }) => limits));
  }

  /** @returns false where there is no such token. @throws FarlightError TRUST_UNUSABLE */
  revoke(id: string): boolean {
    const revoked = ID.test(id) && deleteFile(this.#folder, id);
    if (revoked) this.refresh();
    return revoked;
  }

  /**
   * Whose token this is, as the folder is now; undefined where it is nobody's. Every token is compared in full,
   * so that the time tells neither how much of it was right nor which there are.
   *
   * @throws FarlightError TRUST_UNUSABLE where the folder cannot be read: then nobody is let in.
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
    const { digest: _, ...entry } = found;
    return entry;
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

  /** Brings what is known up to date. @returns a file that has a token's name and is none. */
  #look(): string | undefined {
    let unread: string | undefined;
    const ids = new Set(this.#ids());
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

  #ids(): string[] {
    try {
      return readdirSync(this.#folder).filter((name) => ID.test(name));
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
