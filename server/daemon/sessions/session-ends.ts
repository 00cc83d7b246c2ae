import type { Moved } from '../../../proto/session/handshake.js';
import type { SessionEnd } from '../../../proto/session/session-end.js';

/** How many reasons to keep for clients that come back to an ended session. */
const KEPT_ENDS = 1024;

const UNKNOWN: SessionEnd = {
  code: 'DISCONNECTED',
  message:
    'the host does not know the session: it has ended, the host has restarted, or a proxy in front of several ' +
    'hosts chose another one (docs/operations.md, "Behind a proxy"); start the program again',
};

/** The reason where a client comes back to a session that it has ended. */
export const ENDED: SessionEnd = { code: 'DISCONNECTED', message: 'the session has ended' };

/** Keeps why sessions ended, and which host has those that were moved, for clients that come back. */
export class SessionEnds {
  /** By the session's id; the oldest first. */
  readonly #ends = new Map<string, { end: SessionEnd; tenant: string; moved?: Moved }>();

  /** Keeps the first reason of a session's end. @returns that reason. */
  note(id: string, tenant: string, end: SessionEnd): SessionEnd {
    const first = this.#ends.get(id);
    if (first) return first.end;
    this.#keep(id, { end, tenant });
    return end;
  }

  /** Another host has the session. */
  noteMoved(id: string, tenant: string, moved: Moved): void {
    this.#keep(id, { end: ENDED, tenant, moved });
  }

  /** The reason for a tenant's client, which learns nothing of other tenants' sessions. */
  of(id: string, tenant: string): SessionEnd {
    const known = this.#ends.get(id);
    return known?.tenant === tenant ? known.end : UNKNOWN;
  }

  /** Which other host has a session, for a tenant's client. */
  movedTo(id: string, tenant: string): Moved | undefined {
    const known = this.#ends.get(id);
    return known?.tenant === tenant ? known.moved : undefined;
  }

  #keep(id: string, how: { end: SessionEnd; tenant: string; moved?: Moved }): void {
    this.#ends.set(id, how);
    for (const oldest of this.#ends.keys()) {
      if (this.#ends.size <= KEPT_ENDS) break;
      this.#ends.delete(oldest);
    }
  }
}
