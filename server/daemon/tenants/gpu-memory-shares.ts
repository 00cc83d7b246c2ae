/** One tenant's limit, and the commands to the executors of its sessions. */
export interface GpuMemorySharesOptions<Session> {
  /** Bytes for all sessions; called at each decision, since the owner may change it. */
  limit(): number;
  /** The session may have so many bytes in all; the tenant's other sessions may have `others`. */
  grant(session: Session, bytes: number, limit: number, others: number): void;
  /** Asks the session to give back unused memory; its answer goes to `kept`. */
  reclaim(session: Session): void;
}

interface Account {
  /** How many bytes the session may have. It never has more. */
  granted: number;
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
 * Shares out a tenant's GPU memory among its sessions, so that one session alone may have all of it. The sum of all
 * grants never exceeds the limit. A session that needs more waits until the others have given back unused memory. If
 * that is not enough, its grant stays as it is.
 *
 * A session that was asked to give back gets no grant until it has answered. The answer says how much it keeps, and a
 * grant that crosses the answer on its way would be lost from the count.
 */
export class GpuMemoryShares<Session> {
  readonly #options: GpuMemorySharesOptions<Session>;
  /** In the order in which they wait. */
  readonly #accounts = new Map<Session, Account>();

  constructor(options: GpuMemorySharesOptions<Session>) {
    this.#options = options;
  }

  /** The sum of all grants, in bytes. */
  get granted(): number {
    let sum = 0;
    for (const { granted } of this.#accounts.values()) sum += granted;
    return sum;
  }

  /** Whether no session has an account. */
  get empty(): boolean {
    return this.#accounts.size === 0;
  }

  /** A session asks for so many bytes in all. It gets a grant sooner or later, which may be smaller. */
  want(session: Session, bytes: number): void {
    const account = this.#accounts.get(session) ?? {
      granted: 0,
      wants: undefined,
      asked: false,
      reclaimed: false,
    };
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
    this.#settle();
  }

  /** A session has no memory any more. */
  gone(session: Session): void {
    if (this.#accounts.delete(session)) this.#settle();
  }

  /** Answers the sessions that it can, the longest waiting first. */
  #settle(): void {
    const limit = this.#options.limit();
    for (const [session, account] of this.#accounts) {
      const { wants, granted } = account;
      if (wants === undefined || account.asked) continue;
      const left = limit - this.granted + granted;
      if (wants <= left) {
        const ahead = Math.max(AHEAD_BYTES, wants / 2);
        this.#answer(session, account, Math.max(granted, Math.min(wants + ahead, left)));
      } else if (this.#reclaim(session)) {
        // Unused memory of others may be enough. Later sessions wait too: first come, first served.
        return;
      } else {
        this.#answer(session, account, granted);
      }
    }
  }

  /** Asks the other sessions for unused memory. @returns false where all of them have given it back already. */
  #reclaim(session: Session): boolean {
    let waiting = false;
    for (const [other, account] of this.#accounts) {
      if (other === session || account.granted === 0) continue;
      waiting ||= account.asked || !account.reclaimed;
      if (account.asked || account.reclaimed) continue;
      account.asked = true;
      this.#options.reclaim(other);
    }
    return waiting;
  }

  #answer(session: Session, account: Account, bytes: number): void {
    account.wants = undefined;
    account.granted = bytes;
    // The others may have unused memory again.
    for (const each of this.#accounts.values()) each.reclaimed = false;
    this.#options.grant(session, bytes, this.#options.limit(), this.granted - bytes);
  }
}
