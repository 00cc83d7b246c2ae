/** A set that can be iterated and does not keep its members alive. */
export class IterableWeakSet<T extends object> {
  /** One reference for each member. */
  readonly #refs = new Set<WeakRef<T>>();
  /**
   * The reference of every object that was ever a member. An object that leaves and comes back keeps its
   * reference.
   */
  readonly #byMember = new WeakMap<T, WeakRef<T>>();
  readonly #registry = new FinalizationRegistry<WeakRef<T>>((ref) => this.#refs.delete(ref));

  add(member: T): void {
    let ref = this.#byMember.get(member);
    if (!ref) {
      ref = new WeakRef(member);
      this.#byMember.set(member, ref);
      this.#registry.register(member, ref);
    }
    this.#refs.add(ref);
  }

  delete(member: T): void {
    const ref = this.#byMember.get(member);
    if (ref) this.#refs.delete(ref);
  }

  /** The members that are alive now. */
  members(): T[] {
    return [...this.#refs].flatMap((ref) => ref.deref() ?? []);
  }
}
