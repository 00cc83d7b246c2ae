/** For the lists of most objects. */
export const NOTHING: readonly never[] = [];

/** An object that a command names, or the number of one without an entry: the root, or one of another session. */
export type Part<C> = Made<C> | number;

/** A command with the objects that it names, the receiver first. */
export interface Recorded<C> {
  readonly command: C;
  readonly parts: readonly Part<C>[];
  readonly payloads: readonly Uint8Array[];
}

/** How a live object was made. A program has many, so that each is small. */
export class Made<C> implements Recorded<C> {
  readonly id: number;
  readonly command: C;
  readonly parts: readonly Part<C>[];
  readonly payloads: readonly Uint8Array[];
  /** Whether the client has a handle of it. Otherwise a live object is made of it. */
  isNamed = true;
  /** The object, once the client has released its handle. Before that, the object table has it. */
  object: object | undefined = undefined;
  /** Whether the implementation found it valid; undefined where nobody knows. */
  isValid: boolean | undefined = undefined;
  /** The commands that were recorded into it, if it is the encoder of a render bundle, until it was finished. */
  recorded: readonly Recorded<C>[] = NOTHING;
  isFinished = false;
  /** The program has destroyed it. */
  isDestroyed = false;
  /** Of an adapter: it has given its one device. */
  isSpent = false;
  /** Of a query set: a pass was given it. Its results cannot be written into another query set. */
  isWritten = false;
  /** The label that was set since. */
  label: string | undefined = undefined;

  constructor(id: number, command: C, parts: readonly Part<C>[], payloads: readonly Uint8Array[]) {
    this.id = id;
    this.command = command;
    this.parts = parts;
    this.payloads = payloads;
  }

  /** The numbers of the objects that its command names. */
  get operands(): number[] {
    return operandsOf(this);
  }
}

export function operandsOf({ parts }: Recorded<unknown>): number[] {
  return parts.map((part) => (typeof part === 'number' ? part : part.id));
}
