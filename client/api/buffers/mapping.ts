import { native } from '../../../link/machine/globals.js';
import { ProtocolError } from '../../../proto/errors.js';
import type { FarlightWrittenRange } from '../../../proto/gen/operations.js';
import { uncleared } from '../../../proto/wire/memory.js';
import { detach, pin, reclaim } from './detach.js';

/** A part of a mapping that the program holds. */
interface View {
  start: number;
  end: number;
  buffer: ArrayBuffer;
}

/**
 * The bytes of a mapped buffer while the program has them
 * (https://gpuweb.github.io/gpuweb/#active-buffer-mapping). Positions are bytes from the buffer's start.
 */
export class ActiveMapping {
  readonly #start: number;
  readonly #end: number;
  /** The contents of [start, end). A program that asks for the whole gets this very buffer. */
  readonly #data: ArrayBuffer;
  readonly #writable: boolean;
  readonly #views: View[] = [];

  constructor(start: number, data: ArrayBuffer, writable: boolean) {
    this.#start = start;
    this.#end = start + data.byteLength;
    this.#data = data;
    this.#writable = writable;
  }

  /** The steps of getMappedRange. Throws OperationError as the specification demands. */
  getRange(offset: number, size: number): ArrayBuffer {
    const end = offset + size;
    if (offset % 8 !== 0) throw operationError(`the offset ${offset} is not a multiple of 8`);
    if (size % 4 !== 0) throw operationError(`the size ${size} is not a multiple of 4`);
    if (offset < this.#start || end > this.#end) {
      throw operationError(
        `bytes ${offset} to ${end} are outside the mapped bytes ${this.#start} to ${this.#end}`,
      );
    }
    if (this.#views.some((view) => offset < view.end && view.start < end)) {
      throw operationError(`bytes ${offset} to ${end} overlap a range that was handed out before`);
    }
    const whole = offset === this.#start && end === this.#end && this.#views.length === 0;
    const buffer = whole ? this.#data : this.#data.slice(offset - this.#start, end - this.#start);
    // Only `detach` may take the bytes away: otherwise the program's writes would be lost.
    pin(buffer);
    this.#views.push({ start: offset, end, buffer });
    return buffer;
  }

  /** The ranges that the program may have written. They are sent before `detach`. */
  written(): FarlightWrittenRange<never>[] {
    if (!this.#writable) return [];
    return this.#views
      .filter((view) => view.buffer.byteLength > 0)
      .map((view) => ({ offset: view.start, data: new Uint8Array(view.buffer) }));
  }

  /**
   * Takes the bytes away from the program: its ArrayBuffers become empty. Returns the memory for the next
   * mapping.
   */
  detach(): ArrayBuffer | undefined {
    for (const { buffer } of this.#views) {
      if (buffer !== this.#data) detach(buffer);
    }
    return reclaim(this.#data);
  }
}

/** Collects the parts of a mapping for reading, in the memory where the program will read them. */
export class ReadParts {
  readonly #length: number;
  readonly #memory: ArrayBuffer | undefined;
  #data: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;
  #failure: unknown;

  /** `length`: bytes that the program asked for. `memory` is used if it has the same length. */
  constructor(length: number, memory: ArrayBuffer | undefined) {
    this.#length = length;
    if (memory?.byteLength === length) this.#memory = memory;
  }

  /** Throws ProtocolError if there are more bytes than the program asked for. */
  add(bytes: Uint8Array): void {
    this.#filled += bytes.length;
    if (this.#filled > this.#length) throw new ProtocolError('a mapping has more bytes than were asked for');
    try {
      this.#data ??= this.#memory ? new Uint8Array(this.#memory) : uncleared(this.#length);
    } catch (error) {
      // There is no memory. `whole` throws this, and the caller who awaits the mapping gets it.
      this.#failure = error;
    }
    this.#data?.set(bytes, this.#filled - bytes.length);
  }

  /**
   * All bytes; undefined if no part came. Throws if there was no memory, or if the device was lost meanwhile.
   */
  whole(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#failure) throw this.#failure;
    if (this.#data && this.#filled < this.#length) {
      throw new native.DOMException('The buffer was unmapped while its contents were sent.', 'AbortError');
    }
    return this.#data;
  }
}

function operationError(why: string): DOMException {
  return new native.DOMException(`GPUBuffer.getMappedRange: ${why}.`, 'OperationError');
}
