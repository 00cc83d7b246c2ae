import { objectName } from '../../../link/machine/hashing.js';
import { ProtocolError } from '../../../proto/errors.js';
import { COMMANDS } from '../../../proto/gen/operations.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import { decodeString, Reader } from '../../../proto/wire/reader.js';
import type { Recipe } from '../../profiles/profile.js';

/** Where an object goes in a command's arguments. */
interface ObjectSlot {
  readonly at: SlotPlace;
  /** The interfaces that the object may have. */
  readonly kinds: readonly string[];
}

/** Where a payload goes. */
interface PayloadSlot {
  readonly at: SlotPlace;
  readonly text: boolean;
}

type Method = (...args: unknown[]) => unknown;

/** A property of an object or array within the arguments. */
interface SlotPlace {
  holder: Record<string | number, unknown>;
  key: string | number;
}

/** The interfaces whose objects never change, so that one object can stand behind several handles. */
const IMMUTABLE: ReadonlySet<string | undefined> = new Set([
  'GPUBindGroup',
  'GPUBindGroupLayout',
  'GPUComputePipeline',
  'GPUPipelineLayout',
  'GPURenderPipeline',
  'GPUSampler',
  'GPUShaderModule',
  'GPUTextureView',
]);

/** The interfaces whose objects compile while they are made. */
const COMPILED: ReadonlySet<string | undefined> = new Set([
  'GPUShaderModule',
  'GPUComputePipeline',
  'GPURenderPipeline',
]);

/**
 * How an object that a command makes can be used again. `shared`: any number of handles may stand for it at once.
 * `exclusive`: one session after another may have it. That is a pipeline with `layout: 'auto'`, because its layouts
 * fit no other pipeline. Undefined: each command makes its own object.
 */
export type Sharing = 'shared' | 'exclusive' | undefined;

/**
 * A command that is decoded once and carried out any number of times: arguments, with a slot for each operand and
 * payload. Between uses the slots are empty, so that a command keeps no object alive.
 *
 * It knows the table of operations alone. Which handler carries it out is the business of `handlers/`.
 */
export class DecodedCommand {
  readonly operation: AnyOperation;
  readonly args: unknown[];
  readonly sharing: Sharing;
  readonly mayShare: boolean;
  /** Whether it makes an object that compiles. */
  readonly compiles: boolean;
  #method: Method | undefined;
  /** The bytes that it was decoded from. */
  readonly shape: Uint8Array;
  #content: string | undefined;
  /** The payloads in the slots. */
  #filled: readonly Uint8Array[] = [];
  readonly #objects: ObjectSlot[] = [];
  readonly #payloads: PayloadSlot[] = [];

  /** Throws ProtocolError where `shape` is no command. `mayShare` is false where each use makes its own object. */
  constructor(shape: Uint8Array, mayShare: boolean) {
    const operation = COMMANDS[shape[0] ?? -1];
    if (!operation) throw new ProtocolError(`there is no command ${shape[0]}`);
    this.operation = operation;
    this.compiles = COMPILED.has(operation.creates);
    this.shape = shape;
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
    if (!reader.done)
      throw new ProtocolError(`${operation.interface}.${operation.member} has bytes after its end`);
    locate(this.args as never);
    for (const marker of found) {
      const { at } = marker;
      if (marker instanceof ObjectMarker) this.#objects.push({ at, kinds: marker.kinds });
      else this.#payloads.push({ at, text: marker.text });
    }
    this.clear();
    dropEmptyLabels(this.args as never);
    this.mayShare = mayShare;
    this.sharing = mayShare ? sharingOf(operation, this.args) : undefined;
    // A program leaves out an absent last argument, an empty descriptor and an empty list of offsets. So do we.
    while (this.args.length > this.#used && isAbsent(this.args[this.args.length - 1], operation))
      this.args.pop();
  }

  /**
   * The implementation's method of the command's name. All objects of an interface have the same one, so it is looked
   * up once: the first look-up of a name is slow. Throws where the implementation has no such method.
   */
  method(receiver: object): Method {
    if (this.#method) return this.#method;
    const { interface: name, member } = this.operation;
    const method = (receiver as Record<string, Method | undefined>)[member];
    if (!method) throw new Error(`${name}.${member} is not in this host's WebGPU implementation.`);
    this.#method = method;
    return method;
  }

  /** Fills the slots. The first operand is the receiver; `resolve` gives the object of each other operand. */
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

  /** The name of the object that it makes, where that is made of content alone. */
  get name(): string {
    return objectName(this.operation.creates ?? '', this.shape.subarray(1), this.#filled, []);
  }

  /** How to carry out this command again, on the objects of that time. Call it while the slots are filled. */
  get again(): Recipe {
    return { shape: this.shape.slice(), payloads: this.#filled.map((payload) => payload.slice()) };
  }

  /** `again`, where the command makes its object from content, and from other objects that are made so. */
  get recipe(): Recipe | undefined {
    const { interface: name, creates } = this.operation;
    return name === 'GPUDevice' && creates !== 'GPUBindGroup' ? this.again : undefined;
  }

  /**
   * Describes the object that it makes, without the objects in the slots: the interface, and the arguments as a
   * string. Call it while the slots are filled.
   */
  get content(): string {
    this.#content ??= `${this.operation.creates}:${latin1(this.shape.subarray(1))}`;
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

  /** How many arguments there are up to the last one that is a slot itself. */
  get #used(): number {
    let used = 0;
    for (const { at } of [...this.#objects, ...this.#payloads]) {
      if ((at.holder as unknown) === this.args) used = Math.max(used, (at.key as number) + 1);
    }
    return used;
  }
}

/** Lies in the arguments in place of a slot's value, until the slot's place is known. */
abstract class Marker {
  at: SlotPlace = { holder: [] as never, key: 0 };
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

function sharingOf({ creates }: AnyOperation, [descriptor]: readonly unknown[]): Sharing {
  if (!IMMUTABLE.has(creates)) return undefined;
  return (descriptor as { layout?: unknown } | undefined)?.layout === 'auto' ? 'exclusive' : 'shared';
}

/** An empty label says nothing, and the implementation takes time to convert it. */
function dropEmptyLabels(holder: Record<string | number, unknown>): void {
  if (holder.label === '') delete holder.label;
  for (const value of Object.values(holder)) {
    if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
      dropEmptyLabels(value as never);
    }
  }
}

function isAbsent(argument: unknown, { member }: AnyOperation): boolean {
  if (Array.isArray(argument)) return argument.length === 0 && member === 'setBindGroup';
  return (
    argument === undefined || (typeof argument === 'object' && Object.keys(argument ?? [0]).length === 0)
  );
}

/** Tells each marker within a value its place. */
function locate(holder: Record<string | number, unknown>): void {
  for (const key of Object.keys(holder)) {
    const value = holder[key];
    if (value instanceof Marker) value.at = { holder, key: Array.isArray(holder) ? Number(key) : key };
    else if (typeof value === 'object' && value !== null) locate(value as never);
  }
}

function latin1({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
}
