/** What one tenant's sessions may have of the GPU's memory together, and how their executors hear of it. */
export interface MemoryLedgerOptions<Session> {
  /** Bytes; read at each decision, since the host's owner may change it. */
  limit(): number;
  /** The session may have so many bytes in all; the tenant's other sessions may have `others`. */
  grant(session: Session, bytes: number, limit: number, others: number): void;
  /** The session is to give back what it does not use; `kept` comes for it. */
  spare(session: Session): void;
}

interface Account {
  /** What it may have, in bytes: it has no more than that. */
  granted: number;
  /** What it asks for, in bytes; undefined where it does not wait. */
  wants: number | undefined;
  /** It was asked to give back what it does not use, and has not answered. */
  asked: boolean;
  /** It has given back what it does not use since somebody last took more than before. */
  spared: boolean;
}

/** A session gets so much more than it asks for, in bytes, where it is there, so that it need not ask each time. */
const AHEAD_BYTES = 64 << 20;

/**
 * Shares out a tenant's GPU memory among its sessions, so that one alone may have all of it. The sum of what is
 * granted never exceeds the limit: a session that needs more waits until the others have given back what they do
 * not use, and is granted what it has where that is not enough.
 *
 * A session that was asked to give back is granted nothing until it has answered: what it keeps is counted by
 * its answer, and a grant that passed that one on its way would be lost to the ledger.
 */
export class MemoryLedger<Session> {
  readonly #options: MemoryLedgerOptions<Session>;
  /** In the order in which they wait. */
  readonly #accounts = new Map<Session, Account>();

  constructor(options: MemoryLedgerOptions<Session>) {
    this.#options = options;
  }

  /** What is granted to all, in bytes. */
  get granted(): number {
    let sum = 0;
    for (const { granted } of this.#accounts.values()) sum += granted;
    return sum;
  }

  /** Whether no session is known. */
  get empty(): boolean {
    return this.#accounts.size === 0;
  }

  /** A session would have so many bytes in all. It is granted some, sooner or later. */
  want(session: Session, bytes: number): void {
    const account = this.#accounts.get(session) ?? {
      granted: 0,
      wants: undefined,
      asked: false,
      spared: false,
    };
    account.wants = bytes;
    this.#accounts.delete(session);
    this.#accounts.set(session, account);
    this.#settle();
  }

  /** A session has given back what it does not use, and keeps so many bytes. */
  kept(session: Session, bytes: number): void {
    const account = this.#accounts.get(session);
    if (!account?.asked) return;
    account.asked = false;
    account.spared = true;
    account.granted = Math.min(bytes, account.granted);
    this.#settle();
  }

  /** A session has nothing any more. */
  gone(session: Session): void {
    if (this.#accounts.delete(session)) this.#settle();
  }

  /** Answers those that can be answered, the longest waiting first. */
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
        // What another does not need may be enough. Those behind wait too: first come, first served.
        return;
      } else {
        this.#answer(session, account, granted);
      }
    }
  }

  /** Has the others give back what they do not use; false where they have, all of them. */
  #reclaim(session: Session): boolean {
    let waiting = false;
    for (const [other, account] of this.#accounts) {
      if (other === session || account.granted === 0) continue;
      waiting ||= account.asked || !account.spared;
      if (account.asked || account.spared) continue;
      account.asked = true;
      this.#options.spare(other);
    }
    return waiting;
  }

  #answer(session: Session, account: Account, bytes: number): void {
    account.wants = undefined;
    account.granted = bytes;
    // The others may have become free to give since they were last asked.
    for (const each of this.#accounts.values()) each.spared = false;
    this.#options.grant(session, bytes, this.#options.limit(), this.granted - bytes);
  }
}
