import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { makeFolder } from '../../link/files/make-folder.js';
import { wallClock } from '../../link/machine/clock.js';
import { hashContent } from '../../link/machine/hashing.js';
import { type ContentName, contentNameToHex, sameContentName } from '../../proto/content/content.js';
import { codeOf } from '../../proto/errors.js';
import {
  contentPath,
  type FolderSummary,
  readContent,
  scanSync,
  summarize,
  temporaryPath,
  writeWhole,
} from './content-folder.js';
import { FolderRoom } from './folder-room.js';
import type { WriteSchedule } from './write-schedule.js';

export interface ContentStoreOptions {
  /** The tenant's folder (`tenantFolder`). The first write makes it. */
  folder: string;
  /** How many bytes the folder may take. A file counts as the whole blocks that it occupies. */
  maxBytes: number;
  /** Called once for each kind of trouble, with one sentence. */
  log?: (message: string) => void;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Says when contents are written. Absent: as soon as they come. */
  schedule?: WriteSchedule | undefined;
  /** Writes a whole new file with that time of use. Only this user can read it. */
  writeFile?: (path: string, bytes: Uint8Array, used: Date) => Promise<void>;
}

/** The most bytes that wait to be written, and the most memory that they keep. Further contents are not stored. */
const PENDING_BYTES = 256 << 20;

/** Errors of this process or of the moment. They say nothing about the file. */
const NOT_THE_FILES_FAULT = new Set(['ENOENT', 'EMFILE', 'ENFILE', 'ENOMEM']);

interface Pending {
  readonly bytes: Uint8Array;
  writes: number;
}

/**
 * The contents that a tenant's programs have uploaded, on disk, by name. The store promises nothing: it may fail to keep
 * a content, and a kept content may be gone. But `read` never gives a content that was changed on disk,
 * because this process hashes it.
 *
 * Several processes may have stores on one folder. They share the disk alone, without locks: a content appears and
 * disappears as a whole, and two files of one name are equal.
 */
export class ContentStore {
  /** The size of the largest content that is stored, so that one content does not evict all others. */
  readonly largestBytes: number;

  readonly #folder: string;
  readonly #room: FolderRoom;
  readonly #log: (message: string) => void;
  readonly #now: () => number;
  readonly #schedule: WriteSchedule | undefined;
  readonly #writeFile: NonNullable<ContentStoreOptions['writeFile']>;
  readonly #told = new Set<string>();

  /** Contents that are not on disk yet, by name in hex. They are read from here. */
  readonly #pending = new Map<string, Pending>();
  #pendingBytes = 0;
  /** The memory that they keep. They are parts of frames, which may be much longer. */
  readonly #memory = new PinnedMemory();
  /** Writes go one after another, because each must know how much room the last one took. */
  #lastWrite: Promise<unknown> = Promise.resolve();

  /** Does not touch the disk. Where the folder cannot be used, reads and writes fail later. */
  constructor({ folder, maxBytes, log, now, schedule, writeFile }: ContentStoreOptions) {
    this.largestBytes = Math.floor(maxBytes / 4);
    this.#folder = folder;
    this.#log = log ?? (() => {});
    this.#now = now ?? wallClock;
    this.#room = new FolderRoom(folder, maxBytes, this.#now);
    this.#schedule = schedule;
    this.#writeFile = writeFile ?? writeWhole;
  }

  /** The names of the contents on disk, the most recently used first. */
  names(): ContentName[] {
    const files = this.#scanOrNothing().sort((a, b) => b.used - a.used);
    return files.flatMap(({ name }) => (name ? [name] : []));
  }

