/**
 * How commands cross the wire.
 *
 * A command is split into its shape, its operands and its payloads (see CommandWriter). Both peers keep sent commands
 * as *templates*. Each template has a link to the next one. Both peers expect that the same command follows again. If it
 * does, the client only counts the commands that came as expected. A flush is a run of items. An item begins with a
 * varint, which holds its kind and a value.
 *
 * - `follow` n: n commands follow, each the template after the one before, with the expected operands.
 * - `correct` n: one such command, with n corrected operands and the payloads that its template does not keep.
 * - `jump` id: this template comes next, and from now on both peers expect it here.
 * - `define` successor: a whole command, which becomes a template. From now on both peers expect it here.
 * - `once`: a whole command. No template is kept of it.
 * - `release` n: n runs of objects that the client will not name again.
 * - `forget`: both peers drop all templates.
 * - `content` length: the bytes of a content that the host asked for. The host takes them at once, before the commands
 *   that wait for them.
 */
export const ITEM = {
  follow: 0,
  correct: 1,
  jump: 2,
  define: 3,
  once: 4,
  release: 5,
  forget: 6,
  content: 7,
} as const;

/** An item's varint is its value times this, plus its kind. */
export const ITEM_KINDS = 8;

/** The form of a payload: a varint holds its length and this mode, and then the listed parts follow. */
export const PAYLOAD = {
  /** Its bytes. */
  bytes: 0,
  /** Its bytes, which the template keeps. */
  kept: 1,
  /** The name of its content, and its bytes. The host keeps them under that name. */
  stored: 2,
  /** The name of its content alone. A host without that content asks for it. */
  named: 3,
} as const;

/** A payload's varint is its length times this, plus its mode. */
export const PAYLOAD_MODES = 4;

/** The template that both peers expect after a new one, where the new one came instead of an expected one. */
export const SUCCESSOR = {
  /** No template. */
  none: 0,
  /** The template after the expected one: the new template replaces the expected one. */
  same: 1,
  /** The expected template: the new one stands before it. */
  expected: 2,
} as const;

/** A link of both peers' chain of templates. */
export interface Linked<T> {
  /** The template that followed this one the last time. */
  next: T | undefined;
}

/** The successor of a new template that is defined where `expected` was expected. */
export function successorOf<T extends Linked<T>>(rule: number, expected: T | undefined): T | undefined {
  if (rule === SUCCESSOR.same) return expected?.next;
  return rule === SUCCESSOR.expected ? expected : undefined;
}

/** The operands that a template expects, as plain values. */
export interface ExpectationsState {
  readonly ids: readonly number[];
  readonly ages: readonly number[];
  readonly byAge: readonly boolean[];
}

/** At first a template expects an object younger than this, counted in creations, by its age. */
const YOUNG = 64;

/**
 * The operands that a template expects at its next use. Some operands are new objects, such as an encoder or a bind
 * group: they have the same age each time. Other operands live on, such as a pipeline or a buffer: they are the same
 * object each time.
 *
 * A program with a pool of buffers names another buffer in place of the expected one. It then does so in all places
 * that named the expected one: `renames` maps each such object to its last replacement. Both peers observe the same
 * operands in the same order, so they expect the same.
 */
export class Expectations {
  readonly #ids: number[];
  #ages: number[];
  #byAge: boolean[];

  /** `nextId` is the id that the next new object gets. */
  constructor(ids: readonly number[], nextId: number) {
    this.#ids = [...ids];
    this.#ages = ids.map((id) => nextId - id);
    this.#byAge = this.#ages.map((age) => age <= YOUNG);
  }

  get count(): number {
    return this.#ids.length;
  }

  /** The state to continue from in another process, with `restored`. */
  get state(): ExpectationsState {
    return { ids: [...this.#ids], ages: [...this.#ages], byAge: [...this.#byAge] };
  }

  static restored({ ids, ages, byAge }: ExpectationsState): Expectations {
    const expectations = new Expectations(ids, 0);
    expectations.#ages = [...ages];
    expectations.#byAge = [...byAge];
    return expectations;
  }

  at(index: number, nextId: number, renames: ReadonlyMap<number, number>): number {
    if (this.#byAge[index]) return nextId - (this.#ages[index] as number);
    const id = this.#ids[index] as number;
    return renames.get(id) ?? id;
  }

  /** Learns the operand that was used. */
  observe(index: number, id: number, nextId: number, renames: Map<number, number>): void {
    const before = this.#ids[index] as number;
    const age = nextId - id;
    if (this.#byAge[index]) {
      if (age === this.#ages[index]) {
        this.#ids[index] = id;
        return;
      }
      this.#byAge[index] = false;
    } else if (age === this.#ages[index] && (renames.get(before) ?? before) !== id) {
      this.#byAge[index] = true;
    }
    if (!this.#byAge[index]) {
      if (id === before) renames.delete(before);
      else renames.set(before, id);
    }
    this.#ids[index] = id;
    this.#ages[index] = age;
  }
}
