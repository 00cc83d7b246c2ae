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

/** Where files are memory that all processes of a machine share. Linux has it, and no other system by this name. */
const FOLDER = '/dev/shm';
const NAME = /^farlight-[0-9a-f]{32}$/;
/** How many frames may lie in the file each way, of any length. */
const SLOTS = WINDOW_FRAMES;
const WAY_BYTES = SLOTS * LIMITS.frameBytes;
const FILE_BYTES = 2 * WAY_BYTES;
/** A name that is older than this, in milliseconds, is one that nobody waits for. */
const LEFT_MS = 60_000;
/** Nothing that another user could have put there, and nothing that waits to be opened. */
const FLAGS = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * A file in the machine's memory that both ends of a connection have open, where they are processes of one user on
 * one machine: frames lie in it, and the connection carries only where. What two processes hand each other so is
 * copied twice, by the system's `write` and `read`, and does not pass through the network's code. Nobody maps it:
 * what a peer changes or cuts off while it is read is a wrong frame or none, and no fault.
 *
 * Who makes it sends in its first half, who opens it in the second. A slot is its sender's until it places a frame
 * there, and again when the peer has acknowledged that.
 */
export class SharedFile {
  readonly name: string;
  #fd: number | undefined;
  /** Where what this side sends begins, and what it receives. */
  readonly #out: number;
  readonly #in: number;
  /** The numbers of the frames that lie in the slots; 0 where a slot is free. */
  readonly #placed: number[] = new Array(SLOTS).fill(0);
  #broken = false;

  private constructor(name: string, fd: number, isMaker: boolean) {
    this.name = name;
    this.#fd = fd;
    this.#out = isMaker ? 0 : WAY_BYTES;
    this.#in = isMaker ? WAY_BYTES : 0;
  }

  /** Makes one; undefined where there is no such memory. `forget` its name as soon as the peer has it open. */
  static make(): SharedFile | undefined {
    sweep();
    const name = `farlight-${randomBytes(16).toString('hex')}`;
    const fd = opened(name, constants.O_CREAT | constants.O_EXCL);
    if (fd === undefined) return undefined;
    const file = new SharedFile(name, fd, true);
    try {
      // Takes no memory before something lies in it.
      ftruncateSync(fd, FILE_BYTES);
      return file;
    } catch {
      file.forget();
      file.close();
      return undefined;
    }
  }

  /** Opens the peer's; undefined where it is not to be had: on another machine, or another user's. */
  static open(name: string): SharedFile | undefined {
    if (!NAME.test(name)) return undefined;
    const fd = opened(name);
    if (fd === undefined) return undefined;
    if (isOurs(fd)) return new SharedFile(name, fd, false);
    closeSync(fd);
    return undefined;
  }

  /** No frame can be placed before one is released. */
  get full(): boolean {
    return !this.#broken && !this.#placed.includes(0);
  }

  /**
   * Places a frame, the sender's `number`th, numbered from 1. Returns its slot; undefined where it has to go another
   * way: there is no slot free, or the machine's memory is used up.
   */
  place(frame: Uint8Array, number: number): number | undefined {
    // The lowest: what was used last is nearest to the processor.
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

  /** The peer has taken the frames up to the `number`th. Returns whether it was full, and no longer is. */
  release(number: number): boolean {
    const { full } = this;
    for (const [slot, placed] of this.#placed.entries()) if (placed <= number) this.#placed[slot] = 0;
    return full && !this.full;
  }

  /**
   * A copy of the frame that the peer has placed.
   *
   * @throws ProtocolError where there is none of that length.
   */
  take(slot: number, length: number): Uint8Array {
    const isPlace = slot < SLOTS && length > 0 && length <= LIMITS.frameBytes && this.#fd !== undefined;
    if (!isPlace) throw new ProtocolError(`there is no frame of ${length} bytes in slot ${slot}`);
    const frame = frameMemory(length);
    if (this.#read(frame, slot) < length) throw new ProtocolError('the shared file was cut short');
    return frame;
  }

  #read(frame: Uint8Array, slot: number): number {
    try {
      return readSync(this.#fd as number, frame, 0, frame.length, this.#in + slot * LIMITS.frameBytes);
    } catch (error) {
      throw new ProtocolError(`the shared file cannot be read: ${messageOf(error)}`);
    }
  }

  /** Takes its name away, so that it ends with the last process that has it open. */
  forget(): void {
    try {
      unlinkSync(join(FOLDER, this.name));
    } catch {
      // It had been already.
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** The descriptor of such a file; undefined where it cannot be had. */
function opened(name: string, flags = 0): number | undefined {
  try {
    return openSync(join(FOLDER, name), FLAGS | flags, 0o600);
  } catch {
    return undefined;
  }
}

/** The names in the folder; none where it cannot be looked through, which is no reason to have no file in it. */
function names(): string[] {
  try {
    return readdirSync(FOLDER).filter((each) => NAME.test(each));
  } catch {
    return [];
  }
}

/** Takes away what programs have left that ended before their host had answered: a name, and no memory. */
function sweep(): void {
  for (const name of names()) {
    const path = join(FOLDER, name);
    try {
      if (wallClock() - statSync(path).mtimeMs > LEFT_MS) unlinkSync(path);
    } catch {
      // It is another user's, or another program was faster.
    }
  }
}

/** Whether only this user can have made it, as `make` does. */
function isOurs(fd: number): boolean {
  try {
    const stats = fstatSync(fd);
    const { uid, mode, size } = stats;
    return stats.isFile() && uid === process.geteuid?.() && (mode & 0o077) === 0 && size === FILE_BYTES;
  } catch {
    return false;
  }
}
