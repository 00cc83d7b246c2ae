import type { ProfileStep, Recipe } from '../../profiles/profile.js';

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

/** What is kept under a key: what it is made of, and the object. */
interface Kept {
  /** One; but of those that have one owner each, as many as there were owners. */
  readonly objects: object[];
  readonly parts: readonly object[];
  /** How to make the same again on another device, where that can be said. */
  readonly recipe: Recipe | undefined;
  /** Each object has one owner at a time, who takes it away. */
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
  #lentCount = 0;
  /** What is being made under a key. */
  readonly #expected = new Map<string, Promise<object>[]>();
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
    const { objects, parts, recipe, exclusive } = kept;
    if (exclusive) {
      const object = objects.pop() as object;
      // The owner's handle takes the place of the table's own reference.
      delete this.#part(object).key;
      if (objects.length === 0) this.#drop(key);
      this.lend(key, object, parts, recipe);
      return object;
    }
    table.delete(key);
    table.set(key, kept);
    const object = objects[0] as object;
    this.#part(object).uses += 1;
    return object;
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
    const equal = this.#table(key).get(key);
    if ((equal && !exclusive) || parts.some((part) => this.#part(part).uses === 0)) return;
    if (equal) equal.objects.push(object);
    else this.#put(key, { objects: [object], parts, recipe, exclusive });
    const part = this.#part(object);
    part.uses += 1;
    part.key = key;
    for (const each of parts) this.#part(each).whole.add(key);
  }

  /** Takes note of a valid object that has one owner, and may have another when the session is over. */
  lend(key: string, object: object, parts: readonly object[], recipe: Recipe | undefined): void {
    if (this.#lentCount >= LIMIT) return;
    this.#lentCount += 1;
    const equal = this.#lent.get(key);
    if (equal) equal.objects.push(object);
    else this.#lent.set(key, { objects: [object], parts, recipe, exclusive: true });
  }

  /** How many objects there are under this key, kept or with an owner of their own. */
  count(key: string): number {
    return (this.#table(key).get(key)?.objects.length ?? 0) + (this.#lent.get(key)?.objects.length ?? 0);
  }

  /** An object that is kept under this key, without a handle. */
  peek(key: string): object | undefined {
    return this.#table(key).get(key)?.objects[0];
  }

  /** What is being made under this key is worth waiting for. */
  expect(key: string, promise: Promise<object>): void {
    const equal = this.#expected.get(key);
    if (equal) equal.push(promise);
    else this.#expected.set(key, [promise]);
    const settled = () => this.#forget(key, promise);
    promise.then(settled, settled);
  }

  /** What is being made under this key; an `exclusive` one is told of once. */
  expected(key: string, exclusive: boolean): Promise<object> | undefined {
    const promise = this.#expected.get(key)?.[0];
    if (exclusive && promise) this.#forget(key, promise);
    return promise;
  }

  /** How to make again what is kept and made of content, each after what it is made of. */
  profile(): ProfileStep[] {
    const made: { object: object; parts: readonly object[]; recipe: Recipe }[] = [];
    for (const kept of [...this.#ofContent.values(), ...this.#lent.values()]) {
      if (!kept?.recipe) continue;
      const { objects, parts, recipe } = kept;
      for (const object of objects) made.push({ object, parts, recipe });
    }
    const numberOf = (object: object) => this.#part(object).number;
    made.sort((a, b) => numberOf(a.object) - numberOf(b.object));
    const steps: ProfileStep[] = [];
    const at = new Map<object, number>([[this.#device, 0]]);
    for (const { object, parts, recipe } of made) {
      const indices = parts.map((part) => at.get(part));
      if (at.has(object) || !indices.every((index) => index !== undefined)) continue;
      steps.push({ ...recipe, parts: indices });
      at.set(object, steps.length);
    }
    return steps;
  }

  /** No further handle is to stand for this object: it is about to be told from its equals. */
  withdraw(object: object): void {
    const key = this.#parts.get(object)?.key;
    if (key !== undefined) this.#drop(key);
    for (const [lent, { objects }] of this.#lent) {
      const at = objects.indexOf(object);
      if (at < 0) continue;
      objects.splice(at, 1);
      this.#lentCount -= 1;
      if (objects.length === 0) this.#lent.delete(lent);
    }
  }

  /** A handle of this object is gone. */
  released(object: object): void {
    const part = this.#parts.get(object);
    if (part) this.#unuse(part);
  }

  /** All handles are gone: what is made of content alone stays, and has no owner. */
  endSession(): void {
    for (const key of [...this.#ofResources.keys()]) this.#drop(key);
    for (const [key, { objects, parts, recipe }] of this.#lent) {
      for (const object of objects) this.keep(key, object, parts, { recipe, exclusive: true });
    }
    this.#lent = new Map();
    this.#lentCount = 0;
    for (let left = -1; left !== this.#ofContent.size; ) {
      left = this.#ofContent.size;
      const alive = new Set([this.#device]);
      for (const kept of this.#ofContent.values())
        for (const object of kept?.objects ?? []) alive.add(object);
      for (const [key, kept] of this.#ofContent) {
        if (!kept?.parts.every((part) => alive.has(part))) this.#ofContent.delete(key);
        else for (const object of kept.objects) Object.assign(this.#part(object), { uses: 1, key });
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
    for (const object of kept.objects) {
      const part = this.#part(object);
      delete part.key;
      this.#unuse(part);
    }
  }

  #forget(key: string, promise: Promise<object>): void {
    const equal = this.#expected.get(key);
    const at = equal?.indexOf(promise) ?? -1;
    if (at >= 0) equal?.splice(at, 1);
    if (equal?.length === 0) this.#expected.delete(key);
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
