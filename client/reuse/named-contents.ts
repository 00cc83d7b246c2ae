import { hashContent } from '../../link/machine/hashing.js';
import { type ContentName, contentNameToHex } from '../../proto/content.js';
import { ContentFilter, FILTER_NAMES } from '../../proto/content-filter.js';
import { ProtocolError } from '../../proto/errors.js';
import type { KeptContents } from '../../proto/handshake.js';
import { isArrayBuffer } from '../../proto/webidl/slots.js';
import { ITEM, ITEM_KINDS, PAYLOAD } from '../../proto/wire/template.js';
import { Writer } from '../../proto/wire/writer.js';
import type { Stats } from '../session/ledger.js';
import { type Upload, UploadPolicy } from './upload-policy.js';

/** A payload that goes under its name. */
export interface Named {
  readonly mode: typeof PAYLOAD.stored | typeof PAYLOAD.named;
  readonly name: ContentName;
  /** The content, which nobody writes to while it is being sent. */
  readonly bytes: Uint8Array;
}

export interface NamedContentsOptions {
  stats: Stats;
  /** The serial that the next awaited command gets. */
  nextSerial(): number;
  policy?: UploadPolicy;
  /** Bytes of the copies that are kept at a time, at most. */
  copyBytes?: number;
}

/** Bytes that were sent as names alone and that the host may still ask for, at most. */
const COPY_BYTES = 256 << 20;

/** A content that was sent as its name alone. */
interface Copy {
  readonly bytes: Uint8Array;
  /** The awaited command that, once it is answered, shows that the host has had the content. */
  serial: number;
}

/**
 * The session's payloads by content: which go as a name alone, because the host has them; and the bytes of
 * those, until the host has surely carried out the commands that name them. What is believed of the host is
 * no more than that: where it is wrong, the host asks, and is told.
 */
export class NamedContents {
  readonly #filter: ContentFilter;
  readonly #policy: UploadPolicy;
  readonly #stats: Stats;
  readonly #nextSerial: () => number;
  readonly #mostCopyBytes: number;
  /** Contents that were sent in this session, by name in hex: the host has them since. */
  readonly #sent = new Set<string>();
  /** By name in hex, in the order of their serials. */
  readonly #copies = new Map<string, Copy>();
  #copyBytes = 0;
  /** The host did not keep what it was sent: its disk is full, most likely. */
  #inVain = false;

  /** Throws ProtocolError where the host's filter is none. */
  constructor({ filter, largestBytes }: KeptContents, options: NamedContentsOptions) {
    this.#filter = ContentFilter.decode(filter);
    this.#policy = options.policy ?? new UploadPolicy({ largestBytes });
    this.#stats = options.stats;
    this.#nextSerial = options.nextSerial;
    this.#mostCopyBytes = options.copyBytes ?? COPY_BYTES;
  }

  /** The program has read a result. */
  readBack(): void {
    this.#policy.readBack();
  }

  /** How a payload goes under its name; undefined where it goes as bytes. */
  name(payload: Uint8Array, upload: Upload): Named | undefined {
    if (this.#inVain || !this.#policy.isWorthNaming(upload)) return undefined;
    // What another thread may be writing to just now must not change between its hash and its sending.
    const bytes = isArrayBuffer(payload.buffer) ? payload : payload.slice();
    const name = hashContent(bytes);
    const key = contentNameToHex(name);
    if (!this.#sent.has(key) && !this.#filter.mayHold(name)) return { mode: PAYLOAD.stored, name, bytes };
    if (!this.#keep(key, bytes, upload.text)) return undefined;
    this.#stats.contentsNamed += 1;
    this.#stats.bytesNotSent += bytes.length;
    return { mode: PAYLOAD.named, name, bytes };
  }

  /** A content went to the host with its name. */
  sent(name: ContentName): void {
    this.#sent.add(contentNameToHex(name));
    if (this.#sent.size > FILTER_NAMES) this.#sent.delete(this.#sent.values().next().value as string);
  }

  /** The host has answered an awaited command: it has carried out all that came before that. */
  answered(serial: number): void {
    for (const [key, copy] of this.#copies) {
      if (copy.serial > serial) return;
      this.#copies.delete(key);
      this.#copyBytes -= copy.bytes.length;
    }
  }

  /**
   * A batch with the content that the host asks for, to be sent before any other. Throws ProtocolError where
   * it cannot be missing it.
   */
  supply(name: ContentName): Uint8Array[] {
    const key = contentNameToHex(name);
    const copy = this.#copies.get(key);
    if (!copy) throw new ProtocolError('a content is missing that no command names');
    this.#stats.contentsNamed -= 1;
    this.#stats.bytesNotSent -= copy.bytes.length;
    // Each further one would wait for a round trip, too.
    if (this.#sent.has(key)) this.#inVain = true;
    this.sent(name);
    const w = new Writer();
    w.u64(copy.bytes.length * ITEM_KINDS + ITEM.content);
    w.append(name);
    w.append(copy.bytes);
    return w.take();
  }

  #keep(key: string, bytes: Uint8Array, text: boolean): boolean {
    const copy = this.#copies.get(key);
    if (!copy && this.#copyBytes + bytes.length > this.#mostCopyBytes) return false;
    // Put in again where it is there, so that the order stays that of the serials.
    this.#copies.delete(key);
    if (!copy) this.#copyBytes += bytes.length;
    // A text was encoded for this command alone; bytes are the program's.
    const kept = copy?.bytes ?? (text ? bytes : bytes.slice());
    this.#copies.set(key, { bytes: kept, serial: this.#nextSerial() });
    return true;
  }
}
