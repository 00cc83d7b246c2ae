import { type FileHandle, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import type { Tensor } from '../../infer/service/tensor.js';
import { messageOf } from '../../proto/errors.js';
import { makeDurableFolder, syncFolder } from './folders.js';

/** A record that a source gives to the log. */
export interface NewRecord {
  /** Records with one key keep their order. Without a newline. */
  readonly key: string;
  readonly values: Readonly<Record<string, Tensor>>;
  /** How far the source has read for this key: it goes on there after a restart. */
  readonly position?: unknown;
  /** W3C Trace Context of the span that the record belongs to. */
  readonly traceparent?: string;
}

export interface LoggedRecord extends NewRecord {
  readonly offset: number;
}

/** The records of one source, in the order in which they were taken. */
export interface SourceLog {
  /** The offset of the next record. */
  readonly end: number;
  /** How much room it takes. */
  readonly bytes: number;
  /** Resolves with the record's offset once it is safe. */
  append(record: NewRecord): Promise<number>;
  cursor(offset: number): Cursor;
  /** Frees room that only records before this offset take. */
  trim(before: number): Promise<void>;
  /** Deletes all of it, and closes it. */
  delete(): Promise<void>;
  close(): Promise<void>;
}

export interface Cursor {
  /** The next record; undefined at the end of the log. */
  next(): Promise<LoggedRecord | undefined>;
  close(): Promise<void>;
}

export interface RecordLogOptions {
  readonly folder: string;
  /** Whether a record survives a power cut once it was taken, and not only the end of this process. */
  readonly durable: boolean;
  /** No record before this offset is read any more. A log that ends before it, as where its end was lost, goes on there. */
  readonly from?: number;
  /** Bytes of a file, before another is begun; 64 MiB if left out. */
  readonly segmentBytes?: number;
}

/** The log is broken: nothing can be appended until it is opened again. */
export class BrokenLogError extends Error {}

/** A record that can never be logged. */
export class UnfitRecordError extends Error {}

const NAME = /^(\d{16})\.log$/;
/** Of each record: the length and the checksum of its bytes. */
const HEADER_BYTES = 8;
/** No record may be longer. */
export const MOST_RECORD_BYTES = 64 << 20;
const READ_BYTES = 1 << 20;

interface Segment {
  readonly file: string;
  /** The offset of its first record. */
  readonly first: number;
  bytes: number;
}

interface Waiting {
  readonly bytes: Buffer;
  resolve(offset: number): void;
  reject(error: unknown): void;
}

/**
 * The records of one source, in files that are only appended to. The number of a record is its offset. A last file that
 * ends within a record, as after a crash, is cut there: nobody was told that this record was taken.
 */
export class RecordLog implements SourceLog {
  readonly #folder: string;
  readonly #durable: boolean;
  readonly #segmentBytes: number;
  readonly #from: number;
  /** The last one is written. Only an empty log has none. */
  readonly segments: Segment[] = [];
  #file: FileHandle | undefined;
  #end = 0;
  /** The next record does not follow the last one of the last file. */
  #hasGap = false;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /** Why nothing can be appended any more. */
  #broken: Error | undefined;

  /** @throws Error where the folder cannot be used, or a file in it is spoilt (rejects) */
  static async open(options: RecordLogOptions): Promise<RecordLog> {
    const log = new RecordLog(options);
    await log.#open();
    return log;
  }

  private constructor({ folder, durable, from = 0, segmentBytes = 64 << 20 }: RecordLogOptions) {
    this.#folder = folder;
    this.#durable = durable;
    this.#from = from;
    this.#segmentBytes = segmentBytes;
  }

  /** The offset of the next record. */
  get end(): number {
    return this.#end;
  }

  /** Bytes of its files. */
  get bytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Resolves with the record's offset once it is written. @throws Error where the disk does not take it (rejects) */
  append(record: NewRecord): Promise<number> {
    const payload = serialize(record);
    if (payload.length > MOST_RECORD_BYTES)
      return Promise.reject(new UnfitRecordError(`a record has ${payload.length} bytes, more than 64 MiB`));
    const bytes = Buffer.alloc(HEADER_BYTES + payload.length);
    bytes.writeUInt32LE(payload.length, 0);
    bytes.writeUInt32LE(crc32(payload), 4);
    bytes.set(payload, HEADER_BYTES);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  /** Reads from an offset on. The caller closes it. */
  cursor(offset: number): LogCursor {
    return new LogCursor(this, offset);
  }

  /** Deletes files whose records all come before this offset. */
  async trim(before: number): Promise<void> {
    while ((this.segments[1]?.first ?? Number.POSITIVE_INFINITY) <= before) {
      const segment = this.segments.shift();
      if (segment) await rm(segment.file, { force: true });
    }
  }

  async delete(): Promise<void> {
    await this.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    this.#broken ??= new Error('the log is closed');
    await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #open(): Promise<void> {
    await makeDurableFolder(this.#folder);
    const firsts = (await readdir(this.#folder)).flatMap((name) => NAME.exec(name)?.[1] ?? []);
    for (const first of firsts.sort()) {
      const file = join(this.#folder, `${first}.log`);
      this.segments.push({ file, first: Number(first), bytes: (await stat(file)).size });
    }
    const last = this.segments.at(-1);
    if (last) {
      this.#file = await open(last.file, 'r+');
      const { records, bytes } = await wholeRecords(this.#file);
      await this.#file.truncate(bytes);
      last.bytes = bytes;
      this.#end = last.first + records;
    }
    this.#hasGap = this.#end < this.#from;
    if (this.#hasGap) this.#end = this.#from;
  }

  /** One write for all records that wait. It never rejects: each record has its own error. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#broken) throw this.#broken;
        await this.#write(waiting.map(({ bytes }) => bytes));
      } catch (error) {
        // How much of it is on the disk is not known. The next start finds out.
        this.#broken ??= new BrokenLogError(
          `the log in ${this.#folder} cannot be written: ${messageOf(error)}`,
        );
        for (const { reject } of waiting) reject(this.#broken);
        continue;
      }
      for (const { resolve } of waiting) {
        resolve(this.#end);
        this.#end += 1;
      }
    }
    this.#writing = undefined;
  }

  async #write(records: readonly Buffer[]): Promise<void> {
    let segment = this.segments.at(-1);
    if (!segment || segment.bytes >= this.#segmentBytes || this.#hasGap) {
      segment = {
        file: join(this.#folder, `${String(this.#end).padStart(16, '0')}.log`),
        first: this.#end,
        bytes: 0,
      };
      // Only the last file may end within a record.
      if (!this.#durable) await this.#file?.datasync();
      await this.#file?.close();
      this.#file = await open(segment.file, 'ax');
      if (this.#durable) await syncFolder(this.#folder);
      this.segments.push(segment);
      this.#hasGap = false;
    }
    const file = this.#file as FileHandle;
    const length = records.reduce((sum, { length }) => sum + length, 0);
    const { bytesWritten } = await file.writev(records, segment.bytes);
    // A disk that gets full takes a part, and that is no error.
    if (bytesWritten < length) throw new Error(`the disk took ${bytesWritten} of ${length} bytes`);
    if (this.#durable) await file.datasync();
    segment.bytes += length;
  }
}

/** Reads a log from an offset on, one record after the other. */
class LogCursor implements Cursor {
  readonly #log: RecordLog;
  #offset: number;
  #segment: Segment | undefined;
  #file: FileHandle | undefined;
  #position = 0;
  /** Bytes that were read and not yet taken. */
  #bytes: Buffer = Buffer.alloc(0);

  constructor(log: RecordLog, offset: number) {
    this.#log = log;
    this.#offset = offset;
  }

  /** The next record; undefined at the end of the log. @throws Error where a file is spoilt (rejects) */
  async next(): Promise<LoggedRecord | undefined> {
    if (this.#offset >= this.#log.end) return undefined;
    if (!this.#segment) await this.#seek();
    let payload = await this.#payload();
    if (!payload) {
      await this.#enter(this.#log.segments.find(({ first }) => first === this.#offset));
      payload = await this.#payload();
    }
    if (!payload) throw this.#spoilt();
    return { offset: this.#offset++, ...(deserialize(payload) as NewRecord) };
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async #seek(): Promise<void> {
    const segment = this.#log.segments.findLast(({ first }) => first <= this.#offset);
    await this.#enter(segment);
    for (let at = segment?.first ?? 0; at < this.#offset; at += 1)
      if (!(await this.#payload())) throw this.#spoilt();
  }

  async #enter(segment: Segment | undefined): Promise<void> {
    if (!segment) throw this.#spoilt();
    await this.#file?.close();
    this.#segment = segment;
    this.#file = await open(segment.file, 'r');
    this.#position = 0;
    this.#bytes = Buffer.alloc(0);
  }

  /** The bytes of the next record in this file; undefined at its end. */
  async #payload(): Promise<Buffer | undefined> {
    if (!(await this.#has(HEADER_BYTES))) return undefined;
    const length = this.#bytes.readUInt32LE(0);
    const checksum = this.#bytes.readUInt32LE(4);
    if (!isLength(length) || !(await this.#has(HEADER_BYTES + length))) throw this.#spoilt();
    const payload = this.#bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
    this.#bytes = this.#bytes.subarray(HEADER_BYTES + length);
    if (crc32(payload) !== checksum) throw this.#spoilt();
    return payload;
  }

  /** Reads until there are so many bytes. @returns false where the file has no more. */
  async #has(length: number): Promise<boolean> {
    while (this.#bytes.length < length) {
      const room = Buffer.allocUnsafe(Math.max(READ_BYTES, length - this.#bytes.length));
      const most = Math.min(room.length, (this.#segment?.bytes ?? 0) - this.#position);
      if (most <= 0) return false;
      const { bytesRead } = await (this.#file as FileHandle).read(room, 0, most, this.#position);
      if (bytesRead === 0) return false;
      this.#position += bytesRead;
      this.#bytes = Buffer.concat([this.#bytes, room.subarray(0, bytesRead)]);
    }
    return true;
  }

  #spoilt(): Error {
    const file = this.#segment?.file ?? 'the log';
    return new Error(
      `${file} is spoilt at record ${this.#offset}; put back a copy, or begin with another folder`,
    );
  }
}

/** A power cut may leave zeros at the end of a file, and no record is empty. */
function isLength(length: number): boolean {
  return length > 0 && length <= MOST_RECORD_BYTES;
}

/** How many whole records a file begins with, and how many bytes they have. */
async function wholeRecords(file: FileHandle): Promise<{ records: number; bytes: number }> {
  const { size } = await file.stat();
  let records = 0;
  let bytes = 0;
  const header = Buffer.alloc(HEADER_BYTES);
  for (;;) {
    await file.read(header, 0, HEADER_BYTES, bytes);
    const length = header.readUInt32LE(0);
    if (bytes + HEADER_BYTES + length > size || !isLength(length)) return { records, bytes };
    const payload = Buffer.alloc(length);
    await file.read(payload, 0, length, bytes + HEADER_BYTES);
    if (crc32(payload) !== header.readUInt32LE(4)) return { records, bytes };
    records += 1;
    bytes += HEADER_BYTES + length;
  }
}
