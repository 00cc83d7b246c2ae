import { ProtocolError } from '../../../proto/errors.js';
import { FOREIGN_ID } from '../../../proto/wire/handle.js';
import { LIMITS } from '../../../proto/wire/limits.js';

/**
 * An object that the client has a handle to.
 *
 * States: *reserved* (the command that makes it is not done), *known* (`object` is set).
 * reserved -> known, or gone where there is none to give; known ends by release.
 */
export interface Entry {
  readonly id: number;
  readonly kind: string;
  /** The device that the object belongs to, or itself if it is one; undefined for adapters. */
  readonly device: Entry | undefined;
  object: object | undefined;
}

/** The session's objects by handle. Whatever the client should not name ends the session. */
export class ObjectTable {
  readonly #entries = new Map<number, Entry>();
  readonly #standIn: (kinds: readonly string[]) => object;

  /**
   * `standIn` gives an object in place of another session's, for the command that is being read: an
   * invalid one of the receiver's device.
   */
  constructor(standIn: (kinds: readonly string[]) => object) {
    this.#standIn = standIn;
  }

  /** The receiver of a command. */
  receiver(id: number, kind: string): Entry {
    const entry = this.get(id);
    if (entry.kind !== kind) throw new ProtocolError(`object ${id} is a ${entry.kind}, not a ${kind}`);
    if (!entry.object) throw new ProtocolError(`object ${id} is used before it is there`);
    return entry;
  }

  /** An argument of a command. */
  resolve(id: number, kinds: readonly string[]): object {
    if (id === FOREIGN_ID) return this.#standIn(kinds);
    const entry = this.get(id);
    if (!kinds.includes(entry.kind)) {
      throw new ProtocolError(`object ${id} is a ${entry.kind}, where ${kinds.join(' or ')} is expected`);
    }
    if (!entry.object) throw new ProtocolError(`object ${id} is used before it is there`);
    return entry.object;
  }

  /** Takes a new object in; whoever carries out its command sets the entry's object. */
  reserve(id: number, kind: string, device: Entry | undefined): Entry {
    if (this.#entries.size >= LIMITS.objects)
      throw new ProtocolError(`there are more than ${LIMITS.objects} objects`);
    const entry: Entry = { id, kind, device, object: undefined };
    this.#entries.set(id, entry);
    return entry;
  }

  /** Ends an object's life. */
  release(id: number): Entry {
    const entry = this.get(id);
    this.#entries.delete(id);
    return entry;
  }

  /** The entry of an object, whatever its interface. */
  get(id: number): Entry {
    const entry = this.#entries.get(id);
    if (!entry) throw new ProtocolError(`there is no object ${id}`);
    return entry;
  }

  *all(kind: string): Generator<Entry> {
    for (const entry of this.#entries.values()) if (entry.kind === kind) yield entry;
  }
}
