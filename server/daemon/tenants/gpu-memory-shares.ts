import type { MemoryGrant } from '../../../proto/session/shares.js';

/** Bytes of GPU memory, infinite where there is no limit. Asked for at each decision, since they may change. */
export interface GpuLimits {
  /** For the sessions of all tenants. */
  readonly all: number;
  /** For the sessions of one tenant. */
  of(tenant: string): number;
}

/** The limits of a host, and the commands to the executors of its sessions. */
export interface GpuMemorySharesOptions<Session> {
  limits: GpuLimits;
  /** The session may have so many bytes in all. */
  grant(session: Session, grant: MemoryGrant): void;
  /** Asks the session to give back unused memory; its answer goes to `kept`. */
  reclaim(session: Session): void;
}

/** The memory that a session could have, in bytes. */
export interface Outlook {
  /** For all sessions of its tenant; infinite where there is no limit. */
  limit: number;
  /** The tenant's other sessions use or have reserved so many bytes. */
  others: number;
  /** These others were granted so many bytes more. */
  reclaimable: number;
}

interface Account {
  readonly tenant: string;
  /** How many bytes the session may have; infinite where it began without a limit. It never has more. */
  granted: number;
  /** How many bytes it uses or has reserved, as it told last. */
  claimed: number;
  /** How many bytes it asks for; undefined where it does not wait. */
  wants: number | undefined;
  /** Whether it was asked to give back unused memory, and has not answered. */
  asked: boolean;
  /** Whether it has given back unused memory since the last grant to any session. */
  reclaimed: boolean;
}

/** How many bytes more than it asks for a session gets, if they are free, so that it asks less often. */
const AHEAD_BYTES = 64 << 20;

/**
 * Shares out the GPU's memory among tenants, and a tenant's among its sessions, so that one session alone may have all
 * of it. The sum of a tenant's grants never exceeds its limit, and the sum of all grants never exceeds the capacity. A
 * session that needs more waits until others have given back unused memory. If that is not enough, its grant stays as it
 * is.
 *
 * A session that was asked to give back gets no grant until it has answered. The answer says how much it keeps, and a
 * grant that crosses the answer on its way would be lost from the count.
 *
 * A tenant learns nothing of another one's sessions as long as these leave it what its own limit allows.
 */
export class GpuMemoryShares<Session> {
  readonly #options: GpuMemorySharesOptions<Session>;
  /** In the order in which they wait. */
  readonly #accounts = new Map<Session, Account>();

  constructor(options: GpuMemorySharesOptions<Session>) {
    this.#options = options;
  }

