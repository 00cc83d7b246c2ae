import type { AnyOperation } from '../../../proto/wire/operation.js';

/** A command, as this file needs it. */
export interface LoggedCommand {
  readonly operation: AnyOperation;
  readonly shape: Uint8Array;
}

/** A command with everything to carry it out again. */
export interface Step<C> {
  readonly command: C;
  readonly operands: readonly number[];
  readonly payloads: readonly Uint8Array[];
}

/** How a live object was made. One is kept for each object of a program, so that it is small. */
export class Made<C> implements Step<C> {
  readonly id: number;
  readonly command: C;
  readonly operands: readonly number[];
  readonly payloads: readonly Uint8Array[];
  /** Whether the client has a handle of it. Otherwise a live object is made of it. */
  isNamed = true;
  /** The object, once the client has released its handle. Before that, the object table has it. */
  object: object | undefined = undefined;
  /** Whether the implementation found it valid; undefined where nobody knows. */
  isValid: boolean | undefined = undefined;
  /** The commands that were recorded into it, if it is the encoder of a render bundle, until it was finished. */
  recorded: readonly Step<C>[] = NOTHING;
  isFinished = false;
  /** The program has destroyed it. */
  isDestroyed = false;
  /** Of an adapter: it has given its one device. */
  isSpent = false;
  /** The label that was set since. */
  label: string | undefined = undefined;
  /** How many live objects are made of it. */
  uses = 0;

  /** The lists may change afterwards. */
  constructor(id: number, command: C, operands: readonly number[], payloads: readonly Uint8Array[]) {
    this.id = id;
    this.command = command;
    this.operands = operands.slice();
    this.payloads = copies(payloads);
  }
}

/** An entry without the objects of its process. */
export type Kept<C> = Omit<Made<C>, 'object' | 'uses'>;

/** For the lists of most objects. */
const NOTHING: readonly never[] = [];

/** Objects of these interfaces record commands, and are of no use once they are finished, ended or submitted. */
const SPENT: ReadonlySet<string | undefined> = new Set([
  'GPUCommandEncoder',
  'GPUComputePassEncoder',
  'GPURenderPassEncoder',
  'GPUCommandBuffer',
]);

/** The part that a command plays here. */
type Part = 'create' | 'begin' | 'end' | 'finish' | 'submit' | 'record' | 'destroy' | 'none';

/** About the memory that an entry takes beside its payloads, in bytes. */
const ENTRY_BYTES = 200;

/**
 * How each live object of a session was made, so that another executor can make it again. It costs an entry for each
 * object that is there now. An entry goes with the client's handle and with the last object that is made of it. Command
 * encoders, passes and command buffers have none: only those that are not used up yet are counted.
 */
export class LiveObjects<C extends LoggedCommand> {
  readonly #mostBytes: number;
  /** In the order of their numbers, in which each object comes after its parts. */
  readonly #made = new Map<number, Made<C>>();
  /** Encoders and passes that are open, and command buffers that are not submitted, with their interfaces. */
  readonly #open = new Map<number, string>();
  /** Query sets that a pass was given. Their results cannot be written into another query set. */
  readonly #written = new Set<number>();
  /** By opcode. */
  readonly #parts: (Part | undefined)[] = [];
  #bytes = 0;
  #isOver = false;

  /** @param mostBytes the most bytes that all entries may take. With more nothing is noted any more. */
  constructor(mostBytes: number = Number.POSITIVE_INFINITY) {
    this.#mostBytes = mostBytes;
  }

