import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageOf, ProtocolError } from '../../proto/errors.js';
import { LIMITS, WINDOW_FRAMES } from '../../proto/wire/limits.js';
import { frameMemory } from '../../proto/wire/memory.js';
import { wallClock } from '../machine/clock.js';

/** A folder whose files are memory that a machine's processes share. Only Linux has it under this name. */
const FOLDER = '/dev/shm';
const NAME = /^farlight-[0-9a-f]{32}$/;
/** How many frames the file holds in each direction. */
const SLOTS = WINDOW_FRAMES;
const WAY_BYTES = SLOTS * LIMITS.frameBytes;
const FILE_BYTES = 2 * WAY_BYTES;
/** Nobody waits for a file with a name that is older than this, in milliseconds. */
const LEFT_MS = 60_000;
/** Follow no link that another user made, and do not wait for a pipe. */
const FLAGS = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A file in the machine's memory that both ends of a connection have open. They are processes of one user on one machine.
 * Frames lie in the file, and the connection carries only their places. So the system copies frames twice, by `write` and
 * `read`, without its network code. Nobody maps the file: if a peer changes or shortens it during a read, the result is a
 * wrong frame or none, and no crash.
 *
 * The maker sends in the first half, and the opener in the second. A sender owns a slot until it places a frame there, and
 * again after the peer has acknowledged that frame.
 */
export class SharedFile {
  readonly name: string;
  #fd: number | undefined;
  /** Where the frames of this side begin, and where the peer's begin. */
  readonly #out: number;
  readonly #in: number;
  /** For each slot the number of its frame, or 0 if it is free. */
  readonly #placed: number[] = new Array(SLOTS).fill(0);
  #broken = false;

  private constructor(name: string, fd: number, isMaker: boolean) {
    this.name = name;
    this.#fd = fd;
    this.#out = isMaker ? 0 : WAY_BYTES;
    this.#in = isMaker ? WAY_BYTES : 0;
  }

  /** Makes a file. Undefined if the system has no such memory. Call `forget` as soon as the peer has it open. */
  static make(): SharedFile | undefined {
    sweep();
    const name = `farlight-${randomBytes(16).toString('hex')}`;
    const fd = opened(name, constants.O_CREAT | constants.O_EXCL);
    if (fd === undefined) return undefined;
    const file = new SharedFile(name, fd, true);
    try {
      // This takes no memory until frames lie there.
      ftruncateSync(fd, FILE_BYTES);
      return file;
    } catch {
      file.forget();
      file.close();
      return undefined;
    }
  }

  /** Opens the peer's file. Undefined if it is not on this machine, or not this user's. */
  static open(name: string): SharedFile | undefined {
    if (!NAME.test(name)) return undefined;
    const fd = opened(name);
    if (fd === undefined) return undefined;
    if (isOurs(fd)) return new SharedFile(name, fd, false);
    closeSync(fd);
    return undefined;
  }

  /** Whether all slots are taken. */
  get full(): boolean {
    return !this.#broken && !this.#placed.includes(0);
  }

  /**
   * Places the frame with this number; numbers start at 1. Returns its slot. Undefined if no slot is free, or the machine
   * has no more memory; then the frame must travel on the connection.
   */
  place(frame: Uint8Array, number: number): number | undefined {
    // The lowest slot: it was used last, and is in the processor's cache.
    const slot = this.#placed.indexOf(0);
    if (slot < 0 || this.#broken || this.#fd === undefined) return undefined;
    try {
      const at = this.#out + slot * LIMITS.frameBytes;
      this.#broken = writeSync(this.#fd, frame, 0, frame.length, at) < frame.length;
    } catch {
      this.#broken = true;
    }
    if (this.#broken) return undefined;
    this.#placed[slot] = number;
    return slot;
  }

  /** The peer has taken the frames up to this number. Returns whether the file was full and no longer is. */
  release(number: number): boolean {
    const { full } = this;
    for (const [slot, placed] of this.#placed.entries()) if (placed <= number) this.#placed[slot] = 0;
    return full && !this.full;
  }

  /**
   * Copies the frame that the peer has placed.
   *
   * @throws ProtocolError if the slot has no frame of that length.
   */
  take(slot: number, length: number): Uint8Array {
    const isPlace = slot < SLOTS && length > 0 && length <= LIMITS.frameBytes && this.#fd !== undefined;
    if (!isPlace) throw new ProtocolError(`there is no frame of ${length} bytes in slot ${slot}`);
    const frame = frameMemory(length);
    if (this.#read(frame, this.#in, slot) < length) throw new ProtocolError('the shared file was cut short');
    return frame;
  }

  /** Copies a frame that this side has placed and the peer has not acknowledged. Undefined if it is not there. */
  recover(number: number, length: number): Uint8Array | undefined {
    const slot = this.#placed.indexOf(number);
    if (slot < 0 || this.#fd === undefined) return undefined;
    const frame = frameMemory(length);
    try {
      return this.#read(frame, this.#out, slot) < length ? undefined : frame;
    } catch {
      return undefined;
    }
  }

  #read(frame: Uint8Array, way: number, slot: number): number {
    try {
      return readSync(this.#fd as number, frame, 0, frame.length, way + slot * LIMITS.frameBytes);
    } catch (error) {
      throw new ProtocolError(`the shared file cannot be read: ${messageOf(error)}`);
    }
  }

  /** Removes the file's name. The file then ends with the last process that has it open. */
  forget(): void {
    try {
      unlinkSync(join(FOLDER, this.name));
    } catch {
      // The name was removed before.
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Opens a file by its name. Undefined if that fails. */
function opened(name: string, flags = 0): number | undefined {
  try {
    return openSync(join(FOLDER, name), FLAGS | flags, 0o600);
  } catch {
    return undefined;
  }
}

/** The names in the folder. Empty if the folder cannot be read; a file can be made there in any case. */
function names(): string[] {
  try {
    return readdirSync(FOLDER).filter((each) => NAME.test(each));
  } catch {
    return [];
  }
}

/** Removes the files of programs that ended before their host replied. They take a name, and no memory. */
function sweep(): void {
  for (const name of names()) {
    const path = join(FOLDER, name);
    try {
      if (wallClock() - statSync(path).mtimeMs > LEFT_MS) unlinkSync(path);
    } catch {
      // It belongs to another user, or another program removed it first.
    }
  }
}

/** Whether `make` of this user can have made the file, and nobody else. */
function isOurs(fd: number): boolean {
  try {
    const stats = fstatSync(fd);
    const { uid, mode, size } = stats;
    return stats.isFile() && uid === process.geteuid?.() && (mode & 0o077) === 0 && size === FILE_BYTES;
  } catch {
    return false;
  }
}
