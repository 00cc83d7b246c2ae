/**
 * The file of a recorded session (docs/traces.md):
 *
 *     magic     8 bytes: FLTRACE and the version of the format, 1
 *     header    u32 length, JSON in UTF-8
 *     blocks    u32 length, u32 length when unpacked, u32 CRC-32 of what follows; records, packed (raw deflate)
 *
 * and within a block, one after the other and never across two:
 *
 *     record    u8 kind, f64 milliseconds since the recording began, u32 length, bytes
 *
 * Numbers are little-endian. Each block is whole by itself: a file that was cut off can be used up to its
 * last whole block.
 */
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import { FarlightError } from '../../../proto/errors.js';
import { LIMITS } from '../../../proto/wire/limits.js';

export const RECORD = {
  /** A frame to the host. */
  up: 0,
  /** A frame from the host. */
  down: 1,
  /** The host's description of itself, in JSON: a RecordedWelcome. */
  welcome: 2,
  /** The link closed; the reason in JSON: a RecordedEnd. */
  closed: 3,
} as const;

export type RecordKind = (typeof RECORD)[keyof typeof RECORD];

export interface RecordingHeader {
  /** The version of the package that recorded. */
  farlight: string;
  /** The protocol version of the frames. */
  protocol: number;
  /** The file name of the program's main script. */
  program: string;
  /** ISO 8601. */
  recordedAt: string;
}

export interface RecordedWelcome {
  farlight: string;
  adapter: string;
}

export interface RecordedEnd {
  code: string;
  message: string;
}

export interface RecordingRecord {
  readonly kind: RecordKind;
  readonly ms: number;
  readonly bytes: Uint8Array;
}

const MAGIC = Buffer.from('FLTRACE\x01', 'latin1');
const HEADER_BYTES = 64 << 10;
const BLOCK_HEAD = 12;
const RECORD_HEAD = 13;
/** A block is written when it has this many bytes. */
const BLOCK_BYTES = 256 << 10;
/** The longest block that a reader accepts: an almost full one with one more frame. */
const BLOCK_LIMIT = BLOCK_BYTES + LIMITS.frameBytes + RECORD_HEAD + (64 << 10);
/** Fast: a recording must not slow down the program. */
const LEVEL = 1;

/** Writes a recording in blocks. */
export class RecordingWriter {
  readonly #write: (bytes: Uint8Array) => void;
  #records: Uint8Array[] = [];
  #length = 0;

  constructor(header: RecordingHeader, write: (bytes: Uint8Array) => void) {
    this.#write = write;
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(json.length);
    write(Buffer.concat([MAGIC, length, json]));
  }

