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
export type Kept<C> = Omit<Made<C>, 'parts' | 'object' | 'recorded'> & {
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

/** In place of an entry: an encoder or pass that is open, or a command buffer that is not submitted. */
const OPEN = {};

/** What a command means here. */
export type Meaning = 'create' | 'begin' | 'end' | 'finish' | 'submit' | 'record' | 'destroy' | 'nothing';

/** About the memory that an entry takes beside its payloads, in bytes. */
const ENTRY_BYTES = 200;
/** How much of the most bytes the entries may take after a count. */
const MOST_COUNTED = 0.75;

/**
 * How each live object of a session was made, so that another executor can make it again. The object table has an entry
 * with each handle, and an entry refers to those of its parts. So JavaScript's collector takes an entry when the client
 * has released the handle and nothing is made of the object any more. Command encoders, passes and command buffers have
 * none: only whether they are used up is known.
 */
export class LiveObjects<C extends LoggedCommand> {
  readonly #table: { readonly entries: Iterable<Named> };
  readonly #mostBytes: number;
  /** By opcode. */
  readonly #meanings: (Meaning | undefined)[] = [];
  /** The bytes of all entries when they were counted last, and of those since. */
  #bytes = 0;
  #isOver = false;

  /** @param mostBytes the most bytes that all entries may take. With more nothing is noted any more. */
  constructor(table: { readonly entries: Iterable<Named> }, mostBytes: number = Number.POSITIVE_INFINITY) {
    this.#table = table;
    this.#mostBytes = mostBytes;
  }

  /** About the memory that the entries take. It looks at each. */
  get bytes(): number {
    return this.entries().reduce((sum, made) => sum + [made, ...made.recorded].reduce(addBytes, 0), 0);
  }

  /** Whether there were too many bytes. Then it does not know all objects. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** All entries in the order of their numbers, each after its parts. */
  entries(): Made<C>[] {
    const all = new Set<Made<C>>();
    const add = (part: Part<C> | object | undefined) => {
      if (part instanceof Made) all.add(part);
    };
    for (const { made } of this.#table.entries) add(made);
    // A set gives also the elements that come meanwhile.
    for (const made of all) {
      made.parts.forEach(add);
      for (const step of made.recorded) step.parts.forEach(add);
    }
    return [...all].sort((a, b) => a.id - b.id);
  }

  /** What commands of this kind mean. Most mean nothing: this is asked for each. */
  meaningOf(operation: AnyOperation): Meaning {
    if (this.#isOver) return 'nothing';
    const known = this.#meanings[operation.opcode];
    if (known !== undefined) return known;
    const meaning = meaningOf(operation);
    this.#meanings[operation.opcode] = meaning;
    return meaning;
  }

  /** What an entry keeps of an object that its command names. */
  partOf(named: Named): Part<C> {
    return (named.made as Made<C> | undefined) ?? named.id;
  }

  /**
   * An object is created. `parts` are the objects that the command names, the receiver first; the list belongs to the
   * entry. The payloads may change afterwards.
   *
   * @returns the entry of the new object.
   */
  created(command: C, parts: readonly Part<C>[], payloads: readonly Uint8Array[], named: Named): Made<C> {
    const made = this.#add(new Made(named.id, command, parts, copies(payloads)));
    if (!this.#isOver) named.made = made;
    return made;
  }

  /** A command is recorded into the encoder of a render bundle, the first of its parts. */
  recorded(command: C, parts: readonly Part<C>[], payloads: readonly Uint8Array[]): void {
    const [encoder] = parts;
    if (encoder instanceof Made) this.#record(encoder, { command, parts, payloads: copies(payloads) });
  }

  /** A command is carried out that begins, uses up or destroys something. `named` gives what it names beside its receiver. */
  changed(
    meaning: Meaning,
    self: Named,
    made: Named | undefined,
    operands: readonly number[],
    named: (id: number) => Named | undefined,
  ): void {
    if (meaning === 'destroy') {
      if (self.made) (self.made as Made<C>).isDestroyed = true;
      return;
    }
    if (meaning === 'end' || meaning === 'finish') self.made = undefined;
    if (made) made.made = OPEN;
    for (let at = 1; at < operands.length; at += 1) {
      const other = named(operands[at] as number);
      const entry = other?.made;
      if (meaning === 'submit' && other) other.made = undefined;
      else if (entry instanceof Made && entry.command.operation.creates === 'GPUQuerySet')
        entry.isWritten = true;
    }
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

  /** The client has released its handle, or its object did not come. */
  release({ object, made }: Named): void {
    if (!(made instanceof Made)) return;
    made.isNamed = false;
    made.object = object;
  }

  #add(made: Made<C>): Made<C> {
    this.#count(made);
    if (made.command.operation.member !== 'finish') return made;
    const [encoder] = made.parts;
    if (!(encoder instanceof Made)) return made;
    // The first bundle may be gone when this one is made again, and then its encoder would not be finished.
    if (encoder.isFinished) made.isValid = false;
    encoder.isFinished = true;
    return made;
  }

  #record(made: Made<C>, step: Recorded<C>): void {
    if (made.isFinished) return;
    if (made.recorded === NOTHING) made.recorded = [];
    (made.recorded as Recorded<C>[]).push(step);
    this.#count(step);
  }

  /** Some entries may be gone, so that all are counted again before they are too many. */
  #count(step: Recorded<C>): void {
    this.#bytes = addBytes(this.#bytes, step);
    if (this.#bytes <= this.#mostBytes) return;
    this.#bytes = this.bytes;
    // With less room the next count would come soon.
    if (this.#bytes <= MOST_COUNTED * this.#mostBytes) return;
    this.#isOver = true;
    for (const named of this.#table.entries) if (named.made instanceof Made) named.made = undefined;
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

/** Whether an object is an encoder, pass or command buffer that is not used up. */
export function isOpen({ made }: Named): boolean {
  return made === OPEN;
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

/** Adds about the memory that a step takes. */
function addBytes(sum: number, { parts, payloads }: Recorded<unknown>): number {
  let bytes = sum + 8 * parts.length + ENTRY_BYTES;
  for (const payload of payloads) bytes += payload.length;
  return bytes;
}
