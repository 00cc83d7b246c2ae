/** A set that does not keep its members alive, and can be walked. */
export class IterableWeakSet<T extends object> {
  readonly #refs = new Set<WeakRef<T>>();
  readonly #byMember = new WeakMap<T, WeakRef<T>>();
  readonly #registry = new FinalizationRegistry<WeakRef<T>>((ref) => this.#refs.delete(ref));

  add(member: T): void {
    if (this.#byMember.has(member)) return;
    const ref = new WeakRef(member);
    this.#byMember.set(member, ref);
    this.#refs.add(ref);
    this.#registry.register(member, ref, ref);
  }

  delete(member: T): void {
    const ref = this.#byMember.get(member);
    if (!ref) return;
    this.#byMember.delete(member);
    this.#refs.delete(ref);
    this.#registry.unregister(ref);
  }

  /** The members at this moment. */
  members(): T[] {
    return [...this.#refs].flatMap((ref) => ref.deref() ?? []);
  }
}
