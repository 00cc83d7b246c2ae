/** A connection, as far as it is used here. */
interface Connection {
  destroy(): void;
  once(event: 'close', listener: () => void): unknown;
}

/**
 * The connections of one session on their way to another process. They stay open here until that process reports that it
 * has them. A busy process reports late, and meanwhile its client may connect again and again. Only its newest attempt
 * waits, so a session has at most two connections here.
 */
export class HandedConnections<C extends Connection> {
  /** In their order, the oldest first. */
  readonly #handed: C[] = [];
  #newest: { connection: C; attempt: number; hand: () => void } | undefined;

  /** Adds a connection that is handed over now. */
  add(connection: C): void {
    this.#handed.push(connection);
  }

  /**
   * Offers a connection. `hand` hands it over and adds it, after the earlier ones were taken, unless a newer attempt comes
   * meanwhile.
   */
  offer(connection: C, attempt: number, hand: () => void): void {
    if (this.#handed.length === 0) {
      hand();
      return;
    }
    if (this.#newest && this.#newest.attempt > attempt) {
      connection.destroy();
      return;
    }
    this.#newest?.connection.destroy();
    const newest = { connection, attempt, hand };
    this.#newest = newest;
    connection.once('close', () => {
      if (this.#newest === newest) this.#newest = undefined;
    });
  }

  /** The process has taken the oldest connection, which is now the caller's. */
  taken(): C | undefined {
    const oldest = this.#handed.shift();
    this.#handNext();
    return oldest;
  }

  #handNext(): void {
    const newest = this.#newest;
    if (!newest || this.#handed.length > 0) return;
    this.#newest = undefined;
    newest.hand();
  }

  /** The process is gone. Closes all connections. */
  close(): void {
    for (const connection of this.#handed.splice(0)) connection.destroy();
    this.#newest?.connection.destroy();
  }
}
