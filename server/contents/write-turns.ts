/** Says when what waits to be written is written: one content after the other, the oldest first. */
export interface WriteTurns {
  /** Milliseconds of any steady clock. */
  now(): number;
  /** Resolves when the content may be written that has waited since then. Asked when the one before is written. */
  next(since: number): Promise<void>;
  /** All that waits takes so many bytes of memory now. */
  takes(bytes: number): void;
  /** Until then nothing waits for its turn. */
  hurry(until: Promise<unknown>): void;
}