  /** The sum of all grants, in bytes. Of a session without a limit it has what that session claims. */
  get granted(): number {
    let sum = 0;
    for (const account of this.#accounts.values()) sum += takenBy(account);
    return sum;
  }

  /** A session begins. It is granted half of what is free, so that most sessions never ask: others may have it back. */
  open(session: Session, tenant: string): MemoryGrant {
    const account: Account = {
      tenant,
      granted: 0,
      claimed: 0,
      wants: undefined,
      asked: false,
      reclaimed: false,
    };
    this.#accounts.set(session, account);
    const left = this.#left(account);
    account.granted = Math.max(0, Math.min(left, Math.max(AHEAD_BYTES, Math.floor(left / 2))));
    return this.#grantOf(account);
  }

  /** A session asks for so many bytes in all. It gets a grant sooner or later, which may be smaller. */
  want(session: Session, bytes: number): void {
    const account = this.#accounts.get(session);
    if (!account) return;
    account.wants = bytes;
    this.#accounts.delete(session);
    this.#accounts.set(session, account);
    this.#settle();
  }

  /** A session has given back unused memory, and keeps so many bytes. */
  kept(session: Session, bytes: number): void {
    const account = this.#accounts.get(session);
    if (!account?.asked) return;
    account.asked = false;
    account.reclaimed = true;
    account.granted = Math.min(bytes, account.granted);
    account.claimed = bytes;
    this.#settle();
  }

  /** The limits may have changed: sessions that began without one are held to it from now on. */
  look(): void {
    for (const [session, account] of this.#accounts) {
      if (account.granted !== Number.POSITIVE_INFINITY || this.#left(account) === Number.POSITIVE_INFINITY)
        continue;
      account.granted = account.claimed;
      this.#options.grant(session, this.#grantOf(account));
    }
  }

  /** A session uses or has reserved so many bytes. Returns whether that is new. */
  claims(session: Session, bytes: number): boolean {
    const account = this.#accounts.get(session);
    if (!account || account.claimed === bytes) return false;
    account.claimed = bytes;
    return true;
  }

  /** A session has no memory any more. */
  gone(session: Session): void {
    if (this.#accounts.delete(session)) this.#settle();
  }

  outlook(session: Session): Outlook | undefined {
    const own = this.#accounts.get(session);
    return own && this.#outlookOf(own);
  }

  #outlookOf(own: Account): Outlook {
    let [limit, others, reclaimable] = [this.#options.limits.all, 0, 0];
    for (const account of this.#accounts.values()) {
      const { tenant, claimed } = account;
      if (tenant !== own.tenant) {
        limit -= claimed;
      } else if (account !== own) {
        others += claimed;
        reclaimable += Math.max(0, takenBy(account) - claimed);
      }
    }
    return { limit: Math.max(0, Math.min(limit, this.#options.limits.of(own.tenant))), others, reclaimable };
  }

  /** Answers the sessions that it can, the longest waiting first. */
  #settle(): void {
    const waiting = new Set<string>();
    for (const [session, account] of this.#accounts) {
      const { tenant, wants, granted } = account;
      // Later sessions of a tenant wait too: first come, first served.
      if (wants === undefined || account.asked || waiting.has(tenant)) continue;
      const left = this.#left(account);
      if (wants <= left) {
        const ahead = Math.max(AHEAD_BYTES, wants / 2);
        this.#answer(session, account, wants, Math.max(granted, Math.min(wants + ahead, left)));
      } else if (this.#reclaim(session, account, wants)) {
        // Unused memory of others may be enough.
        waiting.add(tenant);
      } else {
        this.#answer(session, account, wants, granted);
      }
    }
  }

  /** How many bytes a session may have in all, beside what the others were granted. */
  #left(own: Account): number {
    let [ofTenant, ofAll] = this.#limits(own);
    for (const account of this.#accounts.values()) {
      if (account === own) continue;
      const taken = takenBy(account);
      ofAll -= taken;
      if (account.tenant === own.tenant) ofTenant -= taken;
    }
    return Math.min(ofTenant, ofAll);
  }

  #limits({ tenant }: Account): [ofTenant: number, ofAll: number] {
    const { limits } = this.#options;
    return [limits.of(tenant), limits.all];
  }

  /** Asks other sessions for unused memory. @returns false where those that could help have given it back already. */
  #reclaim(session: Session, own: Account, wants: number): boolean {
    const [ofTenant, ofAll] = this.#limits(own);
    // Nobody can help a session that wants more than there is for it.
    if (wants > Math.min(ofTenant, ofAll)) return false;
    const needsOthers = wants > ofAll - this.granted + takenBy(own);
    let waiting = false;
    for (const [other, account] of this.#accounts) {
      const { tenant, granted } = account;
      if (other === session || granted === 0 || granted === Number.POSITIVE_INFINITY) continue;
      if (tenant !== own.tenant && !needsOthers) continue;
      waiting ||= account.asked || !account.reclaimed;
      if (account.asked || account.reclaimed) continue;
      account.asked = true;
      this.#options.reclaim(other);
    }
    return waiting;
  }

  #answer(session: Session, account: Account, wants: number, bytes: number): void {
    account.wants = undefined;
    account.granted = bytes;
    if (wants <= bytes) account.claimed = Math.max(account.claimed, wants);
    // The others may have unused memory again.
    for (const each of this.#accounts.values()) each.reclaimed = false;
    this.#options.grant(session, this.#grantOf(account));
  }

  #grantOf(account: Account): MemoryGrant {
    const { limit, others } = this.#outlookOf(account);
    return { bytes: account.granted, limit, others };
  }
}

/** Bytes that nobody else can be granted now. */
function takenBy({ granted, claimed }: Account): number {
  return granted === Number.POSITIVE_INFINITY ? claimed : Math.max(granted, claimed);
}
