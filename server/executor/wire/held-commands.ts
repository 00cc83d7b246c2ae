import { hashContent } from '../../../link/machine/hashing.js';
import { type ContentName, contentNameToHex, sameContentName } from '../../../proto/content.js';
import { ProtocolError } from '../../../proto/errors.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import type { ContentStore } from '../../contents/content-store.js';
import { NamedContent, type Payload } from './command-decoder.js';

/** What carries out commands whose payloads are all there. */
export interface Carrier<C> {
  execute(command: C, operands: readonly number[], payloads: readonly Uint8Array[], made: number): void;
  release(first: number, count: number): void;
}

export interface HeldCommandsOptions<C> {
  /** Absent where nothing is kept: the client names nothing then. */
  store: ContentStore | undefined;
  carrier: Carrier<C>;
  /** Asks the client for a content. */
  ask(name: ContentName): void;
  /** Bytes that held commands may take. */
  mostBytes?: number;
}

/** A content that was asked for. */
interface Wanted {
  readonly content: NamedContent;
  bytes: Uint8Array | undefined;
}

/** Where a payload comes from: here already, in the store, or asked for. */
type Source = Uint8Array | NamedContent | Wanted;

/** A command or a release that has to wait for its turn. */
interface Held {
  readonly sources: Source[];
  run(payloads: readonly Uint8Array[]): void;
}

/** In the place of one that had its turn: its bytes are needed no more. */
const DONE: Held = { sources: [], run: () => {} };

/** What a held command takes beside its bytes, about. */
const HELD_BYTES = 256;

/**
 * Carries out a session's commands in their order, also while a content is missing that one of them names, or
 * while they are paused: then that one and all that come after it are held back. All that is missing is asked for
 * as soon as it is named, so that it takes one round trip together; what the store has is read when its turn comes.
 */
export class HeldCommands<C> {
  readonly #options: HeldCommandsOptions<C>;
  readonly #mostBytes: number;
  /** Contents that came as their names alone, and were there; and their bytes. */
  contentsFound = 0;
  bytesFound = 0;
  /** How often something of a batch outlived it: a command that waits, a content that is kept. */
  kept = 0;
  #queue: Held[] = [];
  #next = 0;
  #pauses = 0;
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
    if (!this.#waits && (payloads.length === 0 || !payloads.some(isNamed))) {
      carrier.execute(command, operands, payloads as readonly Uint8Array[], made);
      return;
    }
    const sources: Source[] = [...payloads];
    if (this.#waits) this.#expect(sources);
    else if (this.#read(sources)) {
      carrier.execute(command, operands, sources as Uint8Array[], made);
      return;
    }
    const ids = [...operands];
    const missing = sources.reduce(
      (sum, source) => sum + ('content' in source ? source.content.length : 0),
      0,
    );
    this.#hold(HELD_BYTES + 8 * ids.length + missing, {
      sources,
      run: (found) => carrier.execute(command, ids, found, made),
    });
  }

  release(first: number, count: number): void {
    const { carrier } = this.#options;
    if (!this.#waits) carrier.release(first, count);
    else this.#hold(HELD_BYTES, { sources: [], run: () => carrier.release(first, count) });
  }

  /** Holds back what comes next until there was a `resume` for each pause. */
  pause(): void {
    this.#pauses += 1;
  }

  resume(): void {
    this.#pauses -= 1;
    this.#carryOn();
  }

  get paused(): boolean {
    return this.#pauses > 0;
  }

  /** A payload came with its name. Throws ProtocolError where that is not its name. */
  store(name: ContentName, bytes: Uint8Array): void {
    const { store } = this.#options;
    this.kept += 1;
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
    checkLength(bytes, wanted.content.length);
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

  get #waits(): boolean {
    return this.#pauses > 0 || this.#queue.length > 0;
  }

  /** Puts bytes in the place of names. Asks for what is not there, and returns false until it is. */
  #read(sources: Source[]): boolean {
    let complete = true;
    for (const [index, source] of sources.entries()) {
      if (source instanceof Uint8Array) continue;
      const { content, bytes } = isNamed(source) ? this.#find(source) : source;
      if (bytes) checkLength(bytes, content.length);
      else complete = false;
      sources[index] = bytes ?? this.#ask(content);
    }
    return complete;
  }

  /** Asks for what is not there, without reading what is. */
  #expect(sources: Source[]): void {
    for (const [index, source] of sources.entries()) {
      if (!isNamed(source)) continue;
      const isAsked = this.#wanted.has(contentNameToHex(source.name));
      if (isAsked || !this.#options.store?.has(source.name)) sources[index] = this.#ask(source);
    }
  }

  #find(content: NamedContent): Wanted {
    const asked = this.#wanted.has(contentNameToHex(content.name));
    const bytes = asked ? undefined : this.#options.store?.read(content.name);
    if (bytes) {
      this.contentsFound += 1;
      this.bytesFound += bytes.length;
    }
    return { content, bytes };
  }

  #ask(content: NamedContent): Wanted {
    const { store, ask } = this.#options;
    if (!store) throw new ProtocolError('a content is named where none is kept');
    const key = contentNameToHex(content.name);
    const asked = this.#wanted.get(key);
    if (asked) {
      if (asked.content.length !== content.length)
        throw new ProtocolError('a content is named with two lengths');
      return asked;
    }
    const wanted: Wanted = { content, bytes: undefined };
    this.#wanted.set(key, wanted);
    ask(content.name);
    return wanted;
  }

  #hold(bytes: number, held: Held): void {
    this.kept += 1;
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
    while (this.#pauses === 0) {
      const held = this.#queue[this.#next];
      if (!held) break;
      if (!this.#read(held.sources)) return;
      this.#queue[this.#next] = DONE;
      this.#next += 1;
      held.run(held.sources as Uint8Array[]);
    }
    if (this.#next === this.#queue.length) this.clear();
  }
}

function isNamed(payload: Source | undefined): payload is NamedContent {
  return payload instanceof NamedContent;
}

function checkLength({ length }: Uint8Array, expected: number): void {
  if (length !== expected) {
    throw new ProtocolError(`a content of ${length} bytes was named as one of ${expected}`);
  }
}
