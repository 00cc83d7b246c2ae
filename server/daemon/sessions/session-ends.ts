import type { Moved } from '../../../proto/session/handshake.js';
import type { SessionEnd } from '../../../proto/session/session-end.js';
import type { KnownClient } from '../../trust/admission.js';

/** How many reasons to keep for clients that come back to an ended session. */
const KEPT_ENDS = 1024;
/** How many moved sessions to keep. Their clients go on, so that short sessions must not take these places. */
const KEPT_MOVED = 16_384;

const UNKNOWN: SessionEnd = {
  code: 'DISCONNECTED',
  message:
    'the host does not know the session: it has ended, the host has restarted, or a proxy in front of several ' +
    'hosts chose another one (docs/operations.md, "Behind a proxy"); start the program again',
};

/** The reason where a client comes back to a session that it has ended. */
export const ENDED: SessionEnd = { code: 'DISCONNECTED', message: 'the session has ended' };

interface Ended {
  readonly end: SessionEnd;
  readonly tenant: string;
  /** Of a session that had come from another host: its client, which has no token of this one. */
  readonly client?: KnownClient | undefined;
  /** Where the session is now, if it has not ended. */
  readonly moved?: Moved;
}

/** Keeps why sessions ended, and which host has those that were moved, for clients that come back. */
export class SessionEnds {
  /** By the session's id; the oldest first. */
  readonly #ended = new Map<string, Ended>();
  /** The sessions that moved to other hosts, in the same way. */
  readonly #moved = new Map<string, Ended>();

  /** Keeps the first reason of a session's end. @returns that reason. */
  note(id: string, how: Ended): SessionEnd {
    const first = this.#get(id);
    if (first) return first.end;
    const [ends, most] = how.moved ? [this.#moved, KEPT_MOVED] : [this.#ended, KEPT_ENDS];
    ends.set(id, how);
    for (const oldest of ends.keys()) {
      if (ends.size <= most) break;
      ends.delete(oldest);
    }
    return how.end;
  }

  /** The reason for a tenant's client, which learns nothing of other tenants' sessions. */
  of(id: string, tenant: string): SessionEnd {
    const known = this.#get(id);
    return known?.tenant === tenant ? known.end : UNKNOWN;
  }

  /** Which other host has a session, for a tenant's client. */
  movedTo(id: string, tenant: string): Moved | undefined {
    const known = this.#get(id);
    return known?.tenant === tenant ? known.moved : undefined;
  }

  /** The client of a session that had come from another host. */
  clientOf(id: string): KnownClient | undefined {
    return this.#get(id)?.client;
  }

  #get(id: string): Ended | undefined {
    return this.#moved.get(id) ?? this.#ended.get(id);
  }
}