  /** About the memory that the entries take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether there were too many bytes. Then it does not know all objects. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The interfaces of the encoders, passes and command buffers that are not used up. */
  get open(): ReadonlySet<string> {
    return new Set(this.#open.values());
  }

  /** The query sets that a pass was given. */
  get written(): ReadonlySet<number> {
    return this.#written;
  }

  get(id: number): Made<C> | undefined {
    return this.#made.get(id);
  }

  /** All entries, each after its parts. */
  entries(): Made<C>[] {
    return [...this.#made.values()].sort((a, b) => a.id - b.id);
  }

  /**
   * A command is carried out. `made` is the number of the object that it creates. The lists may change afterwards.
   *
   * @returns the entry of the new object, if there is one.
   */
  note(
    command: C,
    operands: readonly number[],
    payloads: readonly Uint8Array[],
    made: number,
  ): Made<C> | undefined {
    const { opcode } = command.operation;
    let part = this.#parts[opcode];
    if (part === undefined) {
      part = partOf(command.operation);
      this.#parts[opcode] = part;
    }
    if (part === 'none' || this.#isOver) return undefined;
    if (part === 'create') return this.#add(command, operands, payloads, made);
    const self = operands[0] as number;
    if (part === 'record') {
      this.#record(self, { command, operands: operands.slice(), payloads: copies(payloads) });
    } else if (part === 'begin') {
      this.#open.set(made, command.operation.creates as string);
      for (let at = 1; at < operands.length; at += 1) {
        const id = operands[at] as number;
        if (this.#made.get(id)?.command.operation.creates === 'GPUQuerySet') this.#written.add(id);
      }
    } else if (part === 'finish') {
      this.#open.delete(self);
      this.#open.set(made, 'GPUCommandBuffer');
    } else if (part === 'end') {
      this.#open.delete(self);
    } else if (part === 'destroy') {
      const destroyed = this.#made.get(self);
      if (destroyed) destroyed.isDestroyed = true;
    } else {
      for (let at = 1; at < operands.length; at += 1) this.#open.delete(operands[at] as number);
    }
    return undefined;
  }

  /** An awaited create has made its object. */
  came(id: number): void {
    const made = this.#made.get(id);
    if (!made) return;
    made.isValid = true;
    const adapter =
      made.command.operation.creates === 'GPUDevice' && this.#made.get(made.operands[0] as number);
    if (adapter) adapter.isSpent = true;
  }

  /** An awaited create has failed, and the object will not come. */
  failed(id: number): void {
    this.release(id, undefined);
  }

  /** The implementation has found the object valid, or not. */
  judged(id: number, isValid: boolean | undefined): void {
    const made = this.#made.get(id);
    if (made) made.isValid = isValid;
  }

  /** The program has set a label. */
  labelled(id: number, label: string): void {
    const made = this.#made.get(id);
    if (made) made.label = label;
  }

  /** Continues with the entries of another process, in their order. `objectOf` gives the objects that have no handle. */
  restore(
    entries: readonly Kept<C>[],
    written: Iterable<number>,
    objectOf: (id: number) => object | undefined,
  ): void {
    for (const { id, command, operands, payloads, recorded, ...state } of entries) {
      this.#add(command, operands, payloads, id);
      for (const step of recorded) this.#record(id, step);
      Object.assign(this.#made.get(id) as Made<C>, state, { isNamed: true });
    }
    for (const id of written) this.#written.add(id);
    for (const { id, isNamed } of entries) if (!isNamed) this.release(id, objectOf(id));
  }

  /** The client has released its handle. `object` is kept for as long as live objects are made of it. */
  release(id: number, object: object | undefined): void {
    if (this.#open.size > 0) this.#open.delete(id);
    const made = this.#made.get(id);
    if (!made?.isNamed) return;
    made.isNamed = false;
    made.object = object;
    if (made.uses === 0) this.#drop(made);
  }

  #add(command: C, operands: readonly number[], payloads: readonly Uint8Array[], id: number): Made<C> {
    const made = new Made(id, command, operands, payloads);
    this.#made.set(id, made);
    this.#use(made, made);
    const encoder = command.operation.member === 'finish' && this.#made.get(operands[0] as number);
    if (encoder) encoder.isFinished = true;
    return made;
  }

  #record(encoder: number, step: Step<C>): void {
    const made = this.#made.get(encoder);
    if (!made || made.isFinished) return;
    if (made.recorded === NOTHING) made.recorded = [step];
    else (made.recorded as Step<C>[]).push(step);
    this.#use(step, made);
  }

  /** `owner` needs the step. A step names its own encoder, which it does not keep. */
  #use(step: Step<C>, owner: Made<C>): void {
    this.#bytes += bytesOf(step);
    for (const id of step.operands) {
      const part = this.#made.get(id);
      if (part !== undefined && part !== owner) part.uses += 1;
    }
    if (this.#bytes > this.#mostBytes) this.#giveUp();
  }

  #drop(made: Made<C>): void {
    // A list: a long chain of parts would be a deep recursion.
    let left: Made<C>[] | undefined;
    for (let next: Made<C> | undefined = made; next; next = left?.pop()) {
      this.#made.delete(next.id);
      if (this.#written.size > 0) this.#written.delete(next.id);
      left = this.#unuse(next, next, left);
      for (const step of next.recorded) left = this.#unuse(step, next, left);
    }
  }

  /** `owner` needs the step no more. Adds the objects to `left` that nothing needs any more. */
  #unuse(step: Step<C>, owner: Made<C>, left: Made<C>[] | undefined): Made<C>[] | undefined {
    let more = left;
    this.#bytes -= bytesOf(step);
    for (const id of step.operands) {
      const part = this.#made.get(id);
      if (part === undefined || part === owner) continue;
      part.uses -= 1;
      if (part.uses > 0 || part.isNamed) continue;
      more ??= [];
      more.push(part);
    }
    return more;
  }

  #giveUp(): void {
    this.#isOver = true;
    this.#made.clear();
    this.#open.clear();
    this.#written.clear();
    this.#bytes = 0;
  }
}

/** Whether objects of this interface have no entry. */
export function isSpendable(kind: string): boolean {
  return SPENT.has(kind);
}

function partOf({ interface: name, member, creates }: AnyOperation): Part {
  if (SPENT.has(creates)) return member === 'finish' ? 'finish' : 'begin';
  if (creates !== undefined) return 'create';
  if (name === 'GPURenderBundleEncoder') return 'record';
  if (name === 'GPUQueue' && member === 'submit') return 'submit';
  if (SPENT.has(name) && member === 'end') return 'end';
  return member === 'destroy' ? 'destroy' : 'none';
}

function copies(payloads: readonly Uint8Array[]): readonly Uint8Array[] {
  return payloads.length === 0 ? NOTHING : payloads.map((payload) => payload.slice());
}

/** About the memory that a step takes. */
function bytesOf({ operands, payloads }: Step<unknown>): number {
  let bytes = 8 * operands.length + ENTRY_BYTES;
  for (const payload of payloads) bytes += payload.length;
  return bytes;
}
