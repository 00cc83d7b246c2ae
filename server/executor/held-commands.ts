import { hashContent } from '../../link/content-hash.js';
import { type ContentName, contentNameToHex, sameContentName } from '../../proto/content.js';
import { ProtocolError } from '../../proto/errors.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { BlobStore } from '../blobs/blob-store.js';
import { NamedContent, type Payload } from './command-decoder.js';

/** What carries out commands whose payloads are all there. */
export interface Carrier<C> {
  execute(command: C, operands: readonly number[], payloads: readonly Uint8Array[], made: number): void;
  release(first: number, count: number): void;
}

export interface HeldCommandsOptions<C> {
  /** Absent where nothing is kept: the client names nothing then. */
  store: BlobStore | undefined;
  carrier: Carrier<C>;
  /** Asks the client for a content. */
  ask(name: ContentName): void;
  /** Bytes that held commands may take. */
  mostBytes?: number;
}

/** A content that was asked for. */
interface Wanted {
  readonly length: number;
  bytes: Uint8Array | undefined;
}

/** A command or a release that has to wait for its turn. */
interface Held {
  /** The contents that it waits for. */
  readonly wanted: readonly Wanted[];
  run(): void;
}

/** In the place of one that had its turn: its bytes are needed no more. */
const DONE: Held = { wanted: [], run: () => {} };

/** What a held command takes beside its bytes, about. */
const HELD_BYTES = 256;

/**
 * Carries out a session's commands in their order, also while a content is missing that one of them names:
 * then that one and all that come after it are held back until the client has sent what it was asked for.
 * All that is missing is asked for as soon as it is named, so that it takes one round trip together.
 */
export class HeldCommands<C> {
  readonly #options: HeldCommandsOptions<C>;
  readonly #mostBytes: number;
  #queue: Held[] = [];
  #next = 0;
  /** What the queue takes, with the batches that its payloads lie in; all of it counts until it is empty. */
  #bytes = 0;
  /** Bytes of the batch that is being carried out, until a command of it is held. */
  #batchBytes = 0;
  /** By name in hex. */
  readonly #wanted = new Map<string, Wanted>();

  constructor(options: HeldCommandsOptions<C>) {
    this.#options = options;
    this.#mostBytes = options.mostBytes ?? LIMITS.heldBytes;
  }

  /** A batch is about to be carried out, of which commands may have to be held. */
  begin(batchBytes: number): void {
    this.#batchBytes = batchBytes;
  }

  execute(command: C, operands: readonly number[], payloads: readonly Payload[], made: number): void {
    const { carrier } = this.#options;
    if (this.#queue.length === 0 && (payloads.length === 0 || !payloads.some(isNamed))) {
      carrier.execute(command, operands, payloads as readonly Uint8Array[], made);
      return;
    }
    const wanted: Wanted[] = [];
    const found = payloads.map((payload) => {
      if (!isNamed(payload)) return payload;
      const content = this.#find(payload);
      if (!(content instanceof Uint8Array)) wanted.push(content);
      return content;
    });
    if (this.#queue.length === 0 && wanted.length === 0) {
      carrier.execute(command, operands, found as Uint8Array[], made);
      return;
    }
    const ids = [...operands];
    const read = found.reduce((sum, { length }, index) => sum + (isNamed(payloads[index]) ? length : 0), 0);
    this.#hold(HELD_BYTES + 8 * ids.length + read, {
      wanted,
      run: () => carrier.execute(command, ids, found.map(bytesOf), made),
    });
  }

  release(first: number, count: number): void {
    const { carrier } = this.#options;
    if (this.#queue.length === 0) carrier.release(first, count);
    else this.#hold(HELD_BYTES, { wanted: [], run: () => carrier.release(first, count) });
  }

  /** A payload came with its name. Throws ProtocolError where that is not its name. */
  store(name: ContentName, bytes: Uint8Array): void {
    const { store } = this.#options;
    if (!store) throw new ProtocolError('a content is named where none is kept');
    // Hashed here and not again when it is stored: what the store gives out later is checked once more.
    if (!sameContentName(hashContent(bytes), name)) throw new ProtocolError('a content has another name');
    void store.write(name, bytes, 'checked');
  }

  /** What was asked for came. Throws ProtocolError where it is something else. */
  supply(name: ContentName, bytes: Uint8Array): void {
    const key = contentNameToHex(name);
    const wanted = this.#wanted.get(key);
    if (!wanted) throw new ProtocolError('a content came that was not asked for');
    checkLength(bytes, wanted.length);
    this.store(name, bytes);
    this.#wanted.delete(key);
    wanted.bytes = bytes;
    this.#carryOn();
  }

  /** Gives up what is held: the session is over. */
  clear(): void {
    this.#queue = [];
    this.#next = 0;
    this.#bytes = 0;
    this.#wanted.clear();
  }

  #find({ name, length }: NamedContent): Uint8Array | Wanted {
    const { store, ask } = this.#options;
    if (!store) throw new ProtocolError('a content is named where none is kept');
    const key = contentNameToHex(name);
    const asked = this.#wanted.get(key);
    if (asked) {
      if (asked.length !== length) throw new ProtocolError('a content is named with two lengths');
      return asked;
    }
    const bytes = store.read(name);
    if (bytes) {
      checkLength(bytes, length);
      return bytes;
    }
    const wanted: Wanted = { length, bytes: undefined };
    this.#wanted.set(key, wanted);
    ask(name);
    return wanted;
  }

  #hold(bytes: number, held: Held): void {
    this.#count(bytes + this.#batchBytes);
    this.#batchBytes = 0;
    this.#queue.push(held);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#mostBytes) {
      throw new ProtocolError(
        `commands that wait for a missing content take more than ${this.#mostBytes} bytes`,
      );
    }
  }

  #carryOn(): void {
    for (let held = this.#queue[this.#next]; held; held = this.#queue[this.#next]) {
      if (held.wanted.some(({ bytes }) => !bytes)) return;
      this.#queue[this.#next] = DONE;
      this.#next += 1;
      held.run();
    }
    this.clear();
  }
}

function isNamed(payload: Payload | undefined): payload is NamedContent {
  return payload instanceof NamedContent;
}

function bytesOf(content: Uint8Array | Wanted): Uint8Array {
  return content instanceof Uint8Array ? content : (content.bytes as Uint8Array);
}

function checkLength({ length }: Uint8Array, expected: number): void {
  if (length !== expected) {
    throw new ProtocolError(`a content of ${length} bytes was named as one of ${expected}`);
  }
}
