import { objectName } from '../../../link/machine/hashing.js';
import { ProtocolError } from '../../../proto/errors.js';
import { COMMANDS } from '../../../proto/gen/operations.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import { decodeString, Reader } from '../../../proto/wire/reader.js';
import type { Recipe } from '../../profiles/profile.js';
import type { Handler } from '../handlers/context.js';
import { HANDLERS } from '../handlers/index.js';
import { type Sharing, sharingOf } from '../reuse/create-shared.js';

/** Where an object goes in a command's arguments. */
interface ObjectSlot {
  readonly at: Place;
  /** The interfaces that it may have. */
  readonly kinds: readonly string[];
}

/** Where a payload goes. */
interface PayloadSlot {
  readonly at: Place;
  readonly text: boolean;
}

type Method = (...args: unknown[]) => unknown;

/** A property of an object or array within the arguments. */
interface Place {
  holder: Record<string | number, unknown>;
  key: string | number;
}

/**
 * A command that was decoded once and is carried out any number of times: arguments with a slot for each
 * operand and payload. Between uses the slots are empty, so that nothing is kept alive by having been
 * used.
 */
export class DecodedCommand {
  readonly operation: AnyOperation;
  readonly args: unknown[];
  /** What carries it out; absent where the implementation's method of its name does. */
  readonly handler: Handler | undefined;
  #method: Method | undefined;
  /** How what it makes may be had again. */
  readonly sharing: Sharing;
  readonly #shape: Uint8Array;
  #content: string | undefined;
  /** The payloads in the slots. */
  #filled: readonly Uint8Array[] = [];
  readonly #objects: ObjectSlot[] = [];
  readonly #payloads: PayloadSlot[] = [];

