import type { MemoryState } from '../../proto/session/memory.js';

/** Hears of a session's memory until the session ends. */
export interface MemoryReader {
  told(state: MemoryState): void;
  ended(reason: Error): void;
}

/** The readers of a session's memory. The host reports only while there is one. */
export class MemoryWatch {
  readonly #watch: (on: boolean) => void;
  readonly #readers = new Set<MemoryReader>();
  #latest: MemoryState | undefined;
  #ended: Error | undefined;

  /** `watch` makes the host tell, or stop. */
  constructor(watch: (on: boolean) => void) {
    this.#watch = watch;
  }

  /** Adds a reader. After the end of the session it gets the reason at once. */
  add(reader: MemoryReader): void {
    if (this.#ended) {
      reader.ended(this.#ended);
      return;
    }
    this.#readers.add(reader);
    if (this.#readers.size === 1) this.#watch(true);
    else if (this.#latest) reader.told(this.#latest);
  }

  delete(reader: MemoryReader): void {
    if (!this.#readers.delete(reader) || this.#readers.size > 0) return;
    this.#latest = undefined;
    this.#watch(false);
  }

  told(state: MemoryState): void {
    // The last reader has left while the state was on its way. It would be old for the next reader.
    if (this.#readers.size === 0) return;
    this.#latest = state;
    for (const reader of this.#readers) reader.told(state);
  }

  /** The session has ended. */
  end(reason: Error): void {
    this.#ended = reason;
    for (const reader of this.#readers) reader.ended(reason);
    this.#readers.clear();
  }
}
