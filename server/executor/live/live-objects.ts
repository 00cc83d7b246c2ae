import type { AnyOperation } from '../../../proto/wire/operation.js';
import { Made, NOTHING, operandsOf, type Part, type Recorded } from './made.js';

/** A command, as this file needs it. */
export interface LoggedCommand {
  readonly operation: AnyOperation;
  readonly shape: Uint8Array;
}

/** An object of the session's table. `made` is its entry here, if it has one. */
export interface Named {
  readonly id: number;
  readonly object: object | undefined;
  made?: object | undefined;
}

/** An entry as plain values, with numbers in place of objects. */
export type Kept<C> = Omit<Made<C>, 'parts' | 'object' | 'uses' | 'recorded' | 'before' | 'after'> & {
  readonly recorded: readonly Step<C>[];
};

/** A command with everything to carry it out again. */
export interface Step<C> {
  readonly command: C;
  readonly operands: readonly number[];
  readonly payloads: readonly Uint8Array[];
}

/** Objects of these interfaces record commands, and are of no use once they are finished, ended or submitted. */
const SPENT: ReadonlySet<string | undefined> = new Set([
  'GPUCommandEncoder',
  'GPUComputePassEncoder',
  'GPURenderPassEncoder',
  'GPUCommandBuffer',
]);

/** What a command means here. */
type Meaning = 'create' | 'begin' | 'end' | 'finish' | 'submit' | 'record' | 'destroy' | 'nothing';

/** About the memory that an entry takes beside its payloads, in bytes. */
const ENTRY_BYTES = 200;

/**
 * How each live object of a session was made, so that another executor can make it again. It costs an entry for each
 * object that is there now, which the object table has with the handle. An entry goes with the client's handle and with
 * the last object that is made of it. Command encoders, passes and command buffers have none: only those that are not
 * used up yet are counted.
 */
export class LiveObjects<C extends LoggedCommand> {
  readonly #mostBytes: number;
  /** The ends of a list of all entries. */
  #first: Made<C> | undefined;
  #last: Made<C> | undefined;
  /** Encoders and passes that are open, and command buffers that are not submitted, with their interfaces. */
  readonly #open = new Map<number, string>();
  /** By opcode. */
  readonly #meanings: (Meaning | undefined)[] = [];
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

  /** All entries in the order of their numbers, each after its parts. */
  entries(): Made<C>[] {
    const all: Made<C>[] = [];
    for (let made = this.#first; made; made = made.after) all.push(made);
    return all.sort((a, b) => a.id - b.id);
  }

  /** Whether commands of this kind are to be noted. Most are not: this is asked for each. */
  notes(operation: AnyOperation): boolean {
    return this.#meaning(operation) !== 'nothing' && !this.#isOver;
  }

  /** What an entry keeps of an object that its command names. */
  partOf(named: Named): Part<C> {
    return (named.made as Made<C> | undefined) ?? named.id;
  }

  /**
   * A command is carried out. `parts` are the objects that it names, the receiver first; the list belongs to the entry.
   * The payloads may change afterwards. `made` is the object that the command creates.
   *
   * @returns the entry of the new object, if there is one.
   */
  note(
    command: C,
    parts: readonly Part<C>[],
    payloads: readonly Uint8Array[],
    made: Named | undefined,
  ): Made<C> | undefined {
    const meaning = this.#meaning(command.operation);
    const self = parts[0] as Part<C>;
    if (meaning === 'create') {
      const { id } = made as Named;
      const added = this.#add(new Made(id, command, parts, copies(payloads)));
      (made as Named).made = added;
      return added;
    }
    if (meaning === 'record') {
      if (self instanceof Made) this.#record(self, { command, parts, payloads: copies(payloads) });
    } else if (meaning === 'begin') {
      this.#open.set((made as Named).id, command.operation.creates as string);
      for (const part of parts)
        if (part instanceof Made && part.command.operation.creates === 'GPUQuerySet') part.isWritten = true;
    } else if (meaning === 'finish') {
      this.#open.delete(self as number);
      this.#open.set((made as Named).id, 'GPUCommandBuffer');
    } else if (meaning === 'end') {
      this.#open.delete(self as number);
    } else if (meaning === 'destroy') {
      if (self instanceof Made) self.isDestroyed = true;
    } else {
      for (const part of parts) if (typeof part === 'number') this.#open.delete(part);
    }
    return undefined;
  }

  /** An awaited create has made its object. */
  came(made: Made<C>): void {
    made.isValid = true;
    const [adapter] = made.parts;
    if (made.command.operation.creates === 'GPUDevice' && adapter instanceof Made) adapter.isSpent = true;
  }

  /** Continues with the entries of another process, in their order. `named` gives the object of each. */
  restore(entries: readonly Kept<C>[], named: (id: number) => Named): void {
    const all = new Map<number, Made<C>>();
    const partsOf = ({ operands }: Step<C>) => operands.map((id) => all.get(id) ?? id);
    for (const entry of entries) {
      const { id, command, operands: _, payloads, recorded, ...state } = entry;
      const made = this.#add(new Made(id, command, partsOf(entry), copies(payloads)));
      all.set(id, made);
      named(id).made = made;
      for (const step of recorded)
        this.#record(made, { command: step.command, parts: partsOf(step), payloads: copies(step.payloads) });
      Object.assign(made, state, { isNamed: true });
    }
  }

  /** The client has released its handle, or its object did not come. The object is kept for as long as live ones are made of it. */
  release({ id, object, made: entry }: Named): void {
    if (this.#open.size > 0) this.#open.delete(id);
    const made = entry as Made<C> | undefined;
    if (!made?.isNamed || this.#isOver) return;
    made.isNamed = false;
    made.object = object;
    if (made.uses === 0) this.#drop(made);
  }

  #meaning(operation: AnyOperation): Meaning {
    const known = this.#meanings[operation.opcode];
    if (known !== undefined) return known;
    const meaning = meaningOf(operation);
    this.#meanings[operation.opcode] = meaning;
    return meaning;
  }

  #add(made: Made<C>): Made<C> {
    made.before = this.#last;
    if (this.#last) this.#last.after = made;
    else this.#first = made;
    this.#last = made;
    this.#use(made, made);
    if (made.command.operation.member !== 'finish') return made;
    const [encoder] = made.parts;
    if (encoder instanceof Made) encoder.isFinished = true;
    return made;
  }

  #remove({ before, after }: Made<C>): void {
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
  }

  #record(made: Made<C>, step: Recorded<C>): void {
    if (made.isFinished) return;
    if (made.recorded === NOTHING) made.recorded = [];
    (made.recorded as Recorded<C>[]).push(step);
    this.#use(step, made);
  }