  /** Throws ProtocolError where `shape` is no command. `mayShare` is false where each create is to make its own. */
  constructor(shape: Uint8Array, mayShare: boolean) {
    const operation = COMMANDS[shape[0] ?? -1];
    if (!operation) throw new ProtocolError(`there is no command ${shape[0]}`);
    this.operation = operation;
    this.handler = HANDLERS[operation.interface]?.[operation.member];
    this.#shape = shape;
    const found: (ObjectMarker | PayloadMarker)[] = [];
    const mark = <T extends ObjectMarker | PayloadMarker>(marker: T): T => {
      found.push(marker);
      return marker;
    };
    const reader = new Reader<object>(shape, {
      object: (kinds) => mark(new ObjectMarker(kinds)),
      bytes: () => mark(new PayloadMarker(false)) as unknown as Uint8Array,
      string: () => mark(new PayloadMarker(true)) as unknown as string,
    });
    reader.u8();
    this.args = operation.read(reader);
    if (!reader.done) throw new ProtocolError(`${operation.interface}.${operation.member} is too long`);
    place(this.args as never);
    for (const marker of found) {
      const { at } = marker;
      if (marker instanceof ObjectMarker) this.#objects.push({ at, kinds: marker.kinds });
      else this.#payloads.push({ at, text: marker.text });
    }
    this.clear();
    trim(this.args as never);
    this.sharing = mayShare ? sharingOf(this) : undefined;
    // An absent argument at the end is left out, as a program would; so is an empty descriptor, or no offsets.
    while (this.args.length > this.#used && isAbsent(this.args[this.args.length - 1], operation))
      this.args.pop();
  }

  /**
   * The implementation's method of its name, which is the same for all objects of the interface: looked up once,
   * since a name that is not known before takes a slow way. Throws where the implementation has none.
   */
  method(receiver: object): Method {
    if (this.#method) return this.#method;
    const { interface: name, member } = this.operation;
    const method = (receiver as Record<string, Method | undefined>)[member];
    if (!method) throw new Error(`${name}.${member} is not in this host's WebGPU implementation.`);
    this.#method = method;
    return method;
  }

  /** Fills the slots: `resolve` gives the object of each operand after the first, which is the receiver. */
  fill(
    operands: readonly number[],
    payloads: readonly Uint8Array[],
    resolve: (id: number, kinds: readonly string[]) => object,
  ): void {
    const objects = this.#objects;
    if (operands.length !== objects.length + 1 || payloads.length !== this.#payloads.length) {
      throw new ProtocolError(
        `${this.operation.interface}.${this.operation.member} with ${operands.length} operands and ${payloads.length} payloads`,
      );
    }
    for (let index = 0; index < objects.length; index += 1) {
      const { at, kinds } = objects[index] as ObjectSlot;
      at.holder[at.key] = resolve(operands[index + 1] as number, kinds);
    }
    this.#filled = payloads;
    for (let index = 0; index < this.#payloads.length; index += 1) {
      const { at, text } = this.#payloads[index] as PayloadSlot;
      const bytes = payloads[index] as Uint8Array;
      at.holder[at.key] = text ? decodeString(bytes) : bytes;
    }
  }

  /** Fills the slots with these objects. */
  fillWith(objects: readonly object[], payloads: readonly Uint8Array[]): void {
    let next = 0;
    const operands = [0, ...objects.map((_, index) => index)];
    this.fill(operands, payloads, () => objects[next++] as object);
  }

  /** The name of what it makes, of content alone. */
  get name(): string {
    return objectName(this.operation.creates ?? '', this.#shape.subarray(1), this.#filled, []);
  }

  /** What carries out the same again, on the objects of that time. While the slots are filled. */
  get again(): Recipe {
    return { shape: this.#shape.slice(), payloads: this.#filled.map((payload) => payload.slice()) };
  }

  /** How to make the same again, where content and such objects are all that it takes. While the slots are filled. */
  get recipe(): Recipe | undefined {
    const { interface: name, creates } = this.operation;
    return name === 'GPUDevice' && creates !== 'GPUBindGroup' ? this.again : undefined;
  }

  /**
   * What the command makes, but for the objects that it is made of: the interface, and the arguments as a
   * string. While the slots are filled.
   */
  get content(): string {
    this.#content ??= `${this.operation.creates}:${latin1(this.#shape.subarray(1))}`;
    if (this.#payloads.length === 0) return this.#content;
    return `${this.#content}:${JSON.stringify(this.#payloads.map(({ at }) => at.holder[at.key]))}`;
  }

  /** The objects in the slots. */
  get objects(): object[] {
    return this.#objects.map(({ at }) => at.holder[at.key] as object);
  }

  /** Empties the slots. */
  clear(): void {
    this.#filled = [];
    for (const { at } of this.#objects) at.holder[at.key] = undefined;
    for (const { at } of this.#payloads) at.holder[at.key] = undefined;
  }

  /** Arguments up to the last one that is a slot itself. */
  get #used(): number {
    let used = 0;
    for (const { at } of [...this.#objects, ...this.#payloads]) {
      if ((at.holder as unknown) === this.args) used = Math.max(used, (at.key as number) + 1);
    }
    return used;
  }
}

/** Stands in the arguments for what a slot will hold, until its place is known. */
abstract class Marker {
  at: Place = { holder: [] as never, key: 0 };
}

class ObjectMarker extends Marker {
  readonly kinds: readonly string[];

  constructor(kinds: readonly string[]) {
    super();
    this.kinds = kinds;
  }
}

class PayloadMarker extends Marker {
  readonly text: boolean;

  constructor(text: boolean) {
    super();
    this.text = text;
  }
}

/** Takes empty labels out: each member costs the implementation a conversion, and that one says nothing. */
function trim(holder: Record<string | number, unknown>): void {
  if (holder.label === '') delete holder.label;
  for (const value of Object.values(holder)) {
    if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) trim(value as never);
  }
}

function isAbsent(argument: unknown, { member }: AnyOperation): boolean {
  if (Array.isArray(argument)) return argument.length === 0 && member === 'setBindGroup';
  return (
    argument === undefined || (typeof argument === 'object' && Object.keys(argument ?? [0]).length === 0)
  );
}

/** Tells each marker within a value where it lies. */
function place(holder: Record<string | number, unknown>): void {
  for (const key of Object.keys(holder)) {
    const value = holder[key];
    if (value instanceof Marker) value.at = { holder, key: Array.isArray(holder) ? Number(key) : key };
    else if (typeof value === 'object' && value !== null) place(value as never);
  }
}

function latin1({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
}