  summary(): FolderSummary {
    return summarize(this.#scanOrNothing());
  }

  /** Whether there seems to be a content of this name. `read` may still find that it is gone or damaged. */
  has(name: ContentName): boolean {
    return this.#pending.has(contentNameToHex(name)) || existsSync(contentPath(this.#folder, name));
  }

  /**
   * The content of that name, or undefined where the store has none. Never write to these bytes: they may be the same
   * ones that `write` was given.
   */
  read(name: ContentName): Uint8Array | undefined {
    const pending = this.#pending.get(contentNameToHex(name));
    if (pending) return pending.bytes;
    const path = contentPath(this.#folder, name);
    try {
      const bytes = readContent(path, this.largestBytes, this.#now());
      if (bytes && sameContentName(hashContent(bytes), name)) return bytes;
      this.#tell('damaged', `a stored content was damaged and is now deleted from ${this.#folder}`);
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'ENOENT') this.#tellUnreadable(error);
      if (code === undefined || NOT_THE_FILES_FAULT.has(code)) return undefined;
    }
    // If another process has just repaired the file, this deletes a good one. Then the content is uploaded again.
    try {
      rmSync(path, { force: true, recursive: true });
    } catch {
      // The file stays, and the next read finds it unusable again.
    }
    return undefined;
  }

  /**
   * Stores the content, and never throws. The store owns `bytes` from now on: never write to them, because `read` gives
   * them out until they are on disk.
   *
   * @param hash `checked` where the name was just made of these bytes.
   * @returns whether the content is on disk. It is not where `bytes` are another content.
   */
  async write(name: ContentName, bytes: Uint8Array, hash?: 'checked'): Promise<boolean> {
    if (bytes.length > this.largestBytes) return false;
    if (hash !== 'checked' && !sameContentName(hashContent(bytes), name)) return false;
    if (Math.max(this.#pendingBytes + bytes.length, this.#memory.bytes) > PENDING_BYTES) {
      this.#tell(
        'slow',
        `uploads arrive faster than ${this.#folder} can be written: some of them are not kept`,
      );
      return false;
    }
    const key = contentNameToHex(name);
    const pending = this.#pending.get(key) ?? { bytes, writes: 0 };
    pending.writes += 1;
    this.#pending.set(key, pending);
    this.#pendingBytes += bytes.length;
    this.#memory.add(bytes);
    this.#schedule?.takes(this.#memory.bytes);
    const written = this.#inTurn(() => this.#store(name, bytes));
    this.#lastWrite = written;
    const stored = await written;
    this.#pendingBytes -= bytes.length;
    this.#memory.remove(bytes);
    this.#schedule?.takes(this.#memory.bytes);
    pending.writes -= 1;
    if (pending.writes === 0) this.#pending.delete(key);
    return stored;
  }

  /** Resolves when each content that `write` got so far is on disk, or will not be kept. */
  async idle(): Promise<void> {
    const written = this.#lastWrite;
    this.#schedule?.hurry(written);
    await written;
  }

  /** Writes after the last write, and when the schedule says so. */
  #inTurn(write: () => Promise<boolean>): Promise<boolean> {
    const schedule = this.#schedule;
    if (!schedule) return this.#lastWrite.then(write);
    const since = schedule.now();
    return this.#lastWrite.then(() => schedule.next(since)).then(write);
  }

  async #store(name: ContentName, bytes: Uint8Array): Promise<boolean> {
    try {
      await this.#room.makeFor(bytes.length);
      await this.#writeAndRename(name, bytes);
      await this.#room.taken(bytes.length);
      return true;
    } catch (error) {
      const code = codeOf(error) ?? String(error);
      this.#tell(`write ${code}`, `${this.#folder} cannot be written (${code}): uploads are not kept`);
      return false;
    }
  }

  /**
   * Writes a temporary file and renames it, so that the content appears as a whole. A file that is there already is
   * replaced, which repairs it. Nothing is synced to the medium: after a power failure the hash finds a half-written
   * file.
   */
  async #writeAndRename(name: ContentName, bytes: Uint8Array): Promise<void> {
    const temporary = temporaryPath(this.#folder, randomBytes(16));
    try {
      const used = new Date(this.#now());
      await this.#writeFile(temporary, bytes, used).catch(async (error) => {
        if (codeOf(error) !== 'ENOENT') throw error;
        // This is the first write, or somebody deleted the folder.
        makeFolder(this.#folder, 0o700);
        await this.#writeFile(temporary, bytes, used);
      });
      await rename(temporary, contentPath(this.#folder, name));
    } catch (error) {
      // The caller gets the error of the write. An abandoned file that stays counts as used room until it is evicted.
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
  }

  #scanOrNothing() {
    try {
      return scanSync(this.#folder);
    } catch (error) {
      this.#tellUnreadable(error);
      return [];
    }
  }

  #tellUnreadable(error: unknown): void {
    const code = codeOf(error) ?? String(error);
    this.#tell(
      `read ${code}`,
      `${this.#folder} cannot be read (${code}): programs upload again what is in it`,
    );
  }

  #tell(kind: string, message: string): void {
    if (this.#told.has(kind)) return;
    this.#told.add(kind);
    this.#log(message);
  }
}

/** Counts the memory that bytes keep from being freed: each buffer that some of them lie in counts whole, and once. */
export class PinnedMemory {
  /** How many of the bytes lie in each buffer. */
  readonly #buffers = new Map<ArrayBufferLike, number>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add({ buffer }: Uint8Array): void {
    const there = this.#buffers.get(buffer) ?? 0;
    if (there === 0) this.#bytes += buffer.byteLength;
    this.#buffers.set(buffer, there + 1);
  }

  /** Takes back one `add` of bytes in the same buffer. */
  remove({ buffer }: Uint8Array): void {
    const left = (this.#buffers.get(buffer) ?? 0) - 1;
    if (left > 0) {
      this.#buffers.set(buffer, left);
    } else if (this.#buffers.delete(buffer)) {
      this.#bytes -= buffer.byteLength;
    }
  }
}
