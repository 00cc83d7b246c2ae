import type { SessionEnd } from '../../../proto/handshake.js';

/** Reasons that are kept for clients that come back to a session that has ended. */
const KEPT_ENDS = 1024;

const UNKNOWN: SessionEnd = {
  code: 'DISCONNECTED',
  message:
    'the host does not know the session: it has ended, the host was started again, or a proxy in front of several ' +
    'hosts chose another one (docs/operations.md, "Behind a proxy"); start the program again',
};

/** Why sessions ended, for their clients to hear when they come back. */
export class SessionEnds {
  /** By the session's id; the oldest first. */
  readonly #ends = new Map<string, { end: SessionEnd; tenant: string }>();

  /** Keeps the first reason for which a session ended, and gives that. */
  note(id: string, tenant: string, end: SessionEnd): SessionEnd {
    const first = this.#ends.get(id);
    if (first) return first.end;
    this.#ends.set(id, { end, tenant });
    for (const oldest of this.#ends.keys()) {
      if (this.#ends.size <= KEPT_ENDS) break;
      this.#ends.delete(oldest);
    }
    return end;
  }

  /** What a tenant's client is told of a session that there is not: of another tenant's nothing. */
  of(id: string, tenant: string): SessionEnd {
    const known = this.#ends.get(id);
    return known?.tenant === tenant ? known.end : UNKNOWN;
  }
}
