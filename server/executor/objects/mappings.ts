/** The mappings of a device's buffers that were asked for. */
export class Mappings {
  /** Settled when every mapping is that was asked for before `#since`. */
  #before: Promise<unknown> = Promise.resolve();
  /** Those that are not settled, and that nobody has asked about yet. */
  #since = new Set<Promise<unknown>>();

  add(mapping: Promise<unknown>): void {
    const since = this.#since;
    since.add(mapping);
    // A program that always has one under way, and never asks, is not to fill the list.
    const settled = () => since.delete(mapping);
    mapping.then(settled, settled);
  }

  /**
   * Resolves when all that were asked for by now are settled. Later calls resolve no earlier. A mapping is waited
   * for once, however often this is called: a client may have any number of both under way.
   */
  settled(): Promise<unknown> {
    if (this.#since.size > 0) {
      const all = Promise.allSettled([this.#before, ...this.#since]);
      this.#since = new Set();
      // What they resolve to is nobody's matter, and would be kept as long as others follow.
      this.#before = all.then(() => undefined);
    }
    return this.#before;
  }
}
