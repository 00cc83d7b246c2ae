/** Objects that are looked back at: a step of a framework names some 2,000. A power of two. */
const REMEMBERED = 1 << 14;

/**
 * The objects that a session's commands have named, by their ids, in order. A program that repeats itself with other
 * buffers, out of a pool, names them in the same places: so many mentions before a wait.
 */
export class Mentions {
  readonly #ids = new Float64Array(REMEMBERED);
  #count = 0;

  /** How many there were. */
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

  /** How many mentions before `until` an object was named last; undefined where it was not, or too long ago. */
  find(until: number, id: number): number | undefined {
    const reach = this.#reach(until);
    for (let back = 1; back <= reach; back += 1) {
      if (this.#ids[(until - back) % REMEMBERED] === id) return back;
    }
    return undefined;
  }

  /** How many mentions before `until` are remembered still. */
  #reach(until: number): number {
    return Math.max(0, until - Math.max(0, this.#count - REMEMBERED));
  }
}
