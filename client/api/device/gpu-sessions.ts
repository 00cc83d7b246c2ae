import type { Welcome } from '../../../proto/session/handshake.js';
import type { Session } from '../../session/session.js';
import { emptyStats, type Stats } from '../../session/stats.js';

/** Makes a session that counts in these statistics. */
export type MakeSession = (stats: Stats) => Session;

/**
 * The sessions of one GPU, one after the other. When a session has ended and the program asks for an adapter
 * again, another session takes its place. Objects stay with their session: they belong to a lost device.
 * After the program has closed the GPU, there is no other session.
 */
export class Sessions {
  readonly #make: MakeSession;
  readonly #onWelcome: (welcome: Welcome) => void;
  /** The counts of all sessions, without the counts of the current link. */
  readonly #stats = emptyStats();
  #current: Session;
  #closed = false;

  /** `onWelcome` is called for each host that accepts a session. */
  constructor(make: MakeSession, onWelcome: (welcome: Welcome) => void) {
    this.#make = make;
    this.#onWelcome = onWelcome;
    this.#current = this.#begin();
  }

  get current(): Session {
    return this.#current;
  }

  /** The session to ask for an adapter: the current one, or a new one if that has ended. */
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