  /** Copies the bytes. `ms` are milliseconds since the recording began. */
  add(kind: RecordKind, ms: number, bytes: Uint8Array): void {
    const record = Buffer.alloc(RECORD_HEAD + bytes.length);
    record.writeUInt8(kind);
    record.writeDoubleLE(ms, 1);
    record.writeUInt32LE(bytes.length, 9);
    record.set(bytes, RECORD_HEAD);
    this.#records.push(record);
    this.#length += record.length;
    if (this.#length >= BLOCK_BYTES) this.flush();
  }

  addObject(kind: RecordKind, ms: number, object: RecordedWelcome | RecordedEnd): void {
    this.add(kind, ms, Buffer.from(JSON.stringify(object)));
  }

  /** Writes the records that wait for a full block. */
  flush(): void {
    if (this.#records.length === 0) return;
    const packed = deflateRawSync(Buffer.concat(this.#records), { level: LEVEL });
    const head = Buffer.alloc(BLOCK_HEAD);
    head.writeUInt32LE(packed.length);
    head.writeUInt32LE(this.#length, 4);
    head.writeUInt32LE(crc32(packed), 8);
    this.#records = [];
    this.#length = 0;
    this.#write(Buffer.concat([head, packed]));
  }
}

/** Returns the next bytes of a file: `length` of them, or fewer at its end. */
export type ReadBytes = (length: number) => Uint8Array;

/**
 * Reads a recording, block by block. It may come from anyone, so each length is checked against a limit
 * before memory is taken for it.
 */
export class RecordingReader {
  readonly header: RecordingHeader;
  readonly #read: ReadBytes;
  #truncated = false;

  /** @throws FarlightError BAD_RECORDING if the file is no recording. */
  constructor(read: ReadBytes) {
    this.#read = read;
    const magic = read(MAGIC.length);
    if (!MAGIC.subarray(0, -1).equals(magic.subarray(0, -1)))
      throw bad('it is not a recording of farlight; name a file that farlight run --record wrote');
    if (magic[MAGIC.length - 1] !== MAGIC[MAGIC.length - 1]) {
      throw bad('its format has another version; use the farlight that recorded it');
    }
    const length = read(4);
    if (length.length < 4) throw bad('its header is cut off');
    const json = read(Math.min(view(length).getUint32(0, true), HEADER_BYTES + 1));
    this.header = toHeader(toObject(json));
  }

  /** The file ended within a block: it was cut off, or the recorded program was killed. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /** @throws FarlightError BAD_RECORDING if the file is damaged. */
  *records(): Generator<RecordingRecord, void, undefined> {
    for (let block = 1; ; block += 1) {
      const head = this.#read(BLOCK_HEAD);
      if (head.length < BLOCK_HEAD) {
        this.#truncated = head.length > 0;
        return;
      }
      const [length, unpacked, sum] = [0, 4, 8].map((at) => view(head).getUint32(at, true)) as [
        number,
        number,
        number,
      ];
      if (length > BLOCK_LIMIT || unpacked > BLOCK_LIMIT) throw bad(`block ${block} is too long`);
      const packed = this.#read(length);
      if (packed.length < length) {
        this.#truncated = true;
        return;
      }
      if (crc32(packed) !== sum) throw bad(`block ${block} is damaged`);
      yield* recordsOf(unpack(packed, unpacked, block), block);
    }
  }
}

function unpack(packed: Uint8Array, length: number, block: number): Uint8Array {
  try {
    const bytes = inflateRawSync(packed, { maxOutputLength: Math.max(length, 1) });
    if (bytes.length === length) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch {
    // Thrown below.
  }
  throw bad(`block ${block} cannot be unpacked`);
}

function* recordsOf(block: Uint8Array, number: number): Generator<RecordingRecord, void, undefined> {
  const data = view(block);
  for (let at = 0; at < block.length; ) {
    const length = at + RECORD_HEAD <= block.length ? data.getUint32(at + 9, true) : Number.POSITIVE_INFINITY;
    const end = at + RECORD_HEAD + length;
    const kind = data.getUint8(at);
    if (end > block.length || kind > RECORD.closed) throw bad(`block ${number} has a malformed record`);
    yield {
      kind: kind as RecordKind,
      ms: data.getFloat64(at + 1, true),
      bytes: block.slice(at + RECORD_HEAD, end),
    };
    at = end;
  }
}

/** The content of a `welcome` or `closed` record. @throws FarlightError BAD_RECORDING if it is malformed. */
export function objectOf({ bytes }: RecordingRecord): Record<string, unknown> {
  return toObject(bytes);
}

function toObject(json: Uint8Array): Record<string, unknown> {
  try {
    if (json.length <= HEADER_BYTES) {
      const object = JSON.parse(Buffer.from(json).toString());
      if (typeof object === 'object' && object !== null) return object;
    }
  } catch {
    // Thrown below.
  }
  throw bad('its description cannot be read');
}

function toHeader({ farlight, protocol, program, recordedAt }: Record<string, unknown>): RecordingHeader {
  const texts = [farlight, program, recordedAt].every((each) => typeof each === 'string');
  if (!texts || !Number.isSafeInteger(protocol)) throw bad('its description is incomplete');
  return { farlight, protocol, program, recordedAt } as RecordingHeader;
}

/** The error for a file that cannot be used. */
export function bad(why: string): FarlightError {
  return new FarlightError('BAD_RECORDING', `the recording cannot be replayed: ${why}`);
}

function view({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
