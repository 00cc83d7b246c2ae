/** A set that does not keep its members alive, and can be walked. */
export class IterableWeakSet<T extends object> {
  /** The members' references. */
  readonly #refs = new Set<WeakRef<T>>();
  /** Of all that was ever a member: what comes and goes keeps the one that was made for it. */
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

  /** The members at this moment. */
  members(): T[] {
    return [...this.#refs].flatMap((ref) => ref.deref() ?? []);
  }
}
