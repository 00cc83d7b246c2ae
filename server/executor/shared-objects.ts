import type { ProfileStep, Recipe } from './profile.js';

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
  /** How to make the same again on another device, where that can be said. */
  readonly recipe: Recipe | undefined;
  /** It has one owner at a time, who takes it away. */
  readonly exclusive: boolean;
}

/** Keys of each table: of what is kept, and of what was made once. */
const LIMIT = 8192;

/**
 * What is made of buffers and textures, and goes with them. A key begins with the interface. All else
 * (layouts, samplers, shader modules, pipelines) is made of content alone, and outlives a session.
 */
const OF_RESOURCES = ['GPUBindGroup:', 'GPUTextureView:'] as const;

/**
 * Immutable objects of one device by what they are made of, so that a create which repeats gets the object
 * that is there: a layout, a sampler, a bind group of the same buffers. Only an object that is known to be
 * valid is kept, since a create that fails must fail each time; and only while everything that it is made
 * of is in use, since keeping it keeps that alive.
 */
export class SharedObjects {
  readonly #device: object;
  /** Each with the least recently used first. */
  readonly #ofResources = new Map<string, Kept | undefined>();
  readonly #ofContent = new Map<string, Kept | undefined>();
  /** Objects of the session that the next one may have instead, by key. */
  #lent = new Map<string, Kept>();
  /** What is being made under a key. */
  readonly #expected = new Map<string, Promise<object>>();
  readonly #parts = new WeakMap<object, Part>();
  #nextNumber = 0;
  /** Creates that were answered with an object that was there. */
  hits = 0;

  /** `device` is a part of everything, and lives as long as this. */
  constructor(device: object) {
    this.#device = device;
  }

  /** Names what a command makes: its content, and the objects that it is made of. */
  key(content: string, parts: readonly object[]): string {
    let key = content;
    for (const part of parts) key += `,${this.#part(part).number}`;
    return key;
  }

  /** The object that is kept under this key, which the caller gives a handle to. */
  take(key: string): object | undefined {
    const table = this.#table(key);
    const kept = table.get(key);
    if (!kept) return undefined;
    this.hits += 1;
    this.#part(kept.object).uses += 1;
    if (kept.exclusive) {
      this.#drop(key);
      this.lend(key, kept.object, kept.parts, kept.recipe);
    } else {
      table.delete(key);
      table.set(key, kept);
    }
    return kept.object;
  }

  /**
   * Whether what is made under this key may be asked for again: what is made of resources mostly is not, so
   * it is the second time.
   */
  isWorthKeeping(key: string): boolean {
    const table = this.#table(key);
    if (table.has(key)) return true;
    this.#put(key, undefined);
    return table === this.#ofContent;
  }

  /** Keeps an object that is valid, unless something that it is made of went in the meantime. */
  keep(
    key: string,
    object: object,
    parts: readonly object[],
    { recipe, exclusive = false }: { recipe?: Recipe | undefined; exclusive?: boolean } = {},
  ): void {
    if (this.#table(key).get(key) || parts.some((part) => this.#part(part).uses === 0)) return;
    this.#put(key, { object, parts, recipe, exclusive });
    const part = this.#part(object);
    part.uses += 1;
    part.key = key;
    for (const each of parts) this.#part(each).whole.add(key);
  }

  /** Takes note of a valid object that has one owner, and may have another when the session is over. */
  lend(key: string, object: object, parts: readonly object[], recipe: Recipe | undefined): void {
    if (this.#lent.size < LIMIT) this.#lent.set(key, { object, parts, recipe, exclusive: true });
  }

  /** Whether there is an object under this key, kept or with an owner of its own. */
  has(key: string): boolean {
    return this.#table(key).get(key) !== undefined || this.#lent.has(key);
  }

  /** The object that is kept under this key, without a handle. */
  peek(key: string): object | undefined {
    return this.#table(key).get(key)?.object;
  }

  /** What is being made under this key is worth waiting for. */
  expect(key: string, promise: Promise<object>): void {
    this.#expected.set(key, promise);
    const settled = () => void this.#expected.delete(key);
    promise.then(settled, settled);
  }

  /** What is being made under this key; an `exclusive` one is told of once. */
  expected(key: string, exclusive: boolean): Promise<object> | undefined {
    const promise = this.#expected.get(key);
    if (exclusive) this.#expected.delete(key);
    return promise;
  }

  /** How to make again what is kept and made of content, each after what it is made of. */
  profile(): ProfileStep[] {
    const kept = [...this.#ofContent.values(), ...this.#lent.values()].filter(
      (each) => each?.recipe,
    ) as Kept[];
    const numberOf = (object: object) => this.#part(object).number;
    kept.sort((a, b) => numberOf(a.object) - numberOf(b.object));
    const steps: ProfileStep[] = [];
    const at = new Map<object, number>([[this.#device, 0]]);
    for (const { object, parts, recipe } of kept) {
      const indices = parts.map((part) => at.get(part));
      if (!recipe || at.has(object) || !indices.every((index) => index !== undefined)) continue;
      steps.push({ ...recipe, parts: indices });
      at.set(object, steps.length);
    }
    return steps;
  }

  /** No further handle is to stand for this object: it is about to be told from its equals. */
  withdraw(object: object): void {
    const key = this.#parts.get(object)?.key;
    if (key !== undefined) this.#drop(key);
    for (const [lent, kept] of this.#lent) if (kept.object === object) this.#lent.delete(lent);
  }

  /** A handle of this object is gone. */
  released(object: object): void {
    const part = this.#parts.get(object);
    if (part) this.#unuse(part);
  }

  /** All handles are gone: what is made of content alone stays, and has no owner. */
  endSession(): void {
    for (const key of [...this.#ofResources.keys()]) this.#drop(key);
    for (const [key, { object, parts, recipe }] of this.#lent) {
      this.keep(key, object, parts, { recipe, exclusive: true });
    }
    this.#lent = new Map();
    for (let left = -1; left !== this.#ofContent.size; ) {
      left = this.#ofContent.size;
      const alive = new Set([this.#device]);
      for (const kept of this.#ofContent.values()) if (kept) alive.add(kept.object);
      for (const [key, kept] of this.#ofContent) {
        if (!kept?.parts.every((part) => alive.has(part))) this.#ofContent.delete(key);
        else Object.assign(this.#part(kept.object), { uses: 1, key });
      }
    }
  }

  #table(key: string): Map<string, Kept | undefined> {
    const [group, view] = OF_RESOURCES;
    return key.startsWith(group) || key.startsWith(view) ? this.#ofResources : this.#ofContent;
  }

  #put(key: string, kept: Kept | undefined): void {
    const table = this.#table(key);
    table.set(key, kept);
    if (table.size > LIMIT) this.#drop(table.keys().next().value as string);
  }

  #unuse(part: Part): void {
    if (part.uses > 0) part.uses -= 1;
    if (part.uses > 0) return;
    for (const key of [...part.whole]) this.#drop(key);
  }

  #drop(key: string): void {
    const table = this.#table(key);
    const kept = table.get(key);
    table.delete(key);
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
