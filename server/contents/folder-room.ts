import { rm } from 'node:fs/promises';
import { FILTER_NAMES } from '../../proto/content-filter.js';
import { scan } from './content-folder.js';

const BLOCK_BYTES = 4096;

/** A temporary file that nobody has written to for so long belongs to a process that was killed. */
const TEMPORARY_AGE_MS = 3_600_000;

/**
 * Keeps a folder, which several processes write to, below its bound: by what this process knows it
 * would be too full, or it has written enough since it last looked that others may have, too, then
 * it looks. In between it may write `#slackBytes`; the margin to the bound holds that of 16 processes.
 *
 * Calls must not overlap.
 */
export class FolderRoom {
  readonly #folder: string;
  readonly #now: () => number;
  readonly #slackBytes: number;
  /** Above the one the least recently used go, until the other is reached: not one for each write. */
  readonly #highBytes: number;
  readonly #lowBytes: number;

  /** What the folder took when it was last scanned, and what was written from here since. */
  #scannedBytes = Number.POSITIVE_INFINITY;
  #scannedFiles = 0;
  #writtenBytes = 0;
  #writtenFiles = 0;

  constructor(folder: string, maxBytes: number, now: () => number) {
    this.#folder = folder;
    this.#now = now;
    this.#slackBytes = maxBytes / 128;
    this.#highBytes = (maxBytes * 7) / 8;
    this.#lowBytes = (maxBytes * 3) / 4;
  }

  /** Before a file of that length is written. @throws where the folder cannot be read or trimmed. */
  async makeFor(length: number): Promise<void> {
    const room = roomOf(length);
    const bytes = this.#scannedBytes + this.#writtenBytes + room;
    const files = this.#scannedFiles + this.#writtenFiles + 1;
    const full = bytes > this.#highBytes || files > FILTER_NAMES;
    if (full || this.#writtenBytes + room > this.#slackBytes) await this.#trim(room);
  }

  /** After it was written. @throws where the folder cannot be read or trimmed. */
  async taken(length: number): Promise<void> {
    const room = roomOf(length);
    this.#writtenBytes += room;
    this.#writtenFiles += 1;
    // Processes that made room for a large file at the same time made the same room.
    if (room > this.#slackBytes) await this.#trim(0);
  }

  /**
   * Deletes what killed processes left, and where there is no room, the least recently used. More
   * contents than a filter can tell clients of would be of no use to anybody.
   */
  async #trim(room: number): Promise<void> {
    const now = this.#now();
    const files = (await scan(this.#folder)).sort((a, b) => a.used - b.used);
    let bytes = files.reduce((sum, file) => sum + roomOf(file.bytes), room);
    let count = files.length;
    const full = bytes > this.#highBytes || count >= FILTER_NAMES;
    for (const { path, name, bytes: length, used } of files) {
      const evict = full && (bytes > this.#lowBytes || count > (FILTER_NAMES * 7) / 8);
      if (name ? !evict : now - used < TEMPORARY_AGE_MS) continue;
      await rm(path, { force: true });
      bytes -= roomOf(length);
      count -= 1;
    }
    this.#scannedBytes = bytes - room;
    this.#scannedFiles = count;
    this.#writtenBytes = 0;
    this.#writtenFiles = 0;
  }
}

/** A file takes whole blocks, and if it is empty, its entry. */
function roomOf(length: number): number {
  return Math.max(1, Math.ceil(length / BLOCK_BYTES)) * BLOCK_BYTES;
}
