import { ProtocolError } from '../errors.js';
import { LIMITS } from './limits.js';

/**
 * A flush is a run of commands or of replies that is executed as one. It travels as one frame, or as
 * several where it is larger than a frame may be. A frame's first byte says which it is; a value may lie
 * across two frames.
 */
export const FRAME = { whole: 0, part: 1, last: 2 } as const;

/** Puts flushes together again from their frames. Memory is bounded by `flushBytes`. */
export class FlushAssembler {
  readonly #flushBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(flushBytes: number = LIMITS.flushBytes) {
    this.#flushBytes = flushBytes;
  }

  /** Whether the frames of a flush are here in part. */
  get isPartial(): boolean {
    return this.#parts.length > 0;
  }

  /**
   * Takes the next frame, which it owns from now on; returns the flush that it completes, if it does.
   * Throws ProtocolError on a frame that cannot come next.
   */
  push(frame: Uint8Array): Uint8Array | undefined {
    const kind = frame[0];
    const within = this.#parts.length > 0;
    if (kind === FRAME.whole && !within) return frame.subarray(1);
    if (kind !== FRAME.part && !(kind === FRAME.last && within)) {
      throw new ProtocolError(`a frame of kind ${kind} came where it is not allowed`);
    }
    // An empty part would cost memory that no limit counts.
    if (frame.length === 1) throw new ProtocolError('a part of a flush is empty');
    this.#length += frame.length - 1;
    if (this.#length > this.#flushBytes) {
      throw new ProtocolError(`a flush is over the limit of ${this.#flushBytes} bytes`);
    }
    this.#parts.push(frame);
    return kind === FRAME.last ? this.#join() : undefined;
  }

  #join(): Uint8Array {
    const flush = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      flush.set(part.subarray(1), at);
      at += part.length - 1;
    }
    this.#parts = [];
    this.#length = 0;
    return flush;
  }
}
