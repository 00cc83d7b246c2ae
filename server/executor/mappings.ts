/** The mappings of a device's buffers that were asked for. */
export class Mappings {
  /** Settled when every mapping is that was asked for before `#since`. */
  #before: Promise<unknown> = Promise.resolve();
  /** Those that nobody has asked about yet. */
  #since: Promise<unknown>[] = [];
  /** How many are not settled. */
  #pending = 0;

  add(mapping: Promise<unknown>): void {
    this.#since.push(mapping);
    this.#pending += 1;
    const settled = () => {
      this.#pending -= 1;
      // A program that maps and never asks is not to fill the list.
      if (this.#pending === 0) this.#since = [];
    };
    mapping.then(settled, settled);
  }

  /**
   * Resolves when all that were asked for by now are settled. Later calls resolve no earlier. A mapping is waited
   * for once, however often this is called: a client may have any number of both under way.
   */
  settled(): Promise<unknown> {
    if (this.#since.length > 0) {
      const all = Promise.allSettled([this.#before, ...this.#since]);
      this.#since = [];
      // What they resolve to is nobody's matter, and would be kept as long as others follow.
      this.#before = all.then(() => undefined);
    }
    return this.#before;
  }
}
