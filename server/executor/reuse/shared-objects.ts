import type { ProfileStep, Recipe } from '../../profiles/profile.js';

/** An object that other objects are made of, or that several handles may stand for. */
interface Part {
  readonly number: number;
  /** How many handles stand for it. The table's own reference counts as one while the object is kept. */
  uses: number;
  /** The keys of the kept objects that are made of it. */
  readonly whole: Set<string>;
  /** The key under which it is kept itself. */
  key?: string;
}

/** The objects that are kept under one key. */
interface SharedEntry {
  /** One object. Of exclusive objects, as many as there were owners. */
  readonly objects: object[];
  readonly parts: readonly object[];
  /** How to make an equal object on another device, where that is possible. */
  readonly recipe: Recipe | undefined;
  /** Each object has one owner at a time, and leaves the table meanwhile. */
  readonly exclusive: boolean;
}

/** The most keys of each table. A key is there for objects that are kept, or that were made once. */
const LIMIT = 8192;

/**
 * The objects that are made of buffers and textures, and go with them: their keys begin so. All others (layouts,
 * samplers, shader modules, pipelines) are made of content alone, and outlive a session.
 */
const OF_RESOURCES = ['GPUBindGroup:', 'GPUTextureView:'] as const;

/**
 * The immutable objects of one device, by their parts. A repeated create gets the existing object: a layout, a sampler, a
 * bind group of the same buffers. Only valid objects are kept, because a create that fails must fail
 * each time. An object is kept only while all its parts are in use, because it keeps them alive.
 */
export class SharedObjects {
  readonly #device: object;
  /** Both have the least recently used key first. */
  readonly #ofResources = new Map<string, SharedEntry | undefined>();
  readonly #ofContent = new Map<string, SharedEntry | undefined>();
  /** Exclusive objects of this session, which the next session may have, by key. */
  #lent = new Map<string, SharedEntry>();
  #lentCount = 0;
  /** Objects that are being made, by key. */
  readonly #expected = new Map<string, Promise<object>[]>();
  readonly #parts = new WeakMap<object, Part>();
  #nextNumber = 0;

  /** `device` is a part of every object, and lives as long as this. */
  constructor(device: object) {
    this.#device = device;
  }

  /** The key of the object that a command makes: its content, and the parts that it is made of. */
  key(content: string, parts: readonly object[]): string {
    let key = content;
    for (const part of parts) key += `,${this.#part(part).number}`;
    return key;
  }

  /** The object under this key, for a new handle. */
  take(key: string): object | undefined {
    const table = this.#table(key);
    const kept = table.get(key);
    if (!kept) return undefined;
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
   * Whether an object under this key is likely to be made again. Most objects that are made of resources are not, so keep
   * them only from the second time on.
   */
  isWorthKeeping(key: string): boolean {
    const table = this.#table(key);
    if (table.has(key)) return true;
    this.#put(key, undefined);
    return table === this.#ofContent;
  }

  /** Keeps a valid object, unless one of its parts is gone by now. */
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

  /** Notes a valid exclusive object. The next session may have it. */
  lend(key: string, object: object, parts: readonly object[], recipe: Recipe | undefined): void {
    if (this.#lentCount >= LIMIT) return;
    this.#lentCount += 1;
    const equal = this.#lent.get(key);
    if (equal) equal.objects.push(object);
    else this.#lent.set(key, { objects: [object], parts, recipe, exclusive: true });
  }

  /** How many objects there are under this key, kept or lent. */
  count(key: string): number {
    return (this.#table(key).get(key)?.objects.length ?? 0) + (this.#lent.get(key)?.objects.length ?? 0);
  }

  /** The object under this key, without a new handle. */
  peek(key: string): object | undefined {
    return this.#table(key).get(key)?.objects[0];
  }

  /** An object is being made under this key. Others may wait for it. */
  expect(key: string, promise: Promise<object>): void {
    const equal = this.#expected.get(key);
    if (equal) equal.push(promise);
    else this.#expected.set(key, [promise]);
    const settled = () => this.#forget(key, promise);
    promise.then(settled, settled);
  }

  /** The object that is being made under this key. An `exclusive` one is given out once. */
  expected(key: string, exclusive: boolean): Promise<object> | undefined {
    const promise = this.#expected.get(key)?.[0];
    if (exclusive && promise) this.#forget(key, promise);
    return promise;
  }

  /** How to make the kept objects again that are made of content. Each comes after its parts. */
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

  /** Gives this object to no further handle: it is about to differ from its equals. */
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

  /** A handle of this object is released. */
  released(object: object): void {
    const part = this.#parts.get(object);
    if (part) this.#unuse(part);
  }

  /** All handles are gone. Objects made of content alone stay, and have no owner. */
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

  #table(key: string): Map<string, SharedEntry | undefined> {
    const [group, view] = OF_RESOURCES;
    return key.startsWith(group) || key.startsWith(view) ? this.#ofResources : this.#ofContent;
  }

  #put(key: string, kept: SharedEntry | undefined): void {
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

  /** An object that is seen for the first time has one handle. */
  #part(object: object): Part {
    let part = this.#parts.get(object);
    if (!part) {
      part = { number: this.#nextNumber++, uses: 1, whole: new Set() };
      this.#parts.set(object, part);
    }
    return part;
  }
}
