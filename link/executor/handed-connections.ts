/** What of a connection is needed here. */
interface Connection {
  destroy(): void;
  once(event: 'close', listener: () => void): unknown;
}

/**
 * The connections of one session that are on their way to another process. They stay open here too until that process
 * says that it has them. One that is busy says so late, and its client comes again meanwhile: only its newest attempt
 * waits then, so that a session has two connections here at most, however often its client comes.
 */
export class HandedConnections<C extends Connection, About> {
  readonly #hand: (connection: C, about: About) => void;
  /** The oldest first. */
  readonly #handed: C[] = [];
  #newest: { connection: C; attempt: number; about: About } | undefined;

  /** `hand` is given what was offered when its turn comes, and adds it. */
  constructor(hand: (connection: C, about: About) => void) {
    this.#hand = hand;
  }

  /** A connection is handed over now. */
  add(connection: C): void {
    this.#handed.push(connection);
  }

  /** A connection is to be handed over when those before it were taken, unless a newer attempt comes meanwhile. */
  offer(connection: C, attempt: number, about: About): void {
    if (this.#handed.length === 0) {
      this.#hand(connection, about);
      return;
    }
    if (this.#newest && this.#newest.attempt > attempt) {
      connection.destroy();
      return;
    }
    this.#newest?.connection.destroy();
    const newest = { connection, attempt, about };
    this.#newest = newest;
    connection.once('close', () => {
      if (this.#newest === newest) this.#newest = undefined;
    });
  }

  /** The process has the oldest. */
  taken(): void {
    this.#handed.shift()?.destroy();
    const newest = this.#newest;
    if (!newest || this.#handed.length > 0) return;
    this.#newest = undefined;
    this.#hand(newest.connection, newest.about);
  }

  /** The process is gone. */
  close(): void {
    for (const connection of this.#handed.splice(0)) connection.destroy();
    this.#newest?.connection.destroy();
  }
}
