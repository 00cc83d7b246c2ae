import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  futimesSync,
  openSync,
  readSync,
  rmSync,
} from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { wallClock } from '../../link/machine/clock.js';
import { hashContent } from '../../link/machine/hashing.js';
import { type ContentName, contentNameToHex, sameContentName } from '../../proto/content.js';
import { codeOf } from '../../proto/errors.js';
import {
  clearFolder,
  contentPath,
  type FolderSummary,
  scanSync,
  summarize,
  temporaryPath,
} from './content-folder.js';
import { FolderRoom } from './folder-room.js';
import { PinnedMemory } from './held-memory.js';
import type { WriteSchedule } from './write-schedule.js';

export interface ContentStoreOptions {
  /** One tenant's folder (`tenantFolder`). It is made when something is first written. */
  folder: string;
  /** What the folder may take. Files count as the whole blocks that they occupy. */
  maxBytes: number;
  /** Told once of each kind of trouble, in one sentence. */
  log?: (message: string) => void;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** When contents are written. Absent: as soon as they come. */
  schedule?: WriteSchedule | undefined;
  /** Writes a new file whole, readable by this user alone, with that time of use. */
  writeFile?: (path: string, bytes: Uint8Array, used: Date) => Promise<void>;
}

/**
 * The use of a content is noted on disk at most this often, so that reading it writes nothing: what
 * was used within the same hour is evicted in any order.
 */
const USE_PRECISION_MS = 3_600_000;

/** Bytes that may wait to be written, and memory that they may take; what comes on top is not stored. */
const PENDING_BYTES = 256 << 20;

/** Trouble of this process or of the moment, which says nothing about the file. */
const NOT_THE_FILES_FAULT = new Set(['ENOENT', 'EMFILE', 'ENFILE', 'ENOMEM']);

interface Pending {
  readonly bytes: Uint8Array;
  writes: number;
}

/**
 * The contents that a tenant's programs have uploaded, on disk, by name. A store is an aid and no
 * promise: what cannot be kept is not kept, and what was kept may be gone. But what `read` gives is
 * the content of that name, whatever has happened to the disk: it was hashed in this process.
 *
 * Several processes may have stores on one folder. The disk is all that they share, without locks:
 * a content appears and disappears as a whole, and two files of one name are the same.
 */
export class ContentStore {
  /** Bytes of the largest content that is stored: the rest of the room is left to others. */
  readonly largestBytes: number;

  readonly #folder: string;
  readonly #room: FolderRoom;
  readonly #log: (message: string) => void;
  readonly #now: () => number;
  readonly #schedule: WriteSchedule | undefined;
  readonly #writeFile: NonNullable<ContentStoreOptions['writeFile']>;
  readonly #told = new Set<string>();

  /** By name in hex. Until a content is on disk it is read from here. */
  readonly #pending = new Map<string, Pending>();
  #pendingBytes = 0;
  /** They are parts of frames, which may be much longer. */
  readonly #memory = new PinnedMemory();
  /** Writes go one after another: each has to know what room the one before it has taken. */
  #lastWrite: Promise<unknown> = Promise.resolve();

  /** Touches nothing: a folder that cannot be used gives `undefined` and `false` later. */
  constructor({ folder, maxBytes, log, now, schedule, writeFile }: ContentStoreOptions) {
    this.largestBytes = Math.floor(maxBytes / 4);
    this.#folder = folder;
    this.#log = log ?? (() => {});
    this.#now = now ?? wallClock;
    this.#room = new FolderRoom(folder, maxBytes, this.#now);
    this.#schedule = schedule;
    this.#writeFile = writeFile ?? writeWhole;
  }

  /** What is on disk now, the most recently used first. */
  names(): ContentName[] {
    const files = this.#scanOrNothing().sort((a, b) => b.used - a.used);
    return files.flatMap(({ name }) => (name ? [name] : []));
  }

