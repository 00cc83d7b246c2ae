/**
 * How commands cross the wire.
 *
 * A command is split into its shape, its operands and its payloads (see CommandWriter). Both peers keep
 * the commands that were sent as *templates*, each with a link to the one that came after it, and expect
 * that what followed once follows again: the stream then says no more than how many commands went as
 * expected. A batch is a run of items; an item begins with a varint that holds its kind and a value.
 *
 * - `follow` n: n commands follow, each the template after the one before, with the operands expected.
 * - `correct` n: one such command, with n operands corrected and the payloads that it does not keep.
 * - `jump` id: the template that comes next is this one, and will be expected here from now on.
 * - `define` successor: a command in full, which becomes a template, and what is expected here.
 * - `once`: a command in full, of which nothing is kept.
 * - `release` n: n runs of objects that the client will not name again.
 * - `forget`: all templates are given up.
 * - `content` length: the bytes of a name that the host asked for. They take effect where they are read,
 *   ahead of the commands that wait for them.
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

/** How a payload comes: a varint holds its length and this, then comes what is said here. */
export const PAYLOAD = {
  /** Its bytes. */
  bytes: 0,
  /** Its bytes, which the template keeps. */
  kept: 1,
  /** Its content's name, and its bytes: the host is to keep them under that name. */
  stored: 2,
  /** Its content's name alone. A host that has no such content asks for it. */
  named: 3,
} as const;

/** A payload's varint is its length times this, plus its mode. */
export const PAYLOAD_MODES = 4;

/** What is expected to follow a template that is defined where another was expected. */
export const SUCCESSOR = {
  /** Nothing is known. */
  none: 0,
  /** What follows the template that was expected: the new one came in its place. */
  same: 1,
  /** The template that was expected: the new one came before it. */
  expected: 2,
} as const;

/** A link of both peers' chain of templates. */
export interface Linked<T> {
  /** What followed it last. */
  next: T | undefined;
}

/** The successor of a new template that is defined where `expected` was expected. */
export function successorOf<T extends Linked<T>>(rule: number, expected: T | undefined): T | undefined {
  if (rule === SUCCESSOR.same) return expected?.next;
  return rule === SUCCESSOR.expected ? expected : undefined;
}

/** An object younger than this, in creations, is expected to be named by its age at first. */
const YOUNG = 64;

/**
 * The operands that a template is expected to have at its next use. An operand is either one of the
 * objects that were just made (an encoder, a bind group), which has the same age each time; or one that
 * lives on (a pipeline, a buffer), which is the same each time. Where a program takes buffers from a pool,
 * another buffer comes in a buffer's place, and then does so wherever that one was named: `renames` holds
 * what came in whose place last. Both peers observe the same operands in the same order, so they expect
 * the same.
 */
export class Expectations {
  readonly #ids: number[];
  readonly #ages: number[];
  readonly #byAge: boolean[];

  /** `nextId` is the id of the next object to be made. */
  constructor(ids: readonly number[], nextId: number) {
    this.#ids = [...ids];
    this.#ages = ids.map((id) => nextId - id);
    this.#byAge = this.#ages.map((age) => age <= YOUNG);
  }

  get count(): number {
    return this.#ids.length;
  }

  at(index: number, nextId: number, renames: ReadonlyMap<number, number>): number {
    if (this.#byAge[index]) return nextId - (this.#ages[index] as number);
    const id = this.#ids[index] as number;
    return renames.get(id) ?? id;
  }

  /** Learns which operand came. */
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
