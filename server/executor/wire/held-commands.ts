import { hashContent } from '../../../link/machine/hashing.js';
import { type ContentName, contentNameToHex, sameContentName } from '../../../proto/content/content.js';
import { ProtocolError } from '../../../proto/errors.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import type { ContentStore } from '../../contents/content-store.js';
import { NamedContent, type Payload } from './command-decoder.js';

/** Carries out commands that have all their payloads. */
export interface Runner<C> {
  execute(command: C, operands: readonly number[], payloads: readonly Uint8Array[], made: number): void;
  release(first: number, count: number): void;
}

export interface HeldCommandsOptions<C> {
  /** Absent where the host keeps no contents: then the client names none. */
  store: ContentStore | undefined;
  runner: Runner<C>;
  /** Asks the client for a content. */
  ask(name: ContentName): void;
  /** The most bytes that held commands may take. */
  mostBytes?: number;
}

/** A content that the client was asked for. */
interface Wanted {
  readonly content: NamedContent;
  bytes: Uint8Array | undefined;
}

/** Where a payload comes from: it is here already, in the store, or asked for. */
type Source = Uint8Array | NamedContent | Wanted;

/** A command or a release that is held. */
interface Held {
  readonly sources: Source[];
  run(payloads: readonly Uint8Array[]): void;
}

/** Takes the place of a held command that was carried out, so that its bytes are freed. */
const DONE: Held = { sources: [], run: () => {} };

/** About the memory that a held command takes beside its bytes. */
const HELD_BYTES = 256;

/**
 * Carries out a session's commands in their order. Where a command names a content that is missing, or the session is
 * paused, it holds that command and all that come after it. A missing content is asked for as soon as it is named, so
 * that all of them take one round trip together. A content of the store is read when its command's turn comes.
 */
export class HeldCommands<C> {
  readonly #options: HeldCommandsOptions<C>;
  readonly #mostBytes: number;
  /** How many contents came as names and were there, and their bytes. */
  contentsFound = 0;
  bytesFound = 0;
  /** How often bytes of a flush were kept beyond it: for a held command, or in the store. */
  kept = 0;
  #queue: Held[] = [];
  #next = 0;
  #pauses = 0;
  /** Bytes of the queue, with the flushes that its payloads lie in. All of them count until the queue is empty. */
  #bytes = 0;
  /** Bytes of the current flush, until one of its commands is held. */
  #flushBytes = 0;
  /** By name in hex. */
  readonly #wanted = new Map<string, Wanted>();

  constructor(options: HeldCommandsOptions<C>) {
    this.#options = options;
    this.#mostBytes = options.mostBytes ?? LIMITS.heldBytes;
  }

  /** A flush of so many bytes begins. */
  begin(flushBytes: number): void {
    this.#flushBytes = flushBytes;
  }

  execute(command: C, operands: readonly number[], payloads: readonly Payload[], made: number): void {
    const { runner } = this.#options;
    if (!this.#waits && (payloads.length === 0 || !payloads.some(isNamed))) {
      runner.execute(command, operands, payloads as readonly Uint8Array[], made);
      return;
    }
    const sources: Source[] = [...payloads];
    if (this.#waits) this.#expect(sources);
    else if (this.#read(sources)) {
      runner.execute(command, operands, sources as Uint8Array[], made);
      return;
    }
    const ids = [...operands];
    const missing = sources.reduce(
      (sum, source) => sum + ('content' in source ? source.content.length : 0),
      0,
    );
    this.#hold(HELD_BYTES + 8 * ids.length + missing, {
      sources,
      run: (found) => runner.execute(command, ids, found, made),
    });
  }

  release(first: number, count: number): void {
    const { runner } = this.#options;
    if (!this.#waits) runner.release(first, count);
    else this.#hold(HELD_BYTES, { sources: [], run: () => runner.release(first, count) });
  }

  /** Holds the commands that come next, until `resume` was called once for each pause. */
  pause(): void {
    this.#pauses += 1;
  }

  resume(): void {
    this.#pauses -= 1;
    this.#runHeld();
  }

  /** Whether no command waits. */
  get isEmpty(): boolean {
    return !this.#waits;
  }

  get paused(): boolean {
    return this.#pauses > 0;
  }

  /** Stores a payload that came with its name. Throws ProtocolError where the name is another content's. */
  store(name: ContentName, bytes: Uint8Array): void {
    const { store } = this.#options;
    this.kept += 1;
    if (!store) throw new ProtocolError('a content is named, but this host keeps no contents');
    // The store does not hash the content again here: it checks each content when it is read.
    if (!sameContentName(hashContent(bytes), name))
      throw new ProtocolError('the bytes of a content do not match its name');
    void store.write(name, bytes, 'checked');
  }

  /** A content came that was asked for. Throws ProtocolError where it is another one. */
  supply(name: ContentName, bytes: Uint8Array): void {
    const key = contentNameToHex(name);
    const wanted = this.#wanted.get(key);
    if (!wanted) throw new ProtocolError('a content came that the host did not ask for');
    checkLength(bytes, wanted.content.length);
    this.store(name, bytes);
    this.#wanted.delete(key);
    wanted.bytes = bytes;
    this.#runHeld();
  }

  /** Drops all held commands: the session has ended. */
  clear(): void {
    this.#queue = [];
    this.#next = 0;
    this.#bytes = 0;
    this.#wanted.clear();
  }

  get #waits(): boolean {
    return this.#pauses > 0 || this.#queue.length > 0;
  }

  /** Replaces names by bytes. Asks for missing contents, and returns false until all are there. */
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

  /** Asks for missing contents, and reads none. */
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
    if (!store) throw new ProtocolError('a content is named, but this host keeps no contents');
    const key = contentNameToHex(content.name);
    const asked = this.#wanted.get(key);
    if (asked) {
      if (asked.content.length !== content.length)
        throw new ProtocolError('a content is named with two different lengths');
      return asked;
    }
    const wanted: Wanted = { content, bytes: undefined };
    this.#wanted.set(key, wanted);
    ask(content.name);
    return wanted;
  }

  #hold(bytes: number, held: Held): void {
    this.kept += 1;
    this.#count(bytes + this.#flushBytes);
    this.#flushBytes = 0;
    this.#queue.push(held);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#mostBytes) {
      throw new ProtocolError(`held commands take more than ${this.#mostBytes} bytes`);
    }
  }

  #runHeld(): void {
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
    throw new ProtocolError(`a content has ${length} bytes, but was named with a length of ${expected}`);
  }
}
