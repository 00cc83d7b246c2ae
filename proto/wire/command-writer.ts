import { FOREIGN_ID, type Handle } from './handle.js';
import { checkString, checkTransfer, Writer } from './writer.js';

/** A longer string is a payload. In bytes. */
const INLINE_STRING_BYTES = 1024;

/**
 * Splits a command while it is written. The *shape* (opcode, numbers, short strings) becomes the bytes of this writer.
 * The *operands* (the objects that the command names) and the *payloads* (bytes, long strings) go into lists, in their
 * order.
 */
export class CommandWriter extends Writer {
  /** Ids. */
  readonly operands: number[] = [];
  /** Views of the program's bytes. */
  readonly payloads: Uint8Array[] = [];
  /** Whether a payload is a string, for each. */
  readonly texts: boolean[] = [];
  readonly #owner: object;

  /** `owner` is the session whose handles may be written. */
  constructor(owner: object) {
    super({ initialCapacity: 256, frameBytes: Number.POSITIVE_INFINITY });
    this.#owner = owner;
  }

  /** Forgets the command that was written. */
  clear(): void {
    this.truncate(0);
    // `pop` keeps the array's memory for the next command. Setting the length would free it.
    while (this.operands.length > 0) this.operands.pop();
    while (this.payloads.length > 0) this.payloads.pop();
    while (this.texts.length > 0) this.texts.pop();
  }

  override handle(value: Handle): void {
    this.operands.push(value.owner === this.#owner ? value.id : FOREIGN_ID);
  }

  override bytes(value: Uint8Array): void {
    checkTransfer(value);
    this.payloads.push(value);
    this.texts.push(false);
  }

  protected override longString(bytes: Uint8Array): void {
    if (bytes.length <= INLINE_STRING_BYTES) {
      super.longString(bytes);
      return;
    }
    checkString(bytes);
    this.u32(0);
    this.payloads.push(bytes);
    this.texts.push(true);
  }
}