  summary(): FolderSummary {
    return summarize(this.#scanOrNothing());
  }

  /**
   * Deletes what is on disk, for every store on this folder; what is being written may come after.
   *
   * @returns what was deleted.
   * @throws where something cannot be deleted.
   */
  clear(): FolderSummary {
    return clearFolder(this.#folder);
  }

  /** Whether there seems to be a content of that name: `read` may still find that it is gone or damaged. */
  has(name: ContentName): boolean {
    return this.#pending.has(contentNameToHex(name)) || existsSync(contentPath(this.#folder, name));
  }

  /**
   * The content of that name, or undefined where the store has none. The caller must not write to it,
   * since it may be what somebody else gave to `write`.
   */
  read(name: ContentName): Uint8Array | undefined {
    const pending = this.#pending.get(contentNameToHex(name));
    if (pending) return pending.bytes;
    const path = contentPath(this.#folder, name);
    try {
      const bytes = this.#readFile(path);
      if (bytes && sameContentName(hashContent(bytes), name)) return bytes;
      this.#tell('damaged', `a stored content was damaged and has been deleted from ${this.#folder}`);
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'ENOENT') this.#tellUnreadable(error);
      if (code === undefined || NOT_THE_FILES_FAULT.has(code)) return undefined;
    }
    // If another process has just replaced the file by a good one, that is lost too, and is uploaded again.
    try {
      rmSync(path, { force: true, recursive: true });
    } catch {
      // It stays, and is found unusable again.
    }
    return undefined;
  }

  /**
   * Stores the content, and never throws. `bytes` are the store's from now on: nobody may write to
   * them, because until they are on disk `read` gives them as they are.
   *
   * @param hash `checked` where the caller has just made the name of these bytes.
   * @returns whether it is on disk. It is not where `bytes` are not the content of that name.
   */
  async write(name: ContentName, bytes: Uint8Array, hash?: 'checked'): Promise<boolean> {
    if (bytes.length > this.largestBytes) return false;
    if (hash !== 'checked' && !sameContentName(hashContent(bytes), name)) return false;
    if (Math.max(this.#pendingBytes + bytes.length, this.#memory.bytes) > PENDING_BYTES) {
      this.#tell('slow', `${this.#folder} is written slower than uploads arrive: some of them are not kept`);
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

  /** Resolves when all that was given to `write` by now is on disk, or is known not to be kept. */
  async idle(): Promise<void> {
    const written = this.#lastWrite;
    this.#schedule?.hurry(written);
    await written;
  }

  /** After the write before, and when it is time. */
  #inTurn(write: () => Promise<boolean>): Promise<boolean> {
    const schedule = this.#schedule;
    if (!schedule) return this.#lastWrite.then(write);
    const since = schedule.now();
    return this.#lastWrite.then(() => schedule.next(since)).then(write);
  }

  /** Undefined where no content can have been written so. */
  #readFile(path: string): Uint8Array | undefined {
    // Not through a link, nor waiting for the other end of a pipe: a content is a plain file.
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(file);
      // Looked at first, so that a file that is far too large is not read into memory.
      if (!stats.isFile() || stats.size > this.largestBytes) return undefined;
      const bytes = new Uint8Array(stats.size);
      for (let at = 0, count = -1; at < bytes.length && count !== 0; at += count) {
        count = readSync(file, bytes, at, bytes.length - at, at);
      }
      this.#noteUse(file, stats.mtimeMs);
      return bytes;
    } finally {
      closeSync(file);
    }
  }

  #noteUse(file: number, used: number): void {
    const now = this.#now();
    if (now - used < USE_PRECISION_MS) return;
    try {
      futimesSync(file, new Date(now), new Date(now));
    } catch {
      // A folder that cannot be written to still serves what is in it.
    }
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
   * Writes to a temporary name and renames, so that the content appears as a whole; where it is there
   * already it is replaced, which repairs it. Nothing is flushed to the medium: what a power failure
   * leaves half written is found out by its hash.
   */
  async #writeAndRename(name: ContentName, bytes: Uint8Array): Promise<void> {
    const temporary = temporaryPath(this.#folder, randomBytes(16));
    try {
      const used = new Date(this.#now());
      await this.#writeFile(temporary, bytes, used).catch(async (error) => {
        if (codeOf(error) !== 'ENOENT') throw error;
        // The first write of all, or the folder was deleted behind our back.
        await mkdir(this.#folder, { recursive: true, mode: 0o700 });
        await this.#writeFile(temporary, bytes, used);
      });
      await rename(temporary, contentPath(this.#folder, name));
    } catch (error) {
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

async function writeWhole(path: string, bytes: Uint8Array, used: Date): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.utimes(used, used);
  } finally {
    await file.close();
  }
}
