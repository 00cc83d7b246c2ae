import { ProtocolError } from '../../../proto/errors.js';
import { FOREIGN_ID, ROOT_ID } from '../../../proto/wire/handle.js';
import { LIMITS } from '../../../proto/wire/limits.js';

/**
 * An object that the client has a handle of.
 *
 * States: *reserved* (its command is not done) -> *known* (`object` is set), or *gone* where the command makes none;
 * known -> gone by release.
 */
export interface Entry {
  readonly id: number;
  readonly kind: string;
  /** The device that the object belongs to. Undefined for adapters and devices. */
  readonly device: Entry | undefined;
  object: object | undefined;
  /** Makes the object when a command names it. Undefined for most objects, which their command makes. */
  late?: (() => object) | undefined;
  /** How it was made, where the session may be parked (`live/`). */
  made?: object | undefined;
}

/** The receiver of the session's own commands. */
export const ROOT: Entry = { id: ROOT_ID, kind: 'GPU', device: undefined, object: {} };

/** The device of an object, or the device itself. Undefined for adapters and the root. */
export function deviceOf(entry: Entry): Entry | undefined {
  return entry.kind === 'GPUDevice' ? entry : entry.device;
}

/** The object of an entry. @throws ProtocolError where there is none yet. */
export function objectIn(entry: Entry): object {
  entry.object ??= entry.late?.();
  if (!entry.object) throw new ProtocolError(`object ${entry.id} is used before it was made`);
  return entry.object;
}

/** The session's objects by handle. Throws ProtocolError for a handle that the client must not name. */
export class ObjectTable {
  readonly #entries = new Map<number, Entry>();
  readonly #invalidObject: (kinds: readonly string[]) => object;

  /** `invalidObject` gives an invalid object in place of another session's, for the current command. */
  constructor(invalidObject: (kinds: readonly string[]) => object) {
    this.#invalidObject = invalidObject;
  }

  /** The receiver of a command. */
  receiver(id: number, kind: string): Entry {
    const entry = this.get(id);
    if (entry.kind !== kind) throw new ProtocolError(`object ${id} is a ${entry.kind}, not a ${kind}`);
    objectIn(entry);
    return entry;
  }

  /** An argument of a command. */
  resolve(id: number, kinds: readonly string[]): object {
    if (id === FOREIGN_ID) return this.#invalidObject(kinds);
    return objectIn(this.argument(id, kinds));
  }

  /** The entry of an argument that is no object of another session. */
  argument(id: number, kinds: readonly string[]): Entry {
    const entry = this.get(id);
    if (kinds.includes(entry.kind)) return entry;
    throw new ProtocolError(`object ${id} is a ${entry.kind}, where ${kinds.join(' or ')} is expected`);
  }

  /** Adds an entry for a new object. Its command sets the entry's object. */
  reserve(id: number, kind: string, device: Entry | undefined): Entry {
    if (this.#entries.size >= LIMITS.objects)
      throw new ProtocolError(`there are more than ${LIMITS.objects} objects`);
    const entry: Entry = { id, kind, device, object: undefined, late: undefined, made: undefined };
    this.#entries.set(id, entry);
    return entry;
  }

  /** Takes an object out. */
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

  /** The entries of all objects. */
  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  *all(kind: string): Generator<Entry> {
    for (const entry of this.#entries.values()) if (entry.kind === kind) yield entry;
  }
}
