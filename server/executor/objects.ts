import { ProtocolError } from '../../proto/errors.js';
import { ROOT_ID } from '../../proto/wire/handle.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { HandleResolver } from '../../proto/wire/reader.js';

/**
 * An object that the client has a handle to.
 *
 * States: *reserved* (an awaited command will bring the object, or fail), *known* (`object` is set),
 * *invalid* (the implementation refused to make it; whatever uses it fails as an invalid object does).
 * reserved -> known or gone; known and invalid end by release.
 */
export interface Entry {
  readonly id: number;
  readonly generation: number;
  readonly kind: string;
  /** The device that the object belongs to, or itself if it is one; undefined for adapters. */
  readonly device: Entry | undefined;
  object: object | undefined;
  reserved: boolean;
}

/** Stands for an object that a command may name but that does not exist here: invalid, or another session's. */
export const INVALID: unique symbol = Symbol('invalid object');

/** The session's objects by handle. Whatever the client should not name ends the session. */
export class ObjectTable implements HandleResolver<object | typeof INVALID> {
  readonly #entries = new Map<number, Entry>();
  /** Whether a handle read since the last `takeInvalid` stood for an invalid object. */
  #sawInvalid = false;

  /** The receiver of a command. */
  receiver(id: number, generation: number, kind: string): Entry {
    const entry = this.#find(id, generation);
    if (entry.kind !== kind) throw new ProtocolError(`object ${id} is a ${entry.kind}, not a ${kind}`);
    return entry;
  }

  /** An argument of a command. */
  resolve(id: number, generation: number, kinds: readonly string[]): object | typeof INVALID {
    // Handle.FOREIGN: the object belongs to another session.
    if (id === ROOT_ID && generation === 1) return this.#invalid();
    const entry = this.#find(id, generation);
    if (!kinds.includes(entry.kind)) {
      throw new ProtocolError(`object ${id} is a ${entry.kind}, where ${kinds.join(' or ')} is expected`);
    }
    return entry.object ?? this.#invalid();
  }

  /** True where an argument of the command just read was invalid. */
  takeInvalid(): boolean {
    const saw = this.#sawInvalid;
    this.#sawInvalid = false;
    return saw;
  }

  /** Takes a new handle in; its object is set by `settle`. */
  reserve(id: number, generation: number, kind: string, device: Entry | undefined): Entry {
    if (id >= LIMITS.objects)
      throw new ProtocolError(`object id ${id} is over the limit of ${LIMITS.objects}`);
    if (id === ROOT_ID || this.#entries.has(id)) throw new ProtocolError(`object id ${id} is in use`);
    const entry: Entry = { id, generation, kind, device, object: undefined, reserved: true };
    this.#entries.set(id, entry);
    return entry;
  }

  /** The object that a reserved handle now names; undefined makes it invalid. */
  settle(entry: Entry, object: object | undefined): void {
    entry.object = object;
    entry.reserved = false;
  }

  /** Ends a handle's life. */
  release(id: number, generation: number): Entry {
    const entry = this.#find(id, generation);
    this.#entries.delete(id);
    return entry;
  }

  get(id: number, generation: number): Entry {
    return this.#find(id, generation);
  }

  *all(kind: string): Generator<Entry> {
    for (const entry of this.#entries.values()) if (entry.kind === kind) yield entry;
  }

  #find(id: number, generation: number): Entry {
    const entry = this.#entries.get(id);
    if (!entry || entry.generation !== generation) {
      throw new ProtocolError(`there is no object ${id}, generation ${generation}`);
    }
    return entry;
  }

  #invalid(): typeof INVALID {
    this.#sawInvalid = true;
    return INVALID;
  }
}