  /** `owner` needs the step. A step names its own encoder, which it does not keep. */
  #use(step: Recorded<C>, owner: Made<C>): void {
    this.#bytes += bytesOf(step);
    for (const part of step.parts) if (typeof part !== 'number' && part !== owner) part.uses += 1;
    if (this.#bytes > this.#mostBytes) this.#giveUp();
  }

  #drop(made: Made<C>): void {
    // A list: a long chain of parts would be a deep recursion.
    let left: Made<C>[] | undefined;
    for (let next: Made<C> | undefined = made; next; next = left?.pop()) {
      this.#remove(next);
      left = this.#unuse(next, next, left);
      for (const step of next.recorded) left = this.#unuse(step, next, left);
    }
  }

  /** `owner` needs the step no more. Adds the objects to `left` that nothing needs any more. */
  #unuse(step: Recorded<C>, owner: Made<C>, left: Made<C>[] | undefined): Made<C>[] | undefined {
    let more = left;
    this.#bytes -= bytesOf(step);
    for (const part of step.parts) {
      if (typeof part === 'number' || part === owner) continue;
      part.uses -= 1;
      if (part.uses > 0 || part.isNamed) continue;
      more ??= [];
      more.push(part);
    }
    return more;
  }

  #giveUp(): void {
    this.#isOver = true;
    this.#first = undefined;
    this.#last = undefined;
    this.#open.clear();
    this.#bytes = 0;
  }
}

/** An entry as plain values. */
export function keptOf<C>(made: Made<C>): Kept<C> {
  const {
    id,
    command,
    operands,
    payloads,
    isNamed,
    isValid,
    isFinished,
    isDestroyed,
    isSpent,
    isWritten,
    label,
  } = made;
  const recorded = made.recorded.map((step) => ({
    command: step.command,
    operands: operandsOf(step),
    payloads: step.payloads,
  }));
  const flags = { isNamed, isValid, isFinished, isDestroyed, isSpent, isWritten };
  return { id, command, operands, payloads, recorded, label, ...flags };
}

/** Whether objects of this interface have no entry. */
export function isSpendable(kind: string): boolean {
  return SPENT.has(kind);
}

function meaningOf({ interface: name, member, creates }: AnyOperation): Meaning {
  if (SPENT.has(creates)) return member === 'finish' ? 'finish' : 'begin';
  if (creates !== undefined) return 'create';
  if (name === 'GPURenderBundleEncoder') return 'record';
  if (name === 'GPUQueue' && member === 'submit') return 'submit';
  if (SPENT.has(name) && member === 'end') return 'end';
  return member === 'destroy' ? 'destroy' : 'nothing';
}

function copies(payloads: readonly Uint8Array[]): readonly Uint8Array[] {
  return payloads.length === 0 ? NOTHING : payloads.map((payload) => payload.slice());
}

/** About the memory that a step takes. */
function bytesOf({ parts, payloads }: Recorded<unknown>): number {
  let bytes = 8 * parts.length + ENTRY_BYTES;
  for (const payload of payloads) bytes += payload.length;
  return bytes;
}
