import { createCipheriv, createDecipheriv } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';

/** AES in Galois/counter mode: a record that was changed, cut off, moved or written with another key cannot be read. */
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LENGTH_BYTES = 4;

/** A part of a parked session: a value, and bytes that belong to it. */
export interface ParkedRecord {
  readonly value: unknown;
  readonly bytes: Uint8Array;
}

/** The last record. A file that was cut off between two records has none. */
const END = 'end';

const NOTHING = new Uint8Array(0);

/** Writes the file of a parked session. Only the holder of the key can read it. */
export class ParkedFileWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #key: Uint8Array;
  readonly #mostBytes: number;
  #records = 0;
  #bytes = 0;

  /** @throws Error (rejects) where the file cannot be made, or is there already. */
  static async create(path: string, key: Uint8Array, mostBytes: number): Promise<ParkedFileWriter> {
    return new ParkedFileWriter(path, await open(path, 'wx', 0o600), key, mostBytes);
  }

  private constructor(path: string, file: FileHandle, key: Uint8Array, mostBytes: number) {
    this.#path = path;
    this.#file = file;
    this.#key = key;
    this.#mostBytes = mostBytes;
  }

  /** The bytes of the file so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Writes a record. The bytes may change afterwards. @throws Error (rejects) where the disk or the quota is full. */
  async write(value: unknown, bytes: Uint8Array = NOTHING): Promise<void> {
    const header = serialize(value);
    const cipher = createCipheriv(CIPHER, this.#key, nonce(this.#records));
    this.#records += 1;
    const lengths = Buffer.alloc(LENGTH_BYTES);
    lengths.writeUInt32LE(header.length);
    const sealed = [lengths, header, bytes].map((part) => cipher.update(part));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(sealed.reduce((sum, part) => sum + part.length, 0));
    cipher.final();
    const record = Buffer.concat([length, ...sealed, cipher.getAuthTag()]);
    this.#bytes += record.length;
    if (this.#bytes > this.#mostBytes)
      throw new Error(`it takes more than the ${this.#mostBytes} bytes that are left for parked sessions`);
    for (let at = 0; at < record.length; ) at += (await this.#file.write(record, at)).bytesWritten;
  }

  /** Completes the file. */
  async end(): Promise<void> {
    await this.write(END);
    await this.#file.close();
  }

  /** Removes the file. */
  async abandon(): Promise<void> {
    // The file is removed in any case, and the caller has the error that made it useless.
    await this.#file.close().catch(() => {});
    await rm(this.#path, { force: true });
  }
}

/**
 * The records of a parked session's file, in order. Each is checked before it is given out.
 *
 * @throws Error (rejects) where the file is missing, damaged, incomplete, or was written with another key.
 */
export async function* readParkedFile(path: string, key: Uint8Array): AsyncGenerator<ParkedRecord> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    let at = 0;
    const read = async (length: number) => {
      if (at + length > size) throw new Error('the file of the parked session is incomplete');
      const bytes = Buffer.allocUnsafe(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(bytes, done, length - done, at + done);
        if (bytesRead === 0) throw new Error('the file of the parked session is incomplete');
        done += bytesRead;
      }
      at += length;
      return bytes;
    };
    for (let count = 0; ; count += 1) {
      const sealed = await read((await read(LENGTH_BYTES)).readUInt32LE());
      const tag = await read(TAG_BYTES);
      const record = unseal(key, count, sealed, tag);
      if (record.value === END) return;
      yield record;
    }
  } finally {
    await file.close();
  }
}

function unseal(key: Uint8Array, count: number, sealed: Buffer, tag: Buffer): ParkedRecord {
  const decipher = createDecipheriv(CIPHER, key, nonce(count));
  decipher.setAuthTag(tag);
  const plain = decipher.update(sealed);
  try {
    decipher.final();
  } catch {
    throw new Error('the file of the parked session is damaged, or belongs to another one');
  }
  const start = LENGTH_BYTES + plain.readUInt32LE();
  return { value: deserialize(plain.subarray(LENGTH_BYTES, start)), bytes: plain.subarray(start) };
}

/** Each file has a key of its own, so that the number of the record is used once. */
function nonce(record: number): Uint8Array {
  const bytes = Buffer.alloc(NONCE_BYTES);
  bytes.writeUIntLE(record, 0, 6);
  return bytes;
}
