import { hashContent } from '../../link/machine/hashing.js';
import { type ContentName, contentNameToHex } from '../../proto/content/content.js';
import { ContentFilter, FILTER_NAMES } from '../../proto/content/content-filter.js';
import { ProtocolError } from '../../proto/errors.js';
import type { KeptContents } from '../../proto/session/handshake.js';
import { isArrayBuffer } from '../../proto/webidl/slots.js';
import { ITEM, ITEM_KINDS, PAYLOAD } from '../../proto/wire/template.js';
import { Writer } from '../../proto/wire/writer.js';
import type { Stats } from '../session/stats.js';
import { type Upload, UploadPolicy } from './upload-policy.js';

/** A payload that is sent by its name. */
export interface Named {
  readonly mode: typeof PAYLOAD.stored | typeof PAYLOAD.named;
  readonly name: ContentName;
  /** The content. Nobody writes to it while it is being sent. */
  readonly bytes: Uint8Array;
}

export interface NamedContentsOptions {
  stats: Stats;
  /** The serial of the next awaited command. */
  nextSerial(): number;
  policy?: UploadPolicy;
  /** How many bytes of copies are kept at most. */
  copyBytes?: number;
}

/** How many bytes may be sent by name alone while the host can still ask for them. */
const COPY_BYTES = 256 << 20;

/** A content that was sent by its name alone. */
interface Copy {
  readonly bytes: Uint8Array;
  /** When this awaited command is answered, the host has certainly had the content. */
  serial: number;
}

/**
 * Decides which payloads of a session go by name alone, because the host has their contents. It keeps their
 * bytes until the host has certainly executed the commands that name them. It only guesses what the host has:
 * if the guess is wrong, the host asks for the content and gets it.
 */
export class NamedContents {
  readonly #filter: ContentFilter;
  readonly #policy: UploadPolicy;
  readonly #stats: Stats;
  readonly #nextSerial: () => number;
  readonly #mostCopyBytes: number;
  /** Contents that were sent in this session, by name in hex: the host has them now. */
  readonly #sent = new Set<string>();
  /** By name in hex, in the order of their serials. */
  readonly #copies = new Map<string, Copy>();
  #copyBytes = 0;
  /** The host did not keep a content that it was sent: most likely its disk is full. */
  #inVain = false;

  /** Throws ProtocolError if the host's filter is malformed. */
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

  /** Names a payload; undefined if it is to be sent as bytes. */
  name(payload: Uint8Array, upload: Upload): Named | undefined {
    if (this.#inVain || !this.#policy.isWorthNaming(upload)) return undefined;
    // Another thread may be writing to shared memory. It must not change between hashing and sending.
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

  /** The host has replied to an awaited command: it has executed everything before it. */
  answered(serial: number): void {
    for (const [key, copy] of this.#copies) {
      if (copy.serial > serial) return;
      this.#copies.delete(key);
      this.#copyBytes -= copy.bytes.length;
    }
  }

  /**
   * Makes a flush with the content that the host asks for, to be sent before any other. Throws ProtocolError
   * if the host cannot miss that content.
   */
  supply(name: ContentName): Uint8Array[] {
    const key = contentNameToHex(name);
    const copy = this.#copies.get(key);
    if (!copy) throw new ProtocolError('a content is missing that no command names');
    this.#stats.contentsNamed -= 1;
    this.#stats.bytesNotSent -= copy.bytes.length;
    // Each further one would cost a round trip, too.
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
    // Inserted again if it is there, so that the order stays that of the serials.
    this.#copies.delete(key);
    if (!copy) this.#copyBytes += bytes.length;
    // A text was encoded for this command alone, while bytes belong to the program.
    const kept = copy?.bytes ?? (text ? bytes : bytes.slice());
    this.#copies.set(key, { bytes: kept, serial: this.#nextSerial() });
    return true;
  }
}
