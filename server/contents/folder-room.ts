import { rm } from 'node:fs/promises';
import { FILTER_NAMES } from '../../proto/content/content-filter.js';
import { bytesOnDisk, scan } from './content-folder.js';

/** A temporary file that was not written to for so long belongs to a killed process. */
const TEMPORARY_AGE_MS = 3_600_000;

/**
 * Keeps a folder below its bound, although several processes write to it. It scans the folder where this process alone
 * would fill it, and after each `#slackBytes` that this process has written, because others may have written as much.
 * The margin to the bound holds the slack of 16 processes.
 *
 * Calls must not overlap.
 */
export class FolderRoom {
  readonly #folder: string;
  readonly #now: () => number;
  readonly #slackBytes: number;
  /** Above the first bound the least recently used files go, down to the second. So not each write has to evict. */
  readonly #highBytes: number;
  readonly #lowBytes: number;

  /** The folder's size at the last scan, and the size of this process's writes since. */
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

  /** Call it before a file of that length is written. @throws where the folder cannot be read or trimmed. */
  async makeFor(length: number): Promise<void> {
    const room = bytesOnDisk(length);
    const bytes = this.#scannedBytes + this.#writtenBytes + room;
    const files = this.#scannedFiles + this.#writtenFiles + 1;
    const full = bytes > this.#highBytes || files > FILTER_NAMES;
    if (full || this.#writtenBytes + room > this.#slackBytes) await this.#trim(room);
  }

  /** Call it after the file was written. @throws where the folder cannot be read or trimmed. */
  async taken(length: number): Promise<void> {
    const room = bytesOnDisk(length);
    this.#writtenBytes += room;
    this.#writtenFiles += 1;
    // Processes that made room at the same time may have made the same room.
    if (room > this.#slackBytes) await this.#trim(0);
  }

  /**
   * Deletes the files of killed processes, and where there is no room, the least recently used contents. It also keeps
   * no more contents than a filter can name to clients: nobody would use the others.
   */
  async #trim(room: number): Promise<void> {
    const now = this.#now();
    const files = (await scan(this.#folder)).sort((a, b) => a.used - b.used);
    let bytes = files.reduce((sum, file) => sum + bytesOnDisk(file.bytes), room);
    let count = files.length;
    const full = bytes > this.#highBytes || count >= FILTER_NAMES;
    for (const { path, name, bytes: length, used } of files) {
      const evict = full && (bytes > this.#lowBytes || count > (FILTER_NAMES * 7) / 8);
      if (name ? !evict : now - used < TEMPORARY_AGE_MS) continue;
      await rm(path, { force: true });
      bytes -= bytesOnDisk(length);
      count -= 1;
    }
    this.#scannedBytes = bytes - room;
    this.#scannedFiles = count;
    this.#writtenBytes = 0;
    this.#writtenFiles = 0;
  }
}
