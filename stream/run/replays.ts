import type { Sink } from '../sinks/sink.js';

/** After a restart, the records that pass through again of which sinks may have outputs of the process before. */
export class Replays {
  /** By source, the offset behind the last of them that was not admitted yet. */
  readonly #until = new Map<string, number>();
  readonly #firstMarks: ReadonlyMap<string, unknown>;
  #onOver: (() => void) | undefined;

  /** @param firstMarks where each sink stood at the checkpoint from which this process goes on. */
  constructor(firstMarks: ReadonlyMap<string, unknown>) {
    this.#firstMarks = firstMarks;
  }

  /** Records of a source are read from an offset on; its log ends at another one. */
  begin(source: string, from: number, end: number, sinks: Iterable<Sink>): void {
    const until = [...sinks].map(({ hadUntil }) =>
      hadUntil ? Math.min(end, hadUntil.get(source) ?? 0) : end,
    );
    const last = Math.max(0, ...until);
    if (last > from) this.#until.set(source, last);
  }

  get isOver(): boolean {
    return this.#until.size === 0;
  }

  /**
   * The marks that a checkpoint stores, of sinks that stand here now. While records pass through again, outputs of later
   * ones may lie before that: then the marks are those at which this process began.
   */
  marksOf(now: ReadonlyMap<string, unknown>): Map<string, unknown> {
    const isFirst = (id: string) => !this.isOver && this.#firstMarks.has(id);
    return new Map([...now].map(([id, mark]) => [id, isFirst(id) ? this.#firstMarks.get(id) : mark]));
  }

  admitted(source: string, offset: number): void {
    if (offset + 1 >= (this.#until.get(source) ?? Number.POSITIVE_INFINITY)) this.#until.delete(source);
    if (this.isOver) this.#onOver?.();
  }

  /** Resolves when all of them have been admitted, or `stopWaiting` is called. */
  async over(): Promise<void> {
    if (!this.isOver)
      await new Promise<void>((resolve) => {
        this.#onOver = resolve;
      });
    this.#onOver = undefined;
  }

  stopWaiting(): void {
    this.#onOver?.();
  }
}
