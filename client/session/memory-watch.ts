import type { MemoryState } from '../../proto/session/memory.js';

/** Hears of a session's memory until the session ends. */
export interface MemoryReader {
  told(state: MemoryState): void;
  ended(reason: Error): void;
}

/** The readers of what the host tells of a session's memory. It tells only while there is one. */
export class MemoryWatch {
  readonly #watch: (on: boolean) => void;
  readonly #readers = new Set<MemoryReader>();
  #latest: MemoryState | undefined;

  /** `watch` makes the host tell, or stop. */
  constructor(watch: (on: boolean) => void) {
    this.#watch = watch;
  }

  add(reader: MemoryReader): void {
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
    // One that was on its way when the last reader left would be old for the next one.
    if (this.#readers.size === 0) return;
    this.#latest = state;
    for (const reader of this.#readers) reader.told(state);
  }

  /** The session has ended. */
  end(reason: Error): void {
    for (const reader of this.#readers) reader.ended(reason);
    this.#readers.clear();
  }
}
