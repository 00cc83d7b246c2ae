/** What is known of an object that other objects are made of, or that several handles may stand for. */
interface Part {
  readonly number: number;
  /** The handles that stand for it, and the table's own reference while it is kept. */
  uses: number;
  /** The keys of kept objects that are made of it. */
  readonly whole: Set<string>;
  /** The key that it is kept under itself. */
  key?: string;
}

/** What is kept: the object, and what it is made of. */
interface Kept {
  readonly object: object;
  readonly parts: readonly object[];
}

/** Keys that are remembered, of objects that are kept and of those that were made once. */
const LIMIT = 8192;

/**
 * Immutable objects of one session by what they are made of, so that a create which repeats gets the
 * object that is there: a layout, a sampler, a bind group of the same buffers. Only an object that is
 * known to be valid is kept, since a create that fails must fail each time; and only while everything
 * that it is made of is in use, since keeping it keeps that alive.
 */
export class SharedObjects {
  /** The least recently used first. */
  readonly #kept = new Map<string, Kept | undefined>();
  readonly #parts = new WeakMap<object, Part>();
  #nextNumber = 0;
  /** Creates that were answered with an object that was there. */
  hits = 0;

  /** Names what a command makes: its shape, and the objects that it is made of. */
  key(shape: string, parts: readonly object[]): string {
    let key = shape;
    for (const part of parts) key += `,${this.#part(part).number}`;
    return key;
  }

  /** The object that is kept under this key, which the caller gives a handle to. */
  take(key: string): object | undefined {
    const kept = this.#kept.get(key);
    if (!kept) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    this.hits += 1;
    this.#part(kept.object).uses += 1;
    return kept.object;
  }

  /** Whether this key is seen for the first time: most creates never repeat, and are not worth a check. */
  isNew(key: string): boolean {
    if (this.#kept.has(key)) return false;
    this.#kept.set(key, undefined);
    if (this.#kept.size > LIMIT) this.#drop(this.#kept.keys().next().value as string);
    return true;
  }

  /** Keeps an object that is valid, unless something that it is made of went in the meantime. */
  keep(key: string, object: object, parts: readonly object[]): void {
    if (!this.#kept.has(key) || this.#kept.get(key)) return;
    if (parts.some((part) => this.#part(part).uses === 0)) return;
    this.#kept.set(key, { object, parts });
    const kept = this.#part(object);
    kept.uses += 1;
    kept.key = key;
    for (const part of parts) this.#part(part).whole.add(key);
  }

  /** No further handle is to stand for this object: it is about to be told from its equals. */
  withdraw(object: object): void {
    const key = this.#parts.get(object)?.key;
    if (key !== undefined) this.#drop(key);
  }

  /** A handle of this object is gone. */
  released(object: object): void {
    const part = this.#parts.get(object);
    if (part) this.#unuse(part);
  }

  #unuse(part: Part): void {
    part.uses -= 1;
    if (part.uses > 0) return;
    for (const key of [...part.whole]) this.#drop(key);
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    if (!kept) return;
    for (const part of kept.parts) this.#part(part).whole.delete(key);
    const part = this.#part(kept.object);
    delete part.key;
    this.#unuse(part);
  }

  /** An object that is met for the first time has one handle. */
  #part(object: object): Part {
    let part = this.#parts.get(object);
    if (!part) {
      part = { number: this.#nextNumber++, uses: 1, whole: new Set() };
      this.#parts.set(object, part);
    }
    return part;
  }
}
