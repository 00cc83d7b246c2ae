import type { Welcome } from '../../../proto/handshake.js';
import { emptyStats, type Stats } from '../../session/ledger.js';
import type { Session } from '../../session/session.js';

/** Makes a session that counts in this ledger. */
export type MakeSession = (stats: Stats) => Session;

/**
 * The sessions of one GPU, one after the other. A session that has ended is replaced when an adapter is asked for
 * again; its objects stay with it, and are those of a lost device. A GPU that its program has closed gets no other.
 */
export class Sessions {
  readonly #make: MakeSession;
  readonly #onWelcome: (welcome: Welcome) => void;
  /** What all of them have counted, without what the link of the current one has. */
  readonly #stats = emptyStats();
  #current: Session;
  #closed = false;

  /** `onWelcome` is told of each host that accepts one of them. */
  constructor(make: MakeSession, onWelcome: (welcome: Welcome) => void) {
    this.#make = make;
    this.#onWelcome = onWelcome;
    this.#current = this.#begin();
  }

  get current(): Session {
    return this.#current;
  }

  /** The session to ask for an adapter: the current one, or a new one where that has ended. */
  forRequest(): Session {
    if (this.#current.ended && !this.#closed) {
      Object.assign(this.#stats, this.#current.countedStats());
      this.#current = this.#begin();
    }
    return this.#current;
  }

  close(): void {
    this.#closed = true;
    this.#current.close();
  }

  #begin(): Session {
    const session = this.#make(this.#stats);
    session.onWelcome = this.#onWelcome;
    return session;
  }
}
