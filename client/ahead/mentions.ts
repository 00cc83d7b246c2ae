/** How many mentions are remembered. A step of a framework has some 2,000. A power of two. */
const REMEMBERED = 1 << 14;

/**
 * The ids of the objects that a session's commands have named, in order. A program with a pool repeats itself with other
 * buffers, but it names them in the same places: the same number of mentions before a wait.
 */
export class Mentions {
  readonly #ids = new Float64Array(REMEMBERED);
  #count = 0;

  /** How many mentions there were. */
  get count(): number {
    return this.#count;
  }

  add(ids: readonly number[]): void {
    for (let index = 0; index < ids.length; index += 1) {
      this.#ids[this.#count % REMEMBERED] = ids[index] as number;
      this.#count += 1;
    }
  }

  /** The object that was named `back` mentions before `until`. */
  at(until: number, back: number): number | undefined {
    return back <= this.#reach(until) ? this.#ids[(until - back) % REMEMBERED] : undefined;
  }

  /** How many mentions before `until` an object was last named. Undefined if it was not, or too long ago. */
  find(until: number, id: number): number | undefined {
    const reach = this.#reach(until);
    for (let back = 1; back <= reach; back += 1) {
      if (this.#ids[(until - back) % REMEMBERED] === id) return back;
    }
    return undefined;
  }

  /** How many mentions before `until` are still remembered. */
  #reach(until: number): number {
    return Math.max(0, until - Math.max(0, this.#count - REMEMBERED));
  }
}
